#include "storage/memory/memory_disk.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "server/base/check.h"
#include "server/base/crc32c.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "storage/log_verifier.h"
#include "storage/snapshot_rules.h"
#include "storage/storage.h"

namespace kvorum {

void MemorySnapshot::Add(std::string chunk) {
  CountChunk(chunk, manifest);
  chunk_crcs.push_back(Crc32c(chunk));
  chunks.push_back(std::move(chunk));
}

MemoryDisk::MemoryDisk(std::string cluster_id)
    : cluster_id_(std::move(cluster_id)),
      start_(EmptyLogEnd(cluster_id_)),
      guard_(NewGuard(cluster_id_, ReplicaKey())),
      older_guard_(guard_) {}

BatchEnd MemoryDisk::end() const {
  return batches_.empty() ? start_ : EndOf(batches_.rbegin()->second);
}

std::vector<SnapshotManifest> MemoryDisk::manifests() const {
  std::vector<SnapshotManifest> manifests;
  std::transform(snapshots_.begin(), snapshots_.end(), std::back_inserter(manifests),
                 [](const auto& entry) { return entry.second.manifest; });
  return manifests;
}

const MemorySnapshot* MemoryDisk::FindSnapshot(const SnapshotId& id) const {
  const auto it = snapshots_.find({id.offset, id.epoch});
  return it == snapshots_.end() ? nullptr : &it->second;
}

absl::Status MemoryDisk::CheckSnapshots(const StorageWrite& write) const {
  if (write.install.has_value() && FindSnapshot(write.install->id) == nullptr) {
    return NotFrozenYet(write.install->id);
  }
  return write.log_start.has_value() ? CheckLogStart(manifests(), *write.log_start)
                                     : absl::OkStatus();
}

void MemoryDisk::Install(const SnapshotManifest& snapshot) {
  batches_.clear();
  start_ = EndOf(snapshot);
}

void MemoryDisk::TruncateTo(Offset end_offset) {
  KVORUM_CHECK(end_offset >= start_.end_offset, "truncation to {}, below the log's start {}",
               end_offset, start_.end_offset);
  batches_.erase(batches_.lower_bound(end_offset), batches_.end());
  KVORUM_CHECK(end().end_offset <= end_offset,
               "truncation to {} would split the batch that ends at {}", end_offset,
               end().end_offset);
}

void MemoryDisk::MoveStart(Offset start) {
  while (start_.end_offset < start) {
    KVORUM_CHECK(!batches_.empty(), "log start {} is above the log's end {}", start,
                 start_.end_offset);
    start_ = EndOf(batches_.begin()->second);
    batches_.erase(batches_.begin());
  }
  KVORUM_CHECK(start_.end_offset == start, "log start {}, where no batch ends (one ends at {})",
               start, start_.end_offset);
}

void MemoryDisk::Append(const StorageWrite& write) {
  for (const RecordBatch& batch : write.append) {
    const absl::Status status = CheckContinues(end(), batch);
    KVORUM_CHECK(status.ok(), "write {}: {}", write.id, status.ToString());
    batches_.emplace_hint(batches_.end(), batch.base_offset, batch);
  }
}

absl::Status MemoryDisk::Apply(const StorageWrite& write) {
  KVORUM_RETURN_IF_ERROR(CheckSnapshots(write));
  if (write.quorum_state.has_value()) {
    KVORUM_CHECK(!quorum_state_.has_value() || quorum_state_->epoch <= write.quorum_state->epoch,
                 "epoch would go back from {} to {}", quorum_state_->epoch,
                 write.quorum_state->epoch);
    quorum_state_ = write.quorum_state;
  }
  if (write.install.has_value()) {
    Install(*write.install);
  }
  if (write.truncate_to.has_value()) {
    TruncateTo(*write.truncate_to);
  }
  if (write.log_start.has_value()) {
    MoveStart(*write.log_start);
  }
  LowerGuard();
  Append(write);
  KVORUM_CHECK(
      end().epoch == Epoch(0) || (quorum_state_.has_value() && end().epoch <= quorum_state_->epoch),
      "write {} leaves the log in epoch {}, above the quorum state's", write.id, end().epoch);
  UpdateGuard(write);
  return absl::OkStatus();
}

void MemoryDisk::WriteGuard(GuardState guard) {
  if (guard_ != guard) {
    older_guard_ = std::exchange(guard_, std::move(guard));
  }
}

// As before the log becomes shorter: a write of its own.
void MemoryDisk::LowerGuard() {
  if (guard_.has_value() && guard_->log_end > end_offset()) {
    GuardState lowered = *guard_;
    SetLogEnd(end(), lowered);
    WriteGuard(std::move(lowered));
  }
}

void MemoryDisk::UpdateGuard(const StorageWrite& write) {
  if (!guard_.has_value()) {
    return;
  }
  GuardState guard = *guard_;
  if (write.quorum_state.has_value()) {
    SetVote(*write.quorum_state, guard);
  }
  SetLogEnd(end(), guard);
  guard.latest_snapshot.reset();
  if (!snapshots_.empty()) {
    guard.latest_snapshot = snapshots_.rbegin()->second.manifest.id;
  }
  if (write.leave_quarantine) {
    guard.quarantine.reset();
  }
  WriteGuard(std::move(guard));
}

void MemoryDisk::LoseSuffix(size_t batches) {
  for (; batches > 0 && !batches_.empty(); --batches) {
    batches_.erase(std::prev(batches_.end()));
  }
}

void MemoryDisk::RollBack(const MemoryDisk& earlier) {
  const std::optional<GuardState> guard = guard_;
  const std::optional<GuardState> older_guard = older_guard_;
  *this = earlier;
  guard_ = guard;
  older_guard_ = older_guard;
}

void MemoryDisk::FlipBatch(Offset base_offset) {
  const auto it = batches_.find(base_offset);
  KVORUM_CHECK(it != batches_.end(), "no batch begins at {}", base_offset);
  it->second.payload_crc ^= 1;
}

void MemoryDisk::FlipChunk(const SnapshotId& id, size_t index) {
  const auto it = snapshots_.find({id.offset, id.epoch});
  KVORUM_CHECK(it != snapshots_.end() && index < it->second.chunks.size(),
               "no chunk {} of snapshot {}", index, id);
  std::string& chunk = it->second.chunks[index];
  chunk[chunk.size() / 2] ^= 1;
}

absl::Status MemoryDisk::Freeze(MemorySnapshot snapshot) {
  const SnapshotId id = snapshot.manifest.id;
  if (FindSnapshot(id) == nullptr && snapshots_.size() >= kMaxFrozenSnapshots) {
    return TooManySnapshots(id);
  }
  snapshots_.emplace(std::pair(id.offset, id.epoch), std::move(snapshot));
  UpdateGuard(StorageWrite());
  return absl::OkStatus();
}

absl::Status MemoryDisk::DeleteSnapshot(const SnapshotId& id) {
  KVORUM_RETURN_IF_ERROR(CheckDeletion(manifests(), id, start_.end_offset));
  snapshots_.erase({id.offset, id.epoch});
  UpdateGuard(StorageWrite());
  return absl::OkStatus();
}

}  // namespace kvorum
