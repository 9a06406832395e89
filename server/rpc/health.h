#pragma once

#include <grpcpp/health_check_service_interface.h>

#include <map>
#include <string>
#include <vector>

#include "server/base/mutex.h"
#include "server/node/ports.h"

namespace kvorum::rpc {

// What grpc.health.v1 answers: "" and "liveness" (the process works), "readiness" (it has
// caught up, and leads or hears its leader), "leader" (this node is the active controller).
// Observes the node; any thread. Owned by the composition root, outlives the servers.
class Health : public NodeObserver {
 public:
  Health();

  void OnRaftTrace(const raft::RaftTrace&) override {}
  void OnLeadership(const raft::LeadershipChange&) override {}
  void OnActiveController(Epoch, bool active) override { Set("leader", active); }
  void OnReadiness(bool is_ready) override { Set("readiness", is_ready); }

  // Everything but liveness is over: load balancers and probes turn away.
  void BeginShutdown();

  bool is_ready() const EXCLUDES_LOCK(mutex_);

  // From now on `service` answers with what is known. Null is ignored.
  void Attach(grpc::HealthCheckServiceInterface* service) EXCLUDES_LOCK(mutex_);
  void DetachAll() EXCLUDES_LOCK(mutex_);

 private:
  void Set(const std::string& name, bool serving) EXCLUDES_LOCK(mutex_);

  mutable Mutex mutex_;
  std::map<std::string, bool> serving_ GUARDED_BY(mutex_);
  std::vector<grpc::HealthCheckServiceInterface*> services_ GUARDED_BY(mutex_);
  bool shutting_down_ GUARDED_BY(mutex_) = false;
};

}  // namespace kvorum::rpc
