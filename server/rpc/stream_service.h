#pragma once

#include "kvorum/v1/stream.grpc.pb.h"
#include "server/base/mutex.h"
#include "server/rpc/delivery_encoder.h"
#include "server/rpc/stream_writes.h"
#include "server/runtime/publish_runner.h"
#include "server/runtime/request_observer.h"

namespace kvorum::rpc {

// The metadata stream on raw bytes: a committed batch is encoded once and every subscriber's
// message refers to it. Owned by GrpcServer; called by gRPC's threads.
class StreamServiceImpl final : public v1::MetadataStreamService::WithRawCallbackMethod_Subscribe<
                                    v1::MetadataStreamService::Service> {
 public:
  StreamServiceImpl(PublishRunner& publisher, RequestObserver& observer)
      : publisher_(publisher), observer_(observer), writes_(publisher) {}

  grpc::ServerWriteReactor<grpc::ByteBuffer>* Subscribe(grpc::CallbackServerContext* context,
                                                        const grpc::ByteBuffer* request) override;

  // After the server's shutdown: returns when the last reactor is gone, so that the publish loop
  // may be stopped.
  void WaitUntilIdle() EXCLUDES_LOCK(mutex_);

 private:
  class SubscriptionReactor;

  void OnReactorGone() EXCLUDES_LOCK(mutex_);

  PublishRunner& publisher_;
  RequestObserver& observer_;
  StreamWrites writes_;
  DeliveryEncoder encoder_;  // publish loop only

  Mutex mutex_;
  CondVar reactors_changed_;
  size_t reactors_ GUARDED_BY(mutex_) = 0;
};

}  // namespace kvorum::rpc
