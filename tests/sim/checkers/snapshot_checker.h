#pragma once

#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "server/metadata/metadata_image.h"
#include "server/raft/messages.h"
#include "storage/types/snapshot_manifest.h"
#include "storage/types/storage_write.h"
#include "tests/sim/world.h"

namespace kvorum::sim {

// Invariants 16 SnapshotAtStart, 17 SnapshotId, 18 SnapshotContent, 19 LeaderNoSnapshotLoad, and of
// 32 StreamResume that only who is behind a node's log is sent a snapshot. Owned by Checks.
class SnapshotChecker {
 public:
  explicit SnapshotChecker(World& world) : world_(world) {}

  // A process begins to make one.
  void OnSnapshotBegun(const SimProcess& process, const SnapshotManifest& manifest) const;
  void OnSubmit(const SimProcess& process, const StorageWrite& write);
  void OnDurable(const SimController& machine);
  void OnDiskReplaced(NodeId node) {
    std::erase_if(checked_, [node](const auto& entry) { return std::get<0>(entry) == node; });
  }
  void OnResponseSent(const SimProcess& process, const raft::RaftResponse& response);
  // A process goes on from a snapshot's image.
  void OnImageLoaded(const SimProcess& process, const MetadataImage& image) const;
  void Sweep();

  // Everything below it was removed from the log of `node`, at some time.
  Offset highest_start(NodeId node) const;

 private:
  // What a snapshot of everything below an offset must be, made from the ghost's image.
  struct Expected {
    SnapshotManifest manifest;
    std::vector<std::string> chunks;
  };
  // REQUIRES: a committed batch ends there.
  const Expected& ExpectedAt(Offset offset);
  void CheckManifest(NodeId node, const SnapshotManifest& manifest);

  World& world_;
  std::map<Offset, Expected> expected_;
  std::set<std::tuple<NodeId, Offset, Epoch>> checked_;
  std::map<NodeId, Offset> highest_start_;
};

}  // namespace kvorum::sim
