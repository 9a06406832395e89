#include "server/node/describe_quorum.h"

namespace kvorum {
namespace {

int64_t AgeMs(const std::optional<TimePoint>& then, TimePoint now) {
  return then.has_value()
             ? std::chrono::duration_cast<std::chrono::milliseconds>(now - *then).count()
             : -1;
}

void SetAddress(const raft::PeerAddress& address, v1::ReplicaStatus& status) {
  status.mutable_controller_endpoint()->set_host(address.host);
  status.mutable_controller_endpoint()->set_port(address.port);
}

v1::ReplicaStatus MakeStatus(const raft::ReplicaDescription& replica, TimePoint now) {
  v1::ReplicaStatus status;
  status.set_node_id(replica.key.node_id.value());
  status.set_directory_id(replica.key.directory_id.ToString());
  if (replica.is_voter) {
    SetAddress(replica.address, status);
  }
  status.set_log_end_offset(replica.log_end_offset.has_value() ? replica.log_end_offset->value()
                                                               : -1);
  status.set_last_fetch_age_ms(AgeMs(replica.last_fetch, now));
  status.set_last_caught_up_age_ms(AgeMs(replica.last_caught_up, now));
  return status;
}

}  // namespace

v1::QuorumVoter MakeQuorumVoter(const raft::Voter& voter) {
  v1::QuorumVoter out;
  out.set_node_id(voter.key.node_id.value());
  out.set_directory_id(voter.key.directory_id.ToString());
  out.mutable_controller_endpoint()->set_host(voter.address.host);
  out.mutable_controller_endpoint()->set_port(voter.address.port);
  return out;
}

v1::QuorumView MakeQuorumView(const raft::VoterSet& voters) {
  v1::QuorumView view;
  for (const auto& [id, voter] : voters.voters()) {
    *view.add_voters() = MakeQuorumVoter(voter);
  }
  view.set_majority(static_cast<int32_t>(voters.majority()));
  view.set_fault_tolerance(static_cast<int32_t>(voters.fault_tolerance()));
  return view;
}

v1::DescribeClusterResponse DescribeCluster(const raft::RaftDescription& raft,
                                            const std::map<NodeId, std::string>& client_endpoints) {
  v1::DescribeClusterResponse response;
  const auto add = [&](const ReplicaKey& key) -> v1::ControllerNode& {
    v1::ControllerNode& node = *response.add_controllers();
    node.set_node_id(key.node_id.value());
    node.set_directory_id(key.directory_id.ToString());
    node.set_leader(raft.leader_id == key.node_id);
    if (const auto it = client_endpoints.find(key.node_id); it != client_endpoints.end()) {
      node.set_client_endpoint(it->second);
    }
    return node;
  };
  for (const auto& [id, voter] : raft.voters.voters()) {
    v1::ControllerNode& node = add(voter.key);
    node.set_voter(true);
    node.mutable_controller_endpoint()->set_host(voter.address.host);
    node.mutable_controller_endpoint()->set_port(voter.address.port);
  }
  for (const raft::ReplicaDescription& replica : raft.replicas) {
    if (!replica.is_voter) {
      add(replica.key);
    }
  }
  response.set_fault_tolerance(static_cast<int32_t>(raft.voters.fault_tolerance()));
  return response;
}

v1::DescribeQuorumResponse DescribeQuorum(const raft::RaftDescription& raft,
                                          const std::map<NodeId, std::string>& client_endpoints,
                                          TimePoint now) {
  v1::DescribeQuorumResponse response;
  response.set_role(raft.is_voter || raft.role == raft::Role::kLeader
                        ? std::string(raft::RoleName(raft.role))
                        : "observer");
  response.set_high_watermark(raft.high_watermark.has_value() ? raft.high_watermark->value() : -1);
  response.set_log_start_offset(raft.log_start_offset.value());
  response.set_log_end_offset(raft.log_end.offset.value());
  response.set_latest_snapshot_end(
      raft.latest_snapshot.has_value() ? raft.latest_snapshot->offset.value() : -1);
  response.set_quarantined(raft.is_quarantined);
  for (const auto& [id, voter] : raft.committed_voters.voters()) {
    *response.add_committed_voters() = MakeQuorumVoter(voter);
  }
  response.set_voters_offset(raft.voters_offset.has_value() ? raft.voters_offset->value() : -1);
  response.set_voter_change_pending(raft.is_changing_voters);
  response.set_fault_tolerance(static_cast<int32_t>(raft.voters.fault_tolerance()));
  if (raft.role == raft::Role::kLeader) {
    for (const raft::ReplicaDescription& replica : raft.replicas) {
      *(replica.is_voter ? response.add_voters() : response.add_observers()) =
          MakeStatus(replica, now);
    }
  } else {
    // Only the leader knows the replicas' progress.
    for (const auto& [id, voter] : raft.voters.voters()) {
      raft::ReplicaDescription replica;
      replica.key = voter.key;
      replica.address = voter.address;
      replica.is_voter = true;
      *response.add_voters() = MakeStatus(replica, now);
    }
  }
  const auto set_endpoint = [&client_endpoints](v1::ReplicaStatus& replica) {
    const auto it = client_endpoints.find(NodeId(replica.node_id()));
    if (it != client_endpoints.end()) {
      replica.set_client_endpoint(it->second);
    }
  };
  for (v1::ReplicaStatus& observer : *response.mutable_observers()) {
    set_endpoint(observer);
  }
  for (v1::ReplicaStatus& voter : *response.mutable_voters()) {
    set_endpoint(voter);
    if (raft.role == raft::Role::kLeader && raft.leader_id == NodeId(voter.node_id())) {
      voter.set_last_fetch_age_ms(0);
      voter.set_last_caught_up_age_ms(0);
    }
  }
  return response;
}

}  // namespace kvorum
