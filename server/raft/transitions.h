#pragma once

#include <optional>
#include <vector>

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

// REQUIRES: `leader` is another node, and no other leader of `epoch` is known.
void BecomeFollower(RaftState& state, Epoch epoch, Voter leader);

// REQUIRES: a voter. From Unattached, Follower, Candidate; same epoch, voted key kept.
void BecomeProspective(RaftState& state);

// REQUIRES: Prospective, pre-vote won. The only way, beside leaving Resigned, to a new epoch.
void BecomeCandidate(RaftState& state);

// REQUIRES: Candidate, vote won. Appends the first batch of the epoch.
void BecomeLeader(RaftState& state);

// `first` of the successors (nullopt: the most complete one) may be told to be elected at once.
// REQUIRES: Leader.
enum class HandOver { kPreVote, kTransfer };
void BecomeResigned(RaftState& state, HandOver how = HandOver::kPreVote,
                    const std::optional<ReplicaKey>& first = std::nullopt);

// The other voters, best first: those heard lately before the silent ones, then by how complete
// their logs are. REQUIRES: Leader.
std::vector<ReplicaKey> SuccessorsOf(const RaftState& state);

// Adopts what a peer says of a higher epoch: Follower if `leader_id` has an address, by what the
// peer says (`told`) or by the voter set, else Unattached.
void AdoptEpoch(RaftState& state, Epoch epoch, std::optional<NodeId> leader_id,
                const std::optional<Voter>& told);

// Adopts the leader of the present epoch: Follower if it has an address, else its id is remembered.
// REQUIRES: no other was known.
void LearnLeader(RaftState& state, NodeId leader_id, const std::optional<Voter>& told);

// Records a granted vote in the present epoch. REQUIRES: Unattached or Prospective, not voted for
// another.
void RecordVote(RaftState& state, const ReplicaKey& candidate);

}  // namespace kvorum::raft
