#include "server/raft/peers.h"

#include "server/base/mutants.h"

namespace kvorum::raft {

void NoteAddress(RaftState& state, const RequestHeader& header) {
  const Voter* listed = Voters(state).Find(header.sender.node_id);
  if (listed == nullptr || listed->key != header.sender || !header.sender_address.has_value()) {
    return;
  }
  if (listed->address == *header.sender_address || KVORUM_MUTANT(MoveOverheard)) {
    state.moved_voters.erase(header.sender.node_id);
  } else {
    state.moved_voters[header.sender.node_id] =
        MovedVoter{.listed = *listed, .address = *header.sender_address};
  }
}

PeerAddress CurrentAddress(const RaftState& state, const Voter& voter) {
  const auto it = state.moved_voters.find(voter.key.node_id);
  const bool is_elsewhere =
      it != state.moved_voters.end() && it->second.listed == voter && !it->second.is_in_doubt;
  return is_elsewhere ? it->second.address : voter.address;
}

void NoteNotFound(RaftState& state, NodeId id) {
  const auto it = state.moved_voters.find(id);
  if (it != state.moved_voters.end()) {
    it->second.is_in_doubt = !it->second.is_in_doubt;
  }
}

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
