#include "server/raft/reads.h"

#include <limits>

#include "server/base/mutants.h"
#include "server/raft/fetch_answer.h"

namespace kvorum::raft {
namespace {

void Answer(RaftState& state, ReadToken token, std::optional<Offset> read_offset) {
  state.effects.reads.push_back(ReadConfirmed{.token = token,
                                              .confirmed = read_offset.has_value(),
                                              .read_offset = read_offset.value_or(Offset(0))});
}

uint64_t MajorityRound(const RaftState& state, const Leader& leader) {
  return MajorityValue<uint64_t>(Voters(state), [&](const Voter& voter) -> uint64_t {
    if (voter.key == state.config.self) {
      return state.round;
    }
    const auto it = leader.progress.find(voter.key);
    return it == leader.progress.end() ? 0 : it->second.round();
  });
}

// Reads that come while a round is under way share the next one, so rounds batch by themselves.
void MaybeBeginRound(RaftState& state, Leader& leader) {
  const bool is_wanted = !leader.reads.empty() && leader.reads.back().round > state.round;
  if (!is_wanted || leader.confirmed_round < state.round) {
    return;
  }
  ++state.round;
  WakeFetches(state, [&](const WaitingFetch& fetch) { return NeedsRound(state, fetch); });
}

}  // namespace

void OnConfirmLeadership(RaftState& state, ReadToken token) {
  auto* leader = std::get_if<Leader>(&state.role);
  if (leader == nullptr || leader->reads.size() >= state.config.max_waiting_reads) {
    Answer(state, token, std::nullopt);
    return;
  }
  leader->reads.push_back(
      WaitingRead{.token = token, .round = KVORUM_MUTANT(R06) ? state.round : state.round + 1});
  MaybeConfirmReads(state);
}

void MaybeConfirmReads(RaftState& state) {
  auto& leader = std::get<Leader>(state.role);
  if (leader.reads.empty()) {
    return;
  }
  MaybeBeginRound(state, leader);
  leader.confirmed_round = std::max(leader.confirmed_round, MajorityRound(state, leader));
  // Until a record of this epoch is committed, older committed ones may be unknown (Raft §8).
  while ((leader.high_watermark.has_value() || KVORUM_MUTANT(R05)) && !leader.reads.empty() &&
         leader.reads.front().round <= leader.confirmed_round) {
    Answer(state, leader.reads.front().token,
           KVORUM_MUTANT(R05) ? state.high_watermark : leader.high_watermark);
    leader.reads.pop_front();
  }
  MaybeBeginRound(state, leader);
}

bool NeedsRound(const RaftState& state, const WaitingFetch& fetch) {
  const auto& leader = std::get<Leader>(state.role);
  return fetch.round < state.round && leader.confirmed_round < state.round &&
         Voters(state).Contains(fetch.replica);
}

}  // namespace kvorum::raft
