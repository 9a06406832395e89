#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/mutex.h"
#include "server/config/server_config.h"
#include "server/observability/http_endpoint.h"
#include "server/rpc/cluster_service.h"
#include "server/rpc/health.h"
#include "server/rpc/waiting_server.h"
#include "storage/meta_properties.h"
#include "storage/waiting_identity.h"

namespace kvorum {

// The birth of a cluster: a controller on an empty directory waits until ClusterService/Initialize
// tells it who the voters are. Never on its own account: a voter that came back on an empty disk
// and formatted itself would have forgotten its votes.

// The configuration with a free port where it says 0.
ServerConfig WithFreePorts(ServerConfig config);

// Where clients, and the other controllers, are told to find this node.
HostPort ClientEndpoint(const ServerConfig& config);
HostPort ControllerEndpoint(const ServerConfig& config);

// True for `run` with a node id on a directory that was never formatted.
bool MustWaitForCluster(const ServerConfig& config);

// A controller that waits. Owned by `run`; its calls come on gRPC's threads.
class Bootstrap final : public rpc::ClusterHost {
 public:
  // `on_initialized` is called once, on a gRPC thread, while the call that did it is answered.
  // REQUIRES: config.node_id is set, and no port is 0.
  static absl::StatusOr<std::unique_ptr<Bootstrap>> Start(const ServerConfig& config,
                                                          std::function<void()> on_initialized);

  // "node=1 directory=8925… clients=c1:7400 controllers=c1:7401"
  std::string Text() const;
  bool is_initialized() const EXCLUDES_LOCK(mutex_);

  // Frees the listeners, once the answer to who initialized it has left.
  void Stop();

  v1::DescribeNodeResponse Describe() const override;
  absl::StatusOr<v1::InitializeResponse> Initialize(const v1::InitializeRequest& request) override
      EXCLUDES_LOCK(mutex_);

 private:
  Bootstrap(const ServerConfig& config, std::unique_ptr<WaitingIdentity> identity,
            std::function<void()> on_initialized);

  absl::Status Listen();
  absl::Status CheckSelf(const std::vector<InitialVoter>& voters) const;

  const ServerConfig config_;
  const std::unique_ptr<WaitingIdentity> identity_;
  const std::function<void()> on_initialized_;
  mutable Mutex mutex_;  // held while the directory is formatted: one at a time
  std::optional<MetaProperties> properties_ GUARDED_BY(mutex_);  // once it is

  rpc::Health health_;
  rpc::WaitingServer server_;
  std::unique_ptr<HttpEndpoint> http_;
};

// A controller that belongs to a cluster. Owned by Daemon; any thread.
class ClusterMember final : public rpc::ClusterHost {
 public:
  ClusterMember(const ServerConfig& config, const MetaProperties& properties);

  v1::DescribeNodeResponse Describe() const override { return description_; }
  absl::StatusOr<v1::InitializeResponse> Initialize(const v1::InitializeRequest& request) override;

 private:
  const MetaProperties properties_;
  const v1::DescribeNodeResponse description_;
};

}  // namespace kvorum
