#pragma once

#include "server/raft/raft_state.h"

namespace kvorum::raft {

// The quorum that changes (KIP-853): one replica at a time, by a voter record that counts when it
// is appended and is undone by truncation.

// The set that `change` makes of `voters`.
VoterSet WithChange(const VoterSet& voters, const VoterChange& change);

void OnChangeVoters(RaftState& state, const ChangeVoters& event);
void OnUpdateVoterRequest(RaftState& state, RequestToken token, const UpdateVoterRequest& request);

// What came of the connection to a voter's endpoint: kNone if that very replica answered.
void OnDialed(RaftState& state, ChangeError result);

// The newest voter set, or a change that is under way, is not committed. REQUIRES: Leader.
bool IsChangingVoters(const RaftState& state);

// Answers a change that is committed or late; ends the leadership of one who was removed. REQUIRES:
// Leader. May leave the role.
void PollMembership(RaftState& state);
TimePoint MembershipDeadline(const Leader& leader);

// A voter's side: tells the leader when its entry is not what its settings say.
Duration UpdateVoterPeriod(const RaftConfig& config);
// True if the update was sent in place of a fetch. REQUIRES: Follower, the leader's peer is ready.
bool MaybeSendUpdateVoter(RaftState& state);
void OnUpdateVoterResponse(RaftState& state, NodeId from);

// A replica that caught up with this leader so lately that it can be counted on.
bool IsCaughtUpLately(const RaftState& state, const ReplicaKey& replica);

}  // namespace kvorum::raft
