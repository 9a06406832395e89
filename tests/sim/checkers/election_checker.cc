#include "tests/sim/checkers/election_checker.h"

#include <algorithm>

#include "server/base/check.h"
#include "server/base/overloaded.h"
#include "server/raft/raft_state.h"
#include "tests/sim/sim_process.h"

namespace kvorum::sim {
namespace {

Epoch EpochOf(const raft::RaftRequest& request) {
  return std::visit(Overloaded{
                        [](const raft::VoteRequest& r) { return r.epoch; },
                        [](const raft::BeginQuorumEpochRequest& r) { return r.leader_epoch; },
                        [](const raft::EndQuorumEpochRequest& r) { return r.leader_epoch; },
                        [](const raft::FetchRequest& r) { return r.current_leader_epoch; },
                        [](const raft::FetchSnapshotRequest& r) { return r.current_leader_epoch; },
                        [](const raft::UpdateVoterRequest& r) { return r.current_leader_epoch; },
                    },
                    request);
}

}  // namespace

void ElectionChecker::OnStart(const SimController& machine) { OnDurable(machine); }

void ElectionChecker::OnDurable(const SimController& machine) {
  const std::optional<QuorumState>& state = machine.disk().quorum_state();
  if (!state.has_value()) {
    return;
  }
  Epoch& newest = durable_epochs_[machine.id()];
  KVORUM_CHECK(state->epoch >= newest, "invariant 2 EpochMonotone: node {} went from {} to {}",
               machine.id(), newest, state->epoch);
  newest = state->epoch;
  if (state->leader_id == machine.id()) {
    durably_led_[machine.id()] = state->epoch;
  }
}

void ElectionChecker::CheckEpochIsDurable(const SimProcess& process, Epoch epoch,
                                          const char* what) const {
  const std::optional<QuorumState>& state = process.storage().disk().quorum_state();
  const Epoch durable = state.has_value() ? state->epoch : Epoch{0};
  KVORUM_CHECK(epoch <= durable,
               "invariant 4 VoteDurable: {} sends a {} of epoch {}, on disk is {}", process.id(),
               what, epoch, durable);
}

void ElectionChecker::CheckVoteIsDurable(const SimProcess& process, Epoch epoch,
                                         const ReplicaKey& candidate) const {
  const std::optional<QuorumState>& state = process.storage().disk().quorum_state();
  // Once a higher epoch is durable the vote of this one can't be given to anybody else any more.
  if (state.has_value() && state->epoch > epoch) {
    return;
  }
  KVORUM_CHECK(state.has_value() && state->epoch == epoch && state->voted_key == candidate,
               "invariant 4 VoteDurable: {} votes for {} in epoch {} without that on its disk",
               process.id(), candidate.node_id, epoch);
}

void ElectionChecker::OnRequestSent(const SimProcess& process, const raft::SendRequest& request) {
  CheckEpochIsDurable(process, EpochOf(request.request), "request");
  const auto* vote = std::get_if<raft::VoteRequest>(&request.request);
  if (vote != nullptr && !vote->pre_vote) {
    CheckVoteIsDurable(process, vote->epoch, vote->header.sender);
    OnGrantSent(process, vote->epoch, vote->header.sender);
  }
}

void ElectionChecker::OnGrantSent(const SimProcess& process, Epoch epoch,
                                  const ReplicaKey& candidate) {
  const ReplicaKey& voter = process.node().core().state().config.self;
  const auto [first, is_new] = grants_.emplace(std::pair(epoch, voter), candidate);
  KVORUM_CHECK(is_new || first->second == candidate,
               "invariant 3 VoteOnce: {} voted for {} and for {} in epoch {}", process.id(),
               first->second.node_id, candidate.node_id, epoch);
  won_[{epoch, candidate}].insert(voter);
}

void ElectionChecker::OnResponseSent(const SimProcess& process, const raft::RaftRequest& request,
                                     const raft::RaftResponse& response) {
  CheckEpochIsDurable(process, raft::HeaderOf(response).leader_epoch, "response");
  const auto* vote = std::get_if<raft::VoteRequest>(&request);
  const auto* answer = std::get_if<raft::VoteResponse>(&response);
  if (vote != nullptr && answer != nullptr && answer->vote_granted && !vote->pre_vote) {
    CheckVoteIsDurable(process, vote->epoch, vote->header.sender);
    OnGrantSent(process, vote->epoch, vote->header.sender);
  }
}

void ElectionChecker::OnLeadership(const SimProcess& process,
                                   const raft::LeadershipChange& change) {
  if (!change.is_leader) {
    return;
  }
  const auto [leader, is_new] = leaders_.emplace(change.epoch, process.id());
  KVORUM_CHECK(leader->second.node == process.id().node,
               "invariant 1 ElectionSafety: {} and {} lead epoch {}", leader->second, process.id(),
               change.epoch);
  const raft::VoterSet& voters = process.storage().mirror().voters();
  if (leader->second != process.id() && voters.size() == 1 &&
      durably_led_[process.id().node] < change.epoch) {
    leader->second = process.id();  // a lone voter that lost its election with the crash
  }
  KVORUM_CHECK(leader->second == process.id(),
               "invariant 5 NoEpochReuse: {} leads epoch {} as {} did", process.id(), change.epoch,
               leader->second);
  if (!is_new) {
    return;
  }
  const ReplicaKey& self = process.node().core().state().config.self;
  const std::set<ReplicaKey>& won = won_[{change.epoch, self}];
  const auto votes =
      static_cast<size_t>(std::count_if(won.begin(), won.end(), [&voters](const ReplicaKey& voter) {
        return voters.Contains(voter);
      }));
  const bool is_alone = voters.size() == 1 && voters.Contains(self);
  KVORUM_CHECK(is_alone || votes >= voters.majority(),
               "invariant 36 NonVotersDontCount: {} leads epoch {} with {} votes of voters",
               process.id(), change.epoch, votes);
  const BatchEnd committed = world_.ghost.EndCommittedBefore(change.epoch);
  const std::optional<BatchEnd> own = process.storage().mirror().EndAt(committed.end_offset);
  KVORUM_CHECK(own.has_value() && own->chain_hash == committed.chain_hash,
               "invariant 9 LeaderCompleteness: {} leads epoch {} without what is committed below "
               "{}",
               process.id(), change.epoch, committed.end_offset);
}

}  // namespace kvorum::sim
