#pragma once

#include "server/raft/raft_state.h"

namespace kvorum::raft {

// A voter has sent a request and says where it listens. Where the voter set says otherwise, it is
// sent to there until the set is told: if the leader is lost before that, the one with the longest
// log may be one that would look for it in vain, and refuses its vote (KIP-853 leaves that open).
void NoteAddress(RaftState& state, const RequestHeader& header);
PeerAddress CurrentAddress(const RaftState& state, const Voter& voter);
// Not found there, or another replica was. What it said may have been old and arrived late: the two
// addresses are tried in turn.
void NoteNotFound(RaftState& state, NodeId id);

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
