#include "server/cmd/observer_join.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

#include "server/base/errors.h"
#include "server/base/log.h"
#include "server/base/status_macros.h"
#include "server/cmd/format.h"
#include "server/rpc/cluster_probe.h"
#include "storage/meta_properties.h"

namespace kvorum {
namespace {

constexpr Duration kAskTimeout = std::chrono::seconds(1);

// Two nodes of one id would be taken for each other by clients that follow a hint.
absl::Status CheckNodeId(NodeId node_id, const v1::DescribeNodeResponse& member) {
  const bool is_taken = member.self().node_id() == node_id.value() ||
                        std::any_of(member.initial_voters().begin(), member.initial_voters().end(),
                                    [&](const v1::ClusterVoter& voter) {
                                      return voter.node_id() == node_id.value();
                                    });
  return is_taken
             ? MakeError(ErrorReason::kInvalidRequest,
                         fmt::format("node-id {} is a controller's of cluster {} already; give "
                                     "the observer an id of its own",
                                     node_id, member.cluster_id()))
             : absl::OkStatus();
}

}  // namespace

bool MustJoinAsObserver(const ServerConfig& config) {
  return config.observer && absl::IsNotFound(ReadMetaProperties(config.data_dir).status());
}

absl::StatusOr<std::unique_ptr<ObserverJoin>> ObserverJoin::Start(const ServerConfig& config) {
  if (!config.node_id.has_value()) {
    return MakeError(ErrorReason::kInvalidRequest,
                     fmt::format("{} is empty: an observer that begins needs a node-id that no "
                                 "other node of the cluster has",
                                 config.data_dir));
  }
  KVORUM_ASSIGN_OR_RETURN(
      std::unique_ptr<WaitingIdentity> identity,
      WaitingIdentity::Take(config.data_dir, NodeId(*config.node_id), *Uuid::Parse(RandomId())));
  return std::unique_ptr<ObserverJoin>(new ObserverJoin(config, std::move(identity)));
}

absl::Status ObserverJoin::Try() {
  absl::Status last;
  for (const HostPort& server : config_.quorum_bootstrap_servers) {
    const auto member = rpc::AskForCluster({server.host, server.port}, kAskTimeout);
    if (member.ok()) {
      return Join(*member);
    }
    last = member.status();
  }
  return last;
}

absl::Status ObserverJoin::Join(const v1::DescribeNodeResponse& member) {
  if (!config_.cluster_id.empty() && config_.cluster_id != member.cluster_id()) {
    return MakeError(ErrorReason::kInconsistentClusterId,
                     fmt::format("this observer is configured for cluster {}, and the controllers "
                                 "of quorum-bootstrap-servers belong to {}",
                                 config_.cluster_id, member.cluster_id()));
  }
  const ReplicaKey& self = identity_->replica();
  KVORUM_RETURN_IF_ERROR(CheckNodeId(self.node_id, member));
  KVORUM_RETURN_IF_ERROR(Format({.data_dir = config_.data_dir,
                                 .cluster_id = member.cluster_id(),
                                 .node_id = self.node_id.value(),
                                 .initial_voters = {},
                                 .generation = member.generation(),
                                 .directory_id = self.directory_id.ToString()})
                             .status());
  identity_->Remove();
  LogInfo("node", "node={} joins cluster={} generation={:016x} as an observer", self.node_id,
          member.cluster_id(), member.generation());
  return absl::OkStatus();
}

std::string ObserverJoin::Text() const {
  std::vector<std::string> servers;
  for (const HostPort& server : config_.quorum_bootstrap_servers) {
    servers.push_back(server.ToString());
  }
  return fmt::format("node={} directory={} controllers={}", identity_->replica().node_id,
                     identity_->replica().directory_id, fmt::join(servers, ","));
}

}  // namespace kvorum
