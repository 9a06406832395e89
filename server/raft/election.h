#pragma once

#include "server/raft/raft_state.h"

namespace kvorum::raft {

// Vote and pre-vote, both sides (Raft §5.2, §5.4.1; KIP-595 "Vote"; KIP-996).

void OnVoteRequest(RaftState& state, RequestToken token, const VoteRequest& request);

// `from` answered the one request in flight to it; its epoch is ours and it reports no error.
void OnVoteResponse(RaftState& state, NodeId from, const VoteResponse& response);

// Counts the answers, asks those who have not answered, ends what has run out of time.
// REQUIRES: Prospective or Candidate.
void PollElection(RaftState& state);
// When PollElection would next act.
TimePoint ElectionDeadline(const RaftState& state);

}  // namespace kvorum::raft
