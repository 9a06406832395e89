#pragma once

#include "server/raft/raft_state.h"

namespace kvorum::raft {

// What a leader does: appends, commits, tells voters of itself, gives up without a majority; and
// what it does after, as Resigned.

// REQUIRES: Leader of the event's epoch, not shutting down.
void OnAppendRecords(RaftState& state, const AppendRecords& event);

// Takes the majority's durable end as high watermark if it is past the epoch's first record (Raft
// §5.4.2) and wakes the fetches that want to know. REQUIRES: Leader.
void MaybeAdvanceHighWatermark(RaftState& state);

// REQUIRES: Leader.
void PollLeader(RaftState& state);
TimePoint LeaderDeadline(const RaftState& state);

// `from` has seen that this leadership ends. REQUIRES: Resigned.
void OnEndQuorumEpochResponse(RaftState& state, NodeId from);
// REQUIRES: Resigned.
void PollResigned(RaftState& state);
TimePoint ResignedDeadline(const RaftState& state);

}  // namespace kvorum::raft
