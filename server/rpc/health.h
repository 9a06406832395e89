#pragma once

#include <grpcpp/health_check_service_interface.h>

#include <map>
#include <string>
#include <vector>

#include "server/base/mutex.h"

namespace kvorum::rpc {

// What grpc.health.v1 answers: "" and "liveness" (the process works), "readiness" (a leader is
// known), "leader" (this node is the active controller). Fed by whoever observes the node; any
// thread. Owned by the composition root, outlives the servers.
class Health {
 public:
  Health();

  void SetReady(bool ready) { Set("readiness", ready); }
  void SetLeader(bool is_active_controller) { Set("leader", is_active_controller); }
  // Everything but liveness is over: load balancers and probes turn away.
  void BeginShutdown();

  bool is_ready() const;

  // From now on `service` answers with what is known. Null is ignored.
  void Attach(grpc::HealthCheckServiceInterface* service);
  void DetachAll();

 private:
  void Set(const std::string& name, bool serving) EXCLUDES_LOCK(mutex_);

  mutable Mutex mutex_;
  std::map<std::string, bool> serving_ GUARDED_BY(mutex_);
  std::vector<grpc::HealthCheckServiceInterface*> services_ GUARDED_BY(mutex_);
  bool shutting_down_ GUARDED_BY(mutex_) = false;
};

}  // namespace kvorum::rpc
