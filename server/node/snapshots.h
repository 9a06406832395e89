#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/time.h"
#include "server/metadata/metadata_delta.h"
#include "server/metadata/metadata_image.h"
#include "server/node/ports.h"
#include "server/raft/raft_core.h"
#include "storage/storage.h"

namespace kvorum {

struct SnapshotConfig {
  int64_t max_log_bytes = 20 << 20;               // applied since the last one: make another
  Duration max_interval = std::chrono::hours(1);  // or after this long, if anything was applied
  int64_t retention_bytes = 100 << 20;            // of log and snapshots; the oldest go first
  Duration retention_age = std::chrono::hours(7 * 24);
  size_t max_kept = 8;  // snapshots, whatever their size
  size_t chunk_bytes = 256 << 10;
};

// What Snapshots asks of the node.
class SnapshotOwner {
 public:
  virtual ~SnapshotOwner() = default;
  virtual void StepRaft(Now now, raft::Event event) = 0;
  // Everything below the image's end now comes from it.
  virtual void OnImageLoaded(Now now, std::shared_ptr<const MetadataImage> image,
                             uint64_t chain_hash) = 0;
  virtual void OnStorageError(const absl::Status& status) = 0;
};

// The node's snapshots (KIP-630): makes them off the loop from immutable images, loads the one that
// raft installed or that the disk held at start, and says how much log is worth keeping. Every node
// makes its own; equal images give equal bytes. Owned by Node; loop thread only.
class Snapshots {
 public:
  using Done = std::function<void(absl::StatusOr<SnapshotManifest>)>;

  struct Ports {
    Storage& storage;
    NodeHost& host;
    const raft::RaftCore& core;
    SnapshotOwner& owner;
  };

  Snapshots(const SnapshotConfig& config, Ports ports) : config_(config), ports_(ports) {}

  // Reads the frozen snapshot into an image, then OnImageLoaded. A newer call replaces an older.
  void Load(const SnapshotManifest& manifest);
  bool is_loading() const { return loading_ != nullptr; }

  // Committed batches were applied, or the durable end moved: perhaps a snapshot is due.
  // `chain_hash`: of the log below the image's end.
  void OnApplied(int64_t log_bytes) { applied_bytes_ += log_bytes; }
  void MaybeMake(Now now, const std::shared_ptr<const MetadataImage>& image, uint64_t chain_hash);
  // One now, whatever the policy says; the newest if nothing was applied since.
  void Make(Now now, const std::shared_ptr<const MetadataImage>& image, uint64_t chain_hash,
            Done done);
  // It was found damaged (reliability.md §6.4). The image is whole, so another is made as soon as
  // something is applied that this one does not hold; then it goes, whatever retention says. Until
  // then it can't be loaded either: a restart would stop with CORRUPT_LOG.
  void OnDamaged(const SnapshotId& id);
  bool is_making() const { return is_making_; }
  // The node stops: who waits for one is told so.
  void FailWaiting(const absl::Status& status);
  TimePoint NextDeadline() const;

 private:
  struct Loading;

  void ReadNextChunk(const std::shared_ptr<Loading>& loading);
  void OnChunk(Now now, const std::shared_ptr<Loading>& loading, absl::StatusOr<std::string> chunk);
  void FinishLoading(Now now, const std::shared_ptr<Loading>& loading);

  void Start(Now now, const std::shared_ptr<const MetadataImage>& image, uint64_t chain_hash);
  void OnMade(Now now, int64_t applied_bytes, absl::StatusOr<SnapshotManifest> made);
  TimePoint DueAt() const;
  void MoveLogStart(Now now);
  // Index of the oldest one that stays; sets lease_end_.
  size_t FirstKept(Now now, const std::vector<SnapshotManifest>& snapshots);
  int64_t LogBytesSince(Offset offset) const;
  Offset newest_end() const;
  bool is_newest_damaged() const;

  SnapshotConfig config_;
  Ports ports_;

  std::shared_ptr<Loading> loading_;
  bool is_making_ = false;
  bool is_held_up_ = false;  // due, but the own disk is behind what is applied: its writes decide
  std::vector<Done> waiting_;
  int64_t applied_bytes_ = 0;              // of log batches, since the start of the process
  int64_t snapshot_bytes_ = 0;             // of those, contained in the newest snapshot
  std::map<Offset, int64_t> bytes_below_;  // of those, below each snapshot made here
  TimePoint last_made_ = kNever;           // kNever: nothing was applied yet
  std::optional<Offset> damaged_end_;      // of the newest snapshot that was found damaged
  // Something that retention wants to remove is copied by a replica, until then if it stops.
  TimePoint lease_end_ = kNever;
};

}  // namespace kvorum
