#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace kvorum::bench {

// What one closed-loop run measured.
struct LoadResult {
  double per_second = 0;
  double p50_ms = 0;
  double p99_ms = 0;
  double p999_ms = 0;
  double max_ms = 0;
  uint64_t errors = 0;
};

struct LoadOptions {
  int in_flight = 1;
  int channels = 8;
  std::chrono::milliseconds warm_up{500};
  std::chrono::milliseconds duration{3000};
};

LoadResult Summarize(std::vector<uint32_t>& latencies_us, std::chrono::nanoseconds elapsed,
                     uint64_t errors);

// `in_flight` requests over `channels` connections, each replaced as its answer arrives. `start`
// makes request number n on a stub and returns its reader. One completion queue, one thread: the
// load generator must leave the cores to what it measures.
template <typename Stub, typename Response>
class ClosedLoop {
 public:
  using Reader = std::unique_ptr<grpc::ClientAsyncResponseReader<Response>>;
  using Starter =
      std::function<Reader(Stub&, grpc::ClientContext&, grpc::CompletionQueue&, uint64_t n)>;

  ClosedLoop(std::vector<std::unique_ptr<Stub>> stubs, Starter start)
      : stubs_(std::move(stubs)), start_(std::move(start)) {}

  LoadResult Run(const LoadOptions& options) {
    using Clock = std::chrono::steady_clock;
    latencies_us_.clear();
    errors_ = 0;
    const auto begin = Clock::now() + options.warm_up;
    const auto end = begin + options.duration;
    grpc::CompletionQueue queue;
    for (int i = 0; i < options.in_flight; ++i) {
      Send(queue);
    }
    int outstanding = options.in_flight;
    void* tag = nullptr;
    bool ok = false;
    while (outstanding > 0 && queue.Next(&tag, &ok)) {
      std::unique_ptr<Call> call(static_cast<Call*>(tag));
      const auto now = Clock::now();
      if (now >= begin && now < end) {
        if (call->status.ok()) {
          latencies_us_.push_back(static_cast<uint32_t>(
              std::chrono::duration_cast<std::chrono::microseconds>(now - call->sent).count()));
        } else {
          ++errors_;
        }
      }
      if (now < end) {
        Send(queue);
      } else {
        --outstanding;
      }
    }
    queue.Shutdown();
    while (queue.Next(&tag, &ok)) {
    }
    return Summarize(latencies_us_, options.duration, errors_);
  }

 private:
  struct Call {
    grpc::ClientContext context;
    Response response;
    grpc::Status status;
    Reader reader;
    std::chrono::steady_clock::time_point sent;
  };

  void Send(grpc::CompletionQueue& queue) {
    auto* call = new Call;  // owned by the queue until Next gives it back
    const uint64_t n = next_++;
    call->sent = std::chrono::steady_clock::now();
    call->reader = start_(*stubs_[n % stubs_.size()], call->context, queue, n);
    call->reader->Finish(&call->response, &call->status, call);
  }

  std::vector<std::unique_ptr<Stub>> stubs_;
  Starter start_;
  uint64_t next_ = 0;
  uint64_t errors_ = 0;
  std::vector<uint32_t> latencies_us_;
};

// Separate connections to one endpoint.
std::vector<std::shared_ptr<grpc::Channel>> MakeChannels(const std::string& endpoint, int count);

}  // namespace kvorum::bench
