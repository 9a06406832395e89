#pragma once

#include <string>

#include "server/raft/raft_state.h"

namespace kvorum::raft {

// Leadership that is given away: because somebody asked for it, or because this node has seen that
// it is not fit to lead.

void OnTransferLeadership(RaftState& state, const TransferLeadership& event);

// Resigns once the target of a transfer has caught up, or when the leader's own disk or loop has
// stalled and others could carry on. REQUIRES: Leader. May leave the role.
void PollHandOver(RaftState& state);
TimePoint HandOverDeadline(const RaftState& state);

// A replica asked for the log that is in a later epoch. If it may not campaign (an observer say,
// that took part in an election nobody heard of before it was removed) it can follow no leader of
// an epoch before its own, nor bring the others to it: the next election does, so this leader hands
// over if others can carry on. Its own epoch stays (consensus.md §2.0): only who wants to lead may
// raise it.
void OnFetchOfLaterEpoch(RaftState& state);

// Notes that the loop stood still, if it did: the step comes much later than was asked for.
void NoteLoopGap(RaftState& state);

// After every step: tells who asked for a transfer what became of it.
void PollTransfer(RaftState& state);
// Answers a transfer that this node will not see the end of.
void FailTransfer(RaftState& state, std::string why);

}  // namespace kvorum::raft
