#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "storage/guard_state.h"
#include "storage/types/recovered_state.h"
#include "storage/types/storage_write.h"

namespace kvorum {

// A snapshot: its chunks, each with the CRC it was stored with.
struct MemorySnapshot {
  SnapshotManifest manifest;
  std::vector<std::string> chunks;
  std::vector<uint32_t> chunk_crcs;

  void Add(std::string chunk);
};

// The durable contents of a simulated disk: what outlives a crash. Owned by the test or simulator,
// longer than every MemoryStorage over it; one thread.
class MemoryDisk {
 public:
  // Ordered by (offset, epoch), so the last is the latest.
  using Snapshots = std::map<std::pair<Offset, Epoch>, MemorySnapshot>;

  explicit MemoryDisk(std::string cluster_id);

  const std::string& cluster_id() const { return cluster_id_; }
  const std::optional<QuorumState>& quorum_state() const { return quorum_state_; }
  const std::map<Offset, RecordBatch>& batches() const { return batches_; }  // by base offset
  const Snapshots& snapshots() const { return snapshots_; }
  std::vector<SnapshotManifest> manifests() const;  // oldest first
  const MemorySnapshot* FindSnapshot(const SnapshotId& id) const;

  // The end of what was removed from the beginning: that of an empty log if nothing was.
  const BatchEnd& start() const { return start_; }
  // The end of the last batch; start() if there is none.
  BatchEnd end() const;
  Offset end_offset() const { return end().end_offset; }

  // What a guard file would hold (storage/guard_state.h), always up to date; nullopt: lost.
  const std::optional<GuardState>& guard() const { return guard_; }
  void WriteGuard(GuardState guard);

  // Applies one write atomically. FailedPrecondition, and nothing changes, for an `install` or a
  // `log_start` without its snapshot. A write that does not continue the log, or leaves it in an
  // epoch above the quorum state's, is a bug of the caller (KVORUM_CHECK).
  absl::Status Apply(const StorageWrite& write);
  // ResourceExhausted beyond kMaxFrozenSnapshots. OK if it is frozen already.
  absl::Status Freeze(MemorySnapshot snapshot);
  // As Storage::DeleteSnapshot().
  absl::Status DeleteSnapshot(const SnapshotId& id);

  // Faults, noticed by the next Recover(). The newest `batches` batches vanish, as with a lost
  // write-ahead log: quarantine.
  void LoseSuffix(size_t batches);
  // Everything but the guard is as it was on `earlier`: quarantine, unless nothing was promised
  // since.
  void RollBack(const MemoryDisk& earlier);
  void LoseGuard() { guard_.reset(); }  // refused
  // The newer slot. Harmless, but for a quarantine if the log became shorter last.
  void LoseGuardSlot() { guard_ = older_guard_; }
  void FlipBatch(Offset base_offset);  // refused
  // Noticed when the chunk is read. REQUIRES: there is such a chunk.
  void FlipChunk(const SnapshotId& id, size_t index);
  // Quarantine if the guard knows of it, refused if the log begins behind it.
  void LoseSnapshot(const SnapshotId& id) { snapshots_.erase({id.offset, id.epoch}); }
  std::map<Offset, RecordBatch>& mutable_batches() { return batches_; }
  std::optional<QuorumState>& mutable_quorum_state() { return quorum_state_; }

 private:
  absl::Status CheckSnapshots(const StorageWrite& write) const;
  void Install(const SnapshotManifest& snapshot);
  void TruncateTo(Offset end_offset);
  void MoveStart(Offset start);
  void Append(const StorageWrite& write);
  void LowerGuard();
  void UpdateGuard(const StorageWrite& write);

  std::string cluster_id_;
  std::optional<QuorumState> quorum_state_;
  BatchEnd start_;
  std::map<Offset, RecordBatch> batches_;
  Snapshots snapshots_;
  // The two slots of the file.
  std::optional<GuardState> guard_;
  std::optional<GuardState> older_guard_;
};

}  // namespace kvorum
