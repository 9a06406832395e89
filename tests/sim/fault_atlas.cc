#include "tests/sim/fault_atlas.h"

#include <algorithm>
#include <utility>

#include "tests/sim/sim_controller.h"
#include "tests/sim/world.h"

namespace kvorum::sim {
namespace {

raft::VoterSet With(const raft::VoterSet& voters, const FaultAtlas::Change& change) {
  std::vector<raft::Voter> next;
  for (const auto& [id, voter] : voters.voters()) {
    if (id != change.voter.key.node_id) {
      next.push_back(voter);
    }
  }
  if (!change.is_removal) {
    next.push_back(change.voter);
  }
  return raft::VoterSet(std::move(next));
}

bool Changes(const raft::VoterSet& voters, const FaultAtlas::Change& change) {
  return change.is_removal ? voters.Contains(change.voter.key) && voters.size() > 1
                           : voters.Find(change.voter.key.node_id) == nullptr;
}

}  // namespace

// --- disks ---

void FaultAtlas::OnReplaced(const ReplicaKey& key, NodeId node, MemoryDisk before) {
  const auto forgotten = forgotten_.find(node);
  replaced_.emplace(key, forgotten == forgotten_.end() ? std::move(before) : forgotten->second);
  forgotten_.erase(node);
}

const MemoryDisk* FaultAtlas::Before(NodeId node) const {
  const auto it = forgotten_.find(node);
  return it == forgotten_.end() ? nullptr : &it->second;
}

const MemoryDisk* FaultAtlas::PromisedBy(const ReplicaKey& key) const {
  const auto replaced = replaced_.find(key);
  if (replaced != replaced_.end()) {
    return &replaced->second;
  }
  const auto machine = world_.controllers.find(key.node_id);
  if (machine == world_.controllers.end() || machine->second->key() != key) {
    return nullptr;
  }
  const MemoryDisk* before = Before(key.node_id);
  return before == nullptr ? &machine->second->disk() : before;
}

bool FaultAtlas::IsWell(const ReplicaKey& key) const {
  const auto machine = world_.controllers.find(key.node_id);
  return machine != world_.controllers.end() && machine->second->key() == key &&
         !has_forgotten(key.node_id);
}

size_t FaultAtlas::CountWell(const raft::VoterSet& voters) const {
  return static_cast<size_t>(
      std::count_if(voters.voters().begin(), voters.voters().end(),
                    [this](const auto& entry) { return IsWell(entry.second.key); }));
}

bool FaultAtlas::MayForget(NodeId node) const {
  const ReplicaKey& key = world_.controllers.at(node)->key();
  const std::vector<raft::VoterSet> possible = PossibleVoters();
  return !has_forgotten(node) &&
         std::all_of(possible.begin(), possible.end(), [&](const raft::VoterSet& voters) {
           return !voters.Contains(key) || CountWell(voters) > voters.majority();
         });
}

// --- voters ---

void FaultAtlas::OnAppended(Offset offset, const raft::VoterSet& voters) {
  appended_[offset].push_back(voters);
}

std::vector<raft::VoterSet> FaultAtlas::AppendedVoters() const {
  std::vector<raft::VoterSet> sets = {world_.CommittedVoters()};
  // What lies below is decided.
  for (auto it = appended_.lower_bound(world_.ghost.end_offset()); it != appended_.end(); ++it) {
    sets.insert(sets.end(), it->second.begin(), it->second.end());
  }
  return sets;
}

std::vector<raft::VoterSet> FaultAtlas::PossibleVoters() const {
  std::vector<raft::VoterSet> sets = AppendedVoters();
  for (const auto& [id, change] : asked_) {
    const size_t count = sets.size();
    for (size_t i = 0; i < count; ++i) {
      if (Changes(sets[i], change)) {
        sets.push_back(With(sets[i], change));
      }
    }
  }
  return sets;
}

bool FaultAtlas::MayChange(const Change& change) const {
  const std::vector<raft::VoterSet> possible = PossibleVoters();
  return std::all_of(possible.begin(), possible.end(), [&](const raft::VoterSet& voters) {
    if (!Changes(voters, change)) {
      return true;
    }
    const raft::VoterSet next = With(voters, change);
    return CountWell(next) >= next.majority();
  });
}

uint64_t FaultAtlas::OnAsked(Change change) {
  asked_.emplace(++last_asked_, std::move(change));
  return last_asked_;
}

size_t FaultAtlas::SpareVoters() const {
  size_t spare = world_.controllers.size();
  for (const raft::VoterSet& voters : PossibleVoters()) {
    const size_t well = CountWell(voters);
    spare = std::min(spare, well > voters.majority() ? well - voters.majority() : 0);
  }
  return spare;
}

}  // namespace kvorum::sim
