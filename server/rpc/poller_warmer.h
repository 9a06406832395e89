#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/server.h>

#include <atomic>
#include <memory>
#include <thread>

#include "server/base/mutex.h"

namespace kvorum::rpc {

// Keeps gRPC's callback threads awake. In 1.51 a callback thread that saw no event for a second
// sleeps 100 ms, deaf, and the first call after a quiet second waits for it. So a call is made to
// ourselves, in the process, a few times a second; it costs about 0.02 % of a core. Owned by
// GrpcServer; one thread.
class PollerWarmer {
 public:
  static constexpr auto kInterval = std::chrono::milliseconds(400);

  explicit PollerWarmer(grpc::Server& server);
  ~PollerWarmer();
  PollerWarmer(const PollerWarmer&) = delete;
  PollerWarmer& operator=(const PollerWarmer&) = delete;

 private:
  void Run() EXCLUDES_LOCK(mutex_);
  void CallOnce();

  grpc::GenericStub stub_;
  Mutex mutex_;
  CondVar wake_;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace kvorum::rpc
