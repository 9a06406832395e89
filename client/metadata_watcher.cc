#include "client/metadata_watcher.h"

#include <fmt/core.h>
#include <grpcpp/completion_queue.h>

#include <algorithm>
#include <utility>

#include "client/retry.h"
#include "kvorum/v1/stream.grpc.pb.h"

namespace kvorum::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::system_clock;

constexpr milliseconds kInitialPause{20};
constexpr milliseconds kMaxPause{500};
constexpr milliseconds kConnectSlice{300};
constexpr milliseconds kOnlyEndpointConnectSlice{1000};
constexpr int kSilentBookmarkIntervals = 3;

}  // namespace

// One open Subscribe call on a completion queue of its own, so that reads can time out and no
// thread of gRPC's shared pool is involved. Watcher thread only; the context may be cancelled by
// another thread.
class MetadataWatcher::Stream {
 public:
  enum class ReadResult { kMessage, kEnded, kTimedOut };

  Stream(const std::shared_ptr<grpc::Channel>& channel, const v1::SubscribeRequest& request)
      : stub_(channel), reader_(stub_.PrepareAsyncSubscribe(&context_, request, &queue_)) {
    reader_->StartCall(this);
  }

  ~Stream() {
    context_.TryCancel();
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
    }
  }

  grpc::ClientContext& context() { return context_; }
  // Of the last Read that returned kMessage. A member, since a read that timed out still owns it.
  v1::SubscribeResponse& message() { return message_; }

  // After kEnded or kTimedOut no further Read is allowed.
  ReadResult Read(milliseconds timeout) {
    const TimePoint deadline = system_clock::now() + timeout;
    bool ok = true;
    if (!started_ && !Await(deadline, ok)) {
      return ReadResult::kTimedOut;
    }
    started_ = true;
    if (ok) {
      reader_->Read(&message_, this);
      if (!Await(deadline, ok)) {
        return ReadResult::kTimedOut;
      }
    }
    return ok ? ReadResult::kMessage : ReadResult::kEnded;
  }

  // REQUIRES: Read returned kEnded.
  grpc::Status Finish() {
    grpc::Status status;
    reader_->Finish(&status, this);
    bool ok = false;
    Await(TimePoint::max(), ok);
    return status;
  }

 private:
  bool Await(TimePoint deadline, bool& ok) {
    void* tag = nullptr;
    return queue_.AsyncNext(&tag, &ok, deadline) == grpc::CompletionQueue::GOT_EVENT;
  }

  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  v1::MetadataStreamService::Stub stub_;
  v1::SubscribeResponse message_;
  std::unique_ptr<grpc::ClientAsyncReader<v1::SubscribeResponse>> reader_;
  bool started_ = false;
};

MetadataWatcher::MetadataWatcher(std::shared_ptr<Endpoints> endpoints,
                                 MetadataWatcherOptions options, MetadataListener& listener)
    : endpoints_(std::move(endpoints)),
      options_(std::move(options)),
      assembler_(listener, options_.resume_from, options_.resume_filter_id) {
  status_.position = options_.resume_from;
}

MetadataWatcher::~MetadataWatcher() { Stop(); }

void MetadataWatcher::Start() {
  thread_ = std::thread([this] { Run(); });
}

void MetadataWatcher::Stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
    if (open_context_ != nullptr) {
      open_context_->TryCancel();
    }
  }
  wake_.notify_all();
  if (thread_.joinable()) {
    thread_.join();
  }
}

void MetadataWatcher::SetBroker(int32_t broker_id, int64_t broker_epoch) {
  const std::lock_guard<std::mutex> lock(mutex_);
  broker_id_ = broker_id;
  broker_epoch_ = broker_epoch;
}

WatcherStatus MetadataWatcher::status() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return status_;
}

bool MetadataWatcher::stopping() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return stopping_;
}

void MetadataWatcher::Run() {
  Backoff backoff(kInitialPause, kMaxPause, RandomSeed());
  // Subscribers spread over the controllers: any of them serves, and the leader has other work.
  for (uint64_t skip = RandomSeed() % kMaxEndpoints; skip > 0; --skip) {
    endpoints_->Next();
  }
  std::string endpoint =
      options_.first_endpoint.empty() ? endpoints_->Next() : options_.first_endpoint;
  while (!stopping()) {
    const StreamEnd end = RunStream(endpoint);
    OnStreamEnd(end);
    if (end.fatal) {
      return;
    }
    if (end.made_progress) {
      backoff.Reset();
    }
    endpoint = end.go_to.empty() ? endpoints_->Next() : end.go_to;
    WaitToRetry(backoff.Next());
  }
}

MetadataWatcher::StreamEnd MetadataWatcher::RunStream(const std::string& endpoint) {
  StreamEnd end;
  const milliseconds slice =
      endpoints_->configured().size() > 1 ? kConnectSlice : kOnlyEndpointConnectSlice;
  const std::shared_ptr<grpc::Channel> channel =
      endpoints_->Connect(endpoint, system_clock::now() + slice);
  if (channel == nullptr) {
    end.reason = fmt::format("no connection to {}", endpoint);
    return end;
  }
  Stream stream(channel, MakeRequest());
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (stopping_) {
      return end;
    }
    open_context_ = &stream.context();
    status_.endpoint = endpoint;
    ++status_.stream_count;
  }
  end = ReadStream(stream);
  const std::lock_guard<std::mutex> lock(mutex_);
  open_context_ = nullptr;
  return end;
}

MetadataWatcher::StreamEnd MetadataWatcher::ReadStream(Stream& stream) {
  StreamEnd end;
  assembler_.OnStreamStart();
  milliseconds silence = options_.hello_timeout;
  while (true) {
    const Stream::ReadResult result = stream.Read(silence);
    if (result == Stream::ReadResult::kTimedOut) {
      end.reason = fmt::format("stream was silent for {} ms", silence.count());
      return end;
    }
    if (result == Stream::ReadResult::kEnded) {
      const bool made_progress = end.made_progress;
      end = ClassifyStatus(stream.Finish());
      end.made_progress = made_progress;
      return end;
    }
    for (v1::MetadataUpdate& update : *stream.message().mutable_updates()) {
      const StreamAssembler::Verdict verdict = assembler_.OnUpdate(update);
      if (verdict != StreamAssembler::Verdict::kGoOn) {
        end.reason = assembler_.problem();
        end.go_to = assembler_.go_away_hint();
        end.fatal = verdict == StreamAssembler::Verdict::kRefused;
        end.forget_position = verdict == StreamAssembler::Verdict::kResync;
        return end;
      }
    }
    end.made_progress = end.made_progress || assembler_.live();
    silence = std::max(options_.min_silence,
                       milliseconds(int64_t{assembler_.hello().bookmark_interval_ms()} *
                                    kSilentBookmarkIntervals));
    PublishProgress(assembler_.live());
  }
}

MetadataWatcher::StreamEnd MetadataWatcher::ClassifyStatus(const grpc::Status& status) {
  StreamEnd end;
  if (status.ok()) {
    end.reason = "server closed the stream";
    return end;
  }
  const CallError error = ParseStatus(status);
  end.reason = ToText(error);
  switch (error.reason) {
    case v1::GENERATION_MISMATCH:
    case v1::POSITION_DISCARDED:
    case v1::POSITION_OUT_OF_RANGE:
      end.forget_position = true;
      break;
    case v1::INCONSISTENT_CLUSTER_ID:
    case v1::INVALID_REQUEST:
    case v1::UNIMPLEMENTED_FIELD:
      end.fatal = true;
      break;
    case v1::NOT_CONTROLLER:
      end.go_to = error.leader_endpoint;
      break;
    default:
      // The node's or the transport's trouble, or a broker epoch that is being renewed.
      break;
  }
  return end;
}

void MetadataWatcher::OnStreamEnd(const StreamEnd& end) {
  if (end.forget_position) {
    assembler_.ForgetPosition();
  }
  PublishProgress(/*live=*/false);
  const std::lock_guard<std::mutex> lock(mutex_);
  status_.last_error = end.reason;
  if (end.fatal && !stopping_) {
    status_.fatal_error = end.reason;
  }
}

v1::SubscribeRequest MetadataWatcher::MakeRequest() const {
  v1::SubscribeRequest request;
  request.set_cluster_id(options_.cluster_id);
  request.set_subscriber_id(options_.subscriber_id);
  if (assembler_.position().has_value()) {
    *request.mutable_resume_from() = *assembler_.position();
    request.set_resume_filter_id(assembler_.filter_id());
  }
  *request.mutable_filter() = options_.filter;
  request.set_source(options_.source);
  const std::lock_guard<std::mutex> lock(mutex_);
  if (broker_id_.has_value()) {
    request.set_broker_id(*broker_id_);
    request.set_broker_epoch(broker_epoch_);
  }
  return request;
}

void MetadataWatcher::PublishProgress(bool live) {
  const std::lock_guard<std::mutex> lock(mutex_);
  status_.live = live;
  status_.node_id = assembler_.hello().node_id();
  status_.position = assembler_.position();
  status_.filter_id = assembler_.filter_id();
  status_.counters = assembler_.counters();
}

void MetadataWatcher::WaitToRetry(milliseconds pause) {
  std::unique_lock<std::mutex> lock(mutex_);
  wake_.wait_for(lock, pause, [this] { return stopping_; });
}

}  // namespace kvorum::client
