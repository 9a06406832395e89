#include "server/rpc/poller_warmer.h"

#include <grpcpp/client_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/channel_arguments.h>
#include <pthread.h>

#include <algorithm>
#include <functional>
#include <future>

namespace kvorum::rpc {
namespace {

constexpr char kHealthCheck[] = "/grpc.health.v1.Health/Check";

// gRPC 1.51's own rule (completion_queue_cc.cc).
unsigned CallbackThreads() { return std::clamp(std::thread::hardware_concurrency() / 2, 2u, 16u); }

}  // namespace

struct PollerWarmer::SelfCall {
  grpc::ClientContext context;
  grpc::Slice empty;  // an empty HealthCheckRequest asks for ""
  grpc::ByteBuffer request{&empty, 1};
  grpc::ByteBuffer response;
};

PollerWarmer::PollerWarmer(grpc::Server& server)
    : stub_(server.InProcessChannel(grpc::ChannelArguments())), thread_([this] { Run(); }) {}

PollerWarmer::~PollerWarmer() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    changed_.NotifyAll();
    while (parked_ > 0) {
      changed_.Wait(mutex_);
    }
  }
  thread_.join();
}

void PollerWarmer::Run() {
  pthread_setname_np(pthread_self(), "kv-warmer");
  ParkSurplusThreads();
  for (;;) {
    const auto next = std::chrono::steady_clock::now() + kInterval;
    {
      MutexLock lock(mutex_);
      while (!stopping_ && changed_.WaitUntil(mutex_, next)) {
      }
      if (stopping_) {
        return;
      }
    }
    CallOnce();
  }
}

void PollerWarmer::ParkSurplusThreads() {
  const unsigned wanted = std::max(1u, std::thread::hardware_concurrency() / kCoresPerPoller);
  for (unsigned threads = CallbackThreads(); threads > wanted; --threads) {
    ParkOneThread();
  }
}

void PollerWarmer::ParkOneThread() {
  const auto call = std::make_shared<SelfCall>();
  std::promise<void> parked;
  Start(*call, [this, call, &parked] {
    MutexLock lock(mutex_);
    ++parked_;
    parked.set_value();
    while (!stopping_) {
      changed_.Wait(mutex_);
    }
    --parked_;
    changed_.NotifyAll();
  });
  parked.get_future().wait();
}

void PollerWarmer::CallOnce() {
  const auto call = std::make_shared<SelfCall>();
  std::promise<void> finished;
  Start(*call, [call, &finished] { finished.set_value(); });
  finished.get_future().wait();
}

void PollerWarmer::Start(SelfCall& call, std::function<void()> on_done) {
  call.context.set_deadline(std::chrono::system_clock::now() + kInterval);
  // Whatever the answer: the event is what counts.
  stub_.UnaryCall(&call.context, kHealthCheck, grpc::StubOptions(), &call.request, &call.response,
                  [on_done = std::move(on_done)](const grpc::Status&) { on_done(); });
}

}  // namespace kvorum::rpc
