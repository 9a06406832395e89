#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "server/cmd/bootstrap.h"
#include "server/config/server_config.h"
#include "server/node/ports.h"
#include "server/observability/http_endpoint.h"
#include "server/observability/metrics.h"
#include "server/observability/raft_observer.h"
#include "server/rpc/grpc_server.h"
#include "server/rpc/health.h"
#include "server/rpc/peer_client.h"
#include "server/runtime/node_runner.h"
#include "storage/meta_properties.h"
#include "storage/storage.h"

namespace kvorum {

// One controller, whole: the composition root's objects in the order they are built; stopped in
// reverse. Owned by a command; main thread.
class Daemon {
 public:
  struct StartResult {
    std::unique_ptr<Daemon> daemon;  // null: see below
    absl::Status status;
    int exit_code = 0;
  };

  // Reads the data directory, recovers the log and begins to listen.
  static StartResult Start(const ServerConfig& config);

  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // "node=1 clients=c1:7400 controllers=0.0.0.0:7401 http=127.0.0.1:7402"
  std::string Describe() const;
  const std::string& client_endpoint() const { return client_endpoint_; }

  // Logs the state of the node (SIGUSR1).
  void LogState();

  // Ordered stop: answers what is pending, hands the leadership over, closes the listeners, stops
  // the loops. False if that took too long; then only the process's end remains, which is safe at
  // any time.
  bool Shutdown();

 private:
  // Forwards to everybody who observes the node.
  class Observers : public NodeObserver {
   public:
    Observers(RaftObserver& log, rpc::Health& health) : log_(log), health_(health) {}
    void OnRaftTrace(const raft::RaftTrace& trace) override;
    void OnLeadership(const raft::LeadershipChange& change) override;
    void OnActiveController(Epoch epoch, bool active) override;
    void OnReadiness(bool is_ready) override;
    void OnSnapshotDamaged(const SnapshotId& id, const absl::Status& status) override;
    void OnPropagated(Duration elapsed) override;

   private:
    RaftObserver& log_;
    rpc::Health& health_;
  };

  Daemon(ServerConfig config, MetaProperties properties);

  absl::Status OpenStorage();
  absl::Status CheckRole() const;  // of what was recovered
  void StartNode();
  absl::Status Listen();

  ServerConfig config_;  // ports filled in
  const MetaProperties properties_;
  const std::string client_endpoint_;
  ClusterMember cluster_member_;

  Metrics metrics_;
  RaftObserver raft_observer_;
  rpc::Health health_;
  Observers observers_;
  NodeRunner runner_;
  rpc::PeerClient peers_;
  RecoveredState recovered_;
  std::unique_ptr<Storage> storage_;  // its completions go to runner_
  std::unique_ptr<rpc::GrpcServer> server_;
  std::unique_ptr<HttpEndpoint> http_;
};

}  // namespace kvorum
