#pragma once

#include "server/raft/raft_state.h"

namespace kvorum::raft {

// Linearizable reads without log records (Raft §8; thesis §6.4): a majority echoes a round number
// that was given out after the read arrived, so no other leader had been elected by then.

void OnConfirmLeadership(RaftState& state, ReadToken token);

// Counts the echoes; answers the reads whose round a majority has seen; begins the next round if
// some wait for it. REQUIRES: Leader.
void MaybeConfirmReads(RaftState& state);

// A round is under way that this fetch's voter has not seen: answer it rather than park it.
// REQUIRES: Leader.
bool NeedsRound(const RaftState& state, const WaitingFetch& fetch);

}  // namespace kvorum::raft
