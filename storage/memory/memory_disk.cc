#include "storage/memory/memory_disk.h"

#include "server/base/check.h"
#include "storage/log_verifier.h"

namespace kvorum {

MemoryDisk::MemoryDisk(std::string cluster_id) : cluster_id_(std::move(cluster_id)) {}

BatchEnd MemoryDisk::end() const {
  return batches_.empty() ? EmptyLogEnd(cluster_id_) : EndOf(batches_.rbegin()->second);
}

std::optional<SnapshotId> MemoryDisk::latest_snapshot() const {
  if (snapshots_.empty()) {
    return std::nullopt;
  }
  const auto& [offset, epoch] = snapshots_.rbegin()->first;
  return SnapshotId{.offset = offset, .epoch = epoch};
}

void MemoryDisk::TruncateTo(Offset end_offset) {
  batches_.erase(batches_.lower_bound(end_offset), batches_.end());
  KVORUM_CHECK(end().end_offset <= end_offset,
               "truncation to {} would split the batch that ends at {}", end_offset,
               end().end_offset);
}

void MemoryDisk::Apply(const StorageWrite& write) {
  if (write.quorum_state.has_value()) {
    KVORUM_CHECK(!quorum_state_.has_value() || quorum_state_->epoch <= write.quorum_state->epoch,
                 "epoch would go back from {} to {}", quorum_state_->epoch,
                 write.quorum_state->epoch);
    quorum_state_ = write.quorum_state;
  }
  if (write.truncate_to.has_value()) {
    TruncateTo(*write.truncate_to);
  }
  for (const RecordBatch& batch : write.append) {
    const absl::Status status = CheckContinues(end(), batch);
    KVORUM_CHECK(status.ok(), "write {}: {}", write.id, status.ToString());
    batches_.emplace_hint(batches_.end(), batch.base_offset, batch);
  }
  if (!write.append.empty()) {
    const Epoch epoch = write.append.back().epoch;
    KVORUM_CHECK(quorum_state_.has_value() && epoch <= quorum_state_->epoch,
                 "write {} appends records of epoch {}, above the quorum state's", write.id, epoch);
  }
}

void MemoryDisk::AddSnapshot(const SnapshotId& id, std::vector<std::string> chunks) {
  snapshots_.emplace(std::pair(id.offset, id.epoch), std::move(chunks));
}

}  // namespace kvorum
