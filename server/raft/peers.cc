#include "server/raft/peers.h"

#include "server/base/mutants.h"

namespace kvorum::raft {

bool IsReady(const RaftState& state, NodeId id) { return NextReady(state, id) <= state.now.now; }

TimePoint NextReady(const RaftState& state, NodeId id) {
  const auto it = state.peers.find(id);
  if (it == state.peers.end()) {
    return state.now.now;
  }
  return it->second.in_flight.has_value() ? kNever : it->second.ready_at;
}

bool FinishRequest(RaftState& state, NodeId id, CorrelationId correlation) {
  const auto it = state.peers.find(id);
  const bool is_stale = it != state.peers.end() && it->second.in_flight != correlation;
  if (it == state.peers.end() || (is_stale && !KVORUM_MUTANT(StaleAnswers))) {
    return false;
  }
  it->second.in_flight.reset();
  if (state.fetch_target == id) {
    state.fetch_target.reset();
  }
  return true;
}

void BackOff(RaftState& state, NodeId id) {
  PeerConnection& peer = state.peers[id];
  ++peer.failures;
  peer.ready_at = state.now.now + BackoffAfter(state.config, peer.failures);
}

void ClearFailures(RaftState& state, NodeId id) {
  const auto it = state.peers.find(id);
  if (it != state.peers.end()) {
    it->second.failures = 0;
  }
}

}  // namespace kvorum::raft
