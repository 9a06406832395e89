#pragma once

#include <optional>

#include "server/raft/raft_core.h"
#include "tests/sim/world.h"

namespace kvorum::sim {

// Invariants 37 Identity and 36 NonVotersDontCount: a message of another cluster, for another
// replica, or from one that is no voter leaves the receiver as it was. Owned by Checks.
class IdentityChecker {
 public:
  void Before(const SimProcess& process);
  void After(const SimProcess& process, const raft::RaftRequest& request);

 private:
  std::optional<raft::RaftDescription> before_;
};

}  // namespace kvorum::sim
