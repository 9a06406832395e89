#pragma once

#include "server/raft/raft_state.h"

namespace kvorum::raft {

// The conversations with the other voters: one request in flight to each, back-off after failures.

// No request is in flight to `id` and no back-off runs.
bool IsReady(const RaftState& state, NodeId id);
// When IsReady will hold by the passing of time alone; kNever while a request is in flight.
TimePoint NextReady(const RaftState& state, NodeId id);

// Ends the request in flight if it is `correlation`. False: stale, ignore the answer.
bool FinishRequest(RaftState& state, NodeId id, CorrelationId correlation);

// The last request to `id` was of no use: wait before the next, longer each time.
void BackOff(RaftState& state, NodeId id);
void ClearFailures(RaftState& state, NodeId id);

}  // namespace kvorum::raft
