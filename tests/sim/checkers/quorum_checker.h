#pragma once

#include <map>
#include <optional>
#include <utility>

#include "server/base/time.h"
#include "server/raft/messages.h"
#include "tests/sim/world.h"

namespace kvorum::sim {

// Check-quorum (KAFKA-15489): who leads has been asked by a majority of voters, itself counted,
// within one and a half fetch timeouts of its own clock. Owned by Checks.
class QuorumChecker {
 public:
  explicit QuorumChecker(World& world) : world_(world) {}

  void OnRequestHandled(const SimProcess& process, const raft::RaftRequest& request);
  void OnTurn(const SimProcess& process);

 private:
  World& world_;
  // When each process last heard of each replica, and since when it leads its epoch.
  std::map<std::pair<ProcessId, ReplicaKey>, TimePoint> heard_;
  std::map<NodeId, std::pair<Epoch, TimePoint>> leads_since_;
};

}  // namespace kvorum::sim
