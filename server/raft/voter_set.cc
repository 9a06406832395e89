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

VoterSet VoterSet::With(Voter voter) const {
  VoterSet set = *this;
  set.voters_.insert_or_assign(voter.key.node_id, std::move(voter));
  return set;
}

VoterSet VoterSet::Without(NodeId id) const {
  VoterSet set = *this;
  set.voters_.erase(id);
  return set;
}

size_t VoterSet::CountDifferences(const VoterSet& other) const {
  size_t count = 0;
  for (const auto& [id, voter] : voters_) {
    count += other.Contains(voter.key) ? 0 : 1;
  }
  for (const auto& [id, voter] : other.voters_) {
    count += Contains(voter.key) ? 0 : 1;
  }
  return count;
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
