#pragma once

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/server.h>

#include <functional>
#include <memory>
#include <thread>

#include "server/base/mutex.h"

namespace kvorum::rpc {

// Makes gRPC's callback threads behave, by calls to ourselves inside the process. Two traits of
// gRPC 1.51 are in the way of short response times:
//  - There are always two or more of these threads, and they pass the role of the one that polls
//    the sockets back and forth: some 17 context switches for one write. All but one (one in four
//    cores on large machines) are parked in a callback that does not return.
//  - A thread that saw no event for a second sleeps 100 ms, deaf, and the first call after a quiet
//    second waits for it. So there is an event a few times a second, for 0.02 % of a core.
// Owned by GrpcServer; one thread of its own beside those it parks.
class PollerWarmer {
 public:
  static constexpr auto kInterval = std::chrono::milliseconds(400);
  static constexpr unsigned kCoresPerPoller = 4;

  explicit PollerWarmer(grpc::Server& server);
  ~PollerWarmer();
  PollerWarmer(const PollerWarmer&) = delete;
  PollerWarmer& operator=(const PollerWarmer&) = delete;

 private:
  struct SelfCall;

  void Run() EXCLUDES_LOCK(mutex_);
  void ParkSurplusThreads() EXCLUDES_LOCK(mutex_);
  void ParkOneThread() EXCLUDES_LOCK(mutex_);
  void CallOnce();
  void Start(SelfCall& call, std::function<void()> on_done);

  grpc::GenericStub stub_;
  Mutex mutex_;
  CondVar changed_;
  size_t parked_ GUARDED_BY(mutex_) = 0;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace kvorum::rpc
