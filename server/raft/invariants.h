#pragma once

#include <optional>

#include "server/raft/raft_state.h"

namespace kvorum::raft {

// What must hold of one replica after every step, checked in every build (after LogCabin's
// Invariants). What must hold between replicas is the simulator's to check.

// Aborts unless `state` is consistent with itself. O(voters).
void CheckState(const RaftState& state);

// As CheckState, and every part of the log's shape. O(log); for tests and the simulator.
void CheckStateDeeply(const RaftState& state);

// What CheckStep compares.
struct StateSummary {
  Role role = Role::kUnattached;
  Epoch epoch;
  std::optional<ReplicaKey> voted_key;
  std::optional<NodeId> leader_of_epoch;
  std::optional<Offset> high_watermark;
  Offset log_end;
  uint64_t round = 0;
};
StateSummary Summarize(const RaftState& state);

// Aborts unless one step may lead from `before` to `after`.
void CheckStep(const StateSummary& before, const StateSummary& after);

}  // namespace kvorum::raft
