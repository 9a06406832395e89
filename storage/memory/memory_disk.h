#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "storage/types/recovered_state.h"
#include "storage/types/storage_write.h"

namespace kvorum {

// The durable contents of a simulated disk: what outlives a crash. Owned by the test or simulator,
// longer than every MemoryStorage over it; one thread.
class MemoryDisk {
 public:
  // Ordered by (offset, epoch), so the last is the latest.
  using Snapshots = std::map<std::pair<Offset, Epoch>, std::vector<std::string>>;

  explicit MemoryDisk(std::string cluster_id);

  const std::string& cluster_id() const { return cluster_id_; }
  const std::optional<QuorumState>& quorum_state() const { return quorum_state_; }
  const std::map<Offset, RecordBatch>& batches() const { return batches_; }  // by base offset
  const Snapshots& snapshots() const { return snapshots_; }

  // The end of the last batch; that of an empty log if there is none.
  BatchEnd end() const;
  Offset end_offset() const { return end().end_offset; }
  std::optional<SnapshotId> latest_snapshot() const;

  // Applies one write atomically. A write that does not continue the log, or leaves it in an epoch
  // above the quorum state's, is a bug of the caller (KVORUM_CHECK).
  void Apply(const StorageWrite& write);
  void AddSnapshot(const SnapshotId& id, std::vector<std::string> chunks);

  // For faults: a test damages the disk here, and the next Recover() must notice.
  std::map<Offset, RecordBatch>& mutable_batches() { return batches_; }
  std::optional<QuorumState>& mutable_quorum_state() { return quorum_state_; }

 private:
  void TruncateTo(Offset end_offset);

  std::string cluster_id_;
  std::optional<QuorumState> quorum_state_;
  std::map<Offset, RecordBatch> batches_;
  Snapshots snapshots_;
};

}  // namespace kvorum
