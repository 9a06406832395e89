#pragma once

#include <map>
#include <set>
#include <utility>

#include "server/raft/effects.h"
#include "tests/sim/world.h"

namespace kvorum::sim {

// Who may lead: invariants 1 ElectionSafety, 2 EpochMonotone, 3 VoteOnce, 4 VoteDurable,
// 5 NoEpochReuse, 9 LeaderCompleteness, and of 36 NonVotersDontCount the elections. Owned by
// Checks.
class ElectionChecker {
 public:
  explicit ElectionChecker(World& world) : world_(world) {}

  void OnStart(const SimController& machine);
  void OnDurable(const SimController& machine);
  void OnDiskReplaced(NodeId node) {
    durable_epochs_.erase(node);
    durably_led_.erase(node);
  }
  void OnRequestSent(const SimProcess& process, const raft::SendRequest& request);
  void OnResponseSent(const SimProcess& process, const raft::RaftRequest& request,
                      const raft::RaftResponse& response);
  void OnLeadership(const SimProcess& process, const raft::LeadershipChange& change);

 private:
  void CheckEpochIsDurable(const SimProcess& process, Epoch epoch, const char* what) const;
  void CheckVoteIsDurable(const SimProcess& process, Epoch epoch,
                          const ReplicaKey& candidate) const;
  void OnGrantSent(const SimProcess& process, Epoch epoch, const ReplicaKey& candidate);

  World& world_;
  std::map<Epoch, ProcessId> leaders_;
  std::map<NodeId, Epoch> durable_epochs_;
  std::map<NodeId, Epoch> durably_led_;  // newest epoch whose leadership reached the disk
  std::map<std::pair<Epoch, ReplicaKey>, ReplicaKey> grants_;         // by voter
  std::map<std::pair<Epoch, ReplicaKey>, std::set<ReplicaKey>> won_;  // by candidate, from anybody
};

}  // namespace kvorum::sim
