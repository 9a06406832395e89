#include "server/rpc/stream_service.h"

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include <optional>
#include <utility>

#include "server/base/check.h"
#include "server/base/errors.h"
#include "server/rpc/status_codec.h"

namespace kvorum::rpc {
namespace {

constexpr char kMethod[] = "MetadataStreamService/Subscribe";

std::optional<v1::SubscribeRequest> ParseRequest(const grpc::ByteBuffer& bytes) {
  grpc::ByteBuffer copy(bytes);  // the reader wants it mutable; slices are shared
  grpc::ProtoBufferReader reader(&copy);
  v1::SubscribeRequest request;
  if (!reader.status().ok() || !request.ParseFromZeroCopyStream(&reader)) {
    return std::nullopt;
  }
  return request;
}

}  // namespace

// One subscription's gRPC side: passes what the publisher delivers to the stream and what the
// stream says to the publisher. Owns itself, from Subscribe until after OnDone. State belongs to
// the publish loop; gRPC's threads only post to it.
class StreamServiceImpl::SubscriptionReactor final
    : public grpc::ServerWriteReactor<grpc::ByteBuffer>,
      public publish::SubscriberSink,
      private StreamWrites::Writer {
 public:
  SubscriptionReactor(StreamServiceImpl& service, grpc::CallbackServerContext& context)
      : service_(service), context_(context) {}

  void Start(v1::SubscribeRequest request) {
    Post([this, request = std::move(request)](Now now, publish::UpdatePublisher& publisher) {
      if (!finished_) {
        id_ = publisher.Subscribe(now.now, request, *this);
      }
    });
  }

  void Refuse(absl::Status status) {
    Post([this, status = std::move(status)](Now, publish::UpdatePublisher&) {
      closed_ = true;
      FinishOnce(status);
    });
  }

  // --- from the publisher, on its loop ---
  void Deliver(const publish::Delivery& delivery) override {
    message_ = service_.encoder_.Encode(delivery);
    writing_ = true;
    service_.writes_.OnBegin();
    StartWrite(&message_);
  }

  void Close(absl::Status status) override {
    closed_ = true;
    if (!writing_) {
      FinishOnce(status);
      return;
    }
    // What was written goes out before the status.
    status_after_write_ = status;
    if (status.code() == absl::StatusCode::kResourceExhausted) {
      // The subscriber takes nothing, so neither write nor status would ever end.
      context_.TryCancel();
    }
  }

  // --- from gRPC ---
  void OnWriteDone(bool ok) override { service_.writes_.OnEnd(*this, ok); }

  void OnCancel() override {
    Post([this](Now, publish::UpdatePublisher& publisher) { Leave(publisher); });
  }

  void OnDone() override {
    // Behind whatever is posted already and names this object.
    Post([this](Now, publish::UpdatePublisher&) {
      StreamServiceImpl& service = service_;
      delete this;
      service.OnReactorGone();
    });
  }

 private:
  void OnWriteEnded(Now now, publish::UpdatePublisher& publisher, bool ok) override {
    writing_ = false;
    if (status_after_write_.has_value()) {
      FinishOnce(*status_after_write_);
    } else if (!ok) {
      Leave(publisher);
    } else if (!closed_) {
      publisher.OnReady(now.now, *id_);
    }
  }

  void Post(PublishRunner::PublisherTask task) {
    const bool posted = service_.publisher_.Post(std::move(task));
    KVORUM_CHECK(posted, "the publish loop was stopped before the stream service was idle");
  }

  // The subscriber is gone.
  void Leave(publish::UpdatePublisher& publisher) {
    if (!closed_ && id_.has_value()) {
      publisher.OnClosed(*id_);
    }
    closed_ = true;
    FinishOnce(absl::CancelledError());
  }

  void FinishOnce(const absl::Status& status) {
    if (!std::exchange(finished_, true)) {
      service_.observer_.OnReply(kMethod, status.code());
      Finish(ToGrpcStatus(status));
    }
  }

  StreamServiceImpl& service_;
  grpc::CallbackServerContext& context_;

  // Publish loop only.
  std::optional<publish::SubscriptionId> id_;
  grpc::ByteBuffer message_;  // of the write in flight
  bool writing_ = false;
  bool closed_ = false;  // the publisher knows this sink no more
  std::optional<absl::Status> status_after_write_;
  bool finished_ = false;
};

grpc::ServerWriteReactor<grpc::ByteBuffer>* StreamServiceImpl::Subscribe(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request) {
  {
    MutexLock lock(mutex_);
    ++reactors_;
  }
  auto* reactor = new SubscriptionReactor(*this, *context);
  if (std::optional<v1::SubscribeRequest> parsed = ParseRequest(*request)) {
    reactor->Start(*std::move(parsed));
  } else {
    reactor->Refuse(
        MakeError(ErrorReason::kInvalidRequest, "the request is no kvorum.v1.SubscribeRequest"));
  }
  return reactor;
}

void StreamServiceImpl::OnReactorGone() {
  MutexLock lock(mutex_);
  --reactors_;
  reactors_changed_.NotifyAll();
}

void StreamServiceImpl::WaitUntilIdle() {
  MutexLock lock(mutex_);
  while (reactors_ > 0) {
    reactors_changed_.Wait(mutex_);
  }
}

}  // namespace kvorum::rpc
