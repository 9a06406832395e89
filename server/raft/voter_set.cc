#include "server/raft/voter_set.h"

#include <utility>

#include "server/base/check.h"

namespace kvorum::raft {

VoterSet::VoterSet(std::vector<Voter> voters) {
  for (Voter& voter : voters) {
    const NodeId id = voter.key.node_id;
    const bool inserted = voters_.emplace(id, std::move(voter)).second;
    KVORUM_CHECK(inserted, "node {} is listed twice in a voter set", id);
  }
}

bool VoterSet::Contains(const ReplicaKey& key) const {
  const Voter* voter = Find(key.node_id);
  return voter != nullptr && voter->key == key;
}

const Voter* VoterSet::Find(NodeId id) const {
  const auto it = voters_.find(id);
  return it == voters_.end() ? nullptr : &it->second;
}

}  // namespace kvorum::raft
