#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "server/base/ids.h"
#include "server/raft/voter_set.h"
#include "storage/memory/memory_disk.h"

namespace kvorum::sim {

struct World;

// Which disks have forgotten something or are gone, and what each had held before: what its replica
// has promised to the others. Never a majority at once of any voter set that may be in force, since
// then nothing can be promised any more (FAST'18 "Protocol-Aware Recovery"). Owned by the world.
class FaultAtlas {
 public:
  explicit FaultAtlas(const World& world) : world_(world) {}

  // --- disks ---
  // True if a majority of voters would still remember everything without `node`.
  bool MayForget(NodeId node) const;
  void OnForgot(NodeId node, MemoryDisk before) { forgotten_.emplace(node, std::move(before)); }
  // Everything that counts is on its disk again.
  void OnRecovered(NodeId node) { forgotten_.erase(node); }
  // Replica `key` is gone for ever: its machine has a new disk.
  void OnReplaced(const ReplicaKey& key, NodeId node, MemoryDisk before);

  bool has_forgotten(NodeId node) const { return forgotten_.contains(node); }
  // nullptr: has forgotten nothing.
  const MemoryDisk* Before(NodeId node) const;
  // What replica `key` has promised to hold; nullptr: there never was such a replica.
  const MemoryDisk* PromisedBy(const ReplicaKey& key) const;

  // --- voters ---
  // A leader has appended `voters` at `offset`.
  void OnAppended(Offset offset, const raft::VoterSet& voters);
  // The sets that may be in force somewhere: the committed one first, then those appended since.
  std::vector<raft::VoterSet> AppendedVoters() const;

  struct Change {
    bool is_removal = false;
    raft::Voter voter;
  };
  // True if a majority that remembers everything is left after `change`, whatever else is under
  // way.
  bool MayChange(const Change& change) const;
  // It was asked for. Without an answer it may be carried out at any time.
  uint64_t OnAsked(Change change);
  void OnAnswered(uint64_t asked) { asked_.erase(asked); }

  // How many more voters may stop working in the worst of those cases.
  size_t SpareVoters() const;

 private:
  std::vector<raft::VoterSet> PossibleVoters() const;
  bool IsWell(const ReplicaKey& key) const;
  size_t CountWell(const raft::VoterSet& voters) const;

  const World& world_;
  std::map<NodeId, MemoryDisk> forgotten_;
  std::map<ReplicaKey, MemoryDisk> replaced_;
  std::map<Offset, std::vector<raft::VoterSet>> appended_;
  std::map<uint64_t, Change> asked_;
  uint64_t last_asked_ = 0;
};

}  // namespace kvorum::sim
