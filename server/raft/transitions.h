#pragma once

#include <optional>

#include "server/raft/raft_state.h"

namespace kvorum::raft {

// The only functions that change role or epoch (consensus.md §1.2). Each resets the conversations
// with peers, answers what waited on a lost leadership, saves the quorum state, traces, and
// announces.

// What the persisted state says (consensus.md §1.3). At construction only.
void BecomeInitialRole(RaftState& state);

// To a higher epoch; or in the same one from Prospective, when the pre-vote failed and no leader is
// known.
void BecomeUnattached(RaftState& state, Epoch epoch, std::optional<NodeId> leader_id);

// REQUIRES: `leader_id` is another voter, and no other leader of `epoch` is known.
void BecomeFollower(RaftState& state, Epoch epoch, NodeId leader_id);

// REQUIRES: a voter. From Unattached, Follower, Candidate; same epoch, voted key kept.
void BecomeProspective(RaftState& state);

// REQUIRES: Prospective, pre-vote won. The only way, beside leaving Resigned, to a new epoch.
void BecomeCandidate(RaftState& state);

// REQUIRES: Candidate, vote won. Appends the first batch of the epoch.
void BecomeLeader(RaftState& state);

// REQUIRES: Leader.
void BecomeResigned(RaftState& state);

// Adopts what a peer says of a higher epoch: Follower if `leader_id` has an address, else
// Unattached.
void AdoptEpoch(RaftState& state, Epoch epoch, std::optional<NodeId> leader_id);

// Adopts the leader of the present epoch: Follower if it has an address, else its id is remembered.
// REQUIRES: none was known.
void LearnLeader(RaftState& state, NodeId leader_id);

// Records a granted vote in the present epoch. REQUIRES: Unattached or Prospective, not voted for
// another.
void RecordVote(RaftState& state, const ReplicaKey& candidate);

}  // namespace kvorum::raft
