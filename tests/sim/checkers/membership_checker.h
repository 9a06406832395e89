#pragma once

#include "absl/status/statusor.h"
#include "server/node/quorum_changes.h"
#include "storage/types/storage_write.h"
#include "tests/sim/world.h"

namespace kvorum::sim {

// Invariant 35 ReconfigOneStep: a leader changes the voter set by one replica at a time, after the
// set before is committed and a record of its own epoch too; the newest set in the log is the one
// that counts, and a truncated one gives way to the one before. Owned by Checks.
class MembershipChecker {
 public:
  explicit MembershipChecker(World& world) : world_(world) {}

  // Before the log mirror knows of it.
  void OnSubmit(const SimProcess& process, const StorageWrite& write);
  void OnTurn(const SimProcess& process) const;
  // An OK answer claims that its voter set is committed.
  void OnAnswered(const SimProcess& process, const absl::StatusOr<QuorumReply>& reply) const;

 private:
  void CheckChange(const SimProcess& process, const raft::VoterSet& voters) const;

  World& world_;
};

}  // namespace kvorum::sim
