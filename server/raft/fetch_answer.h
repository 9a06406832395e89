#pragma once

#include "server/raft/raft_state.h"

namespace kvorum::raft {

// The leader's side of Fetch (KIP-595 "Fetch"; consensus.md §2.4): valid, diverging, or wait.

void OnFetchRequest(RaftState& state, RequestToken token, const FetchRequest& request);

// The leader-only check (consensus.md §2.0), in Kafka's order. A fetch never advances the
// receiver's epoch.
RaftError CheckLeader(const RaftState& state, Epoch requested);
// What the leader remembers of `replica`, begun if need be; nullptr: it has too many already.
// REQUIRES: Leader.
ReplicaProgress* ProgressOf(RaftState& state, const ReplicaKey& replica);

// Answers a parked fetch with whatever there is now. REQUIRES: Leader.
void AnswerFetch(RaftState& state, const WaitingFetch& fetch);

// Answers the parked fetches for which `wanted` holds. REQUIRES: Leader.
template <typename Predicate>
void WakeFetches(RaftState& state, Predicate wanted) {
  for (const WaitingFetch& fetch : state.waiting_fetches.TakeIf(wanted)) {
    AnswerFetch(state, fetch);
  }
}

}  // namespace kvorum::raft
