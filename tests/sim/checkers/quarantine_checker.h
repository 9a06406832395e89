#pragma once

#include "server/raft/effects.h"
#include "tests/sim/world.h"

namespace kvorum::sim {

// Invariant 39 Quarantine: a replica whose disk has forgotten something knows it, grants no vote
// and asks for none, says with each fetch that it acknowledges nothing, and is a voter again only
// when everything committed that it ever held is on its disk again. That it is not counted before
// is 11 QuorumDurable. Owned by Checks.
class QuarantineChecker {
 public:
  explicit QuarantineChecker(World& world) : world_(world) {}

  void OnTurn(const SimProcess& process) const;
  void OnDurable(const SimController& machine);
  void OnRequestSent(const SimProcess& process, const raft::SendRequest& request) const;
  void OnResponseSent(const SimProcess& process, const raft::RaftRequest& request,
                      const raft::RaftResponse& response) const;
  void OnTrace(const SimProcess& process, const raft::RaftTrace& trace) const;

 private:
  // What `disk` held of the committed log, its end.
  BatchEnd CommittedOn(const MemoryDisk& disk) const;

  World& world_;
};

}  // namespace kvorum::sim
