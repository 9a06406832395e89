#pragma once

#include <map>
#include <optional>
#include <vector>

#include "storage/memory/memory_disk.h"
#include "storage/types/record_batch.h"
#include "storage/types/recovered_state.h"

namespace kvorum::sim {

// The log one process believes it has: what was on the disk at its start and every write it has
// submitted since, durable or not. Filled from the storage port, so it does not depend on what raft
// thinks of its own log. Owned by the process; one thread.
class LogMirror {
 public:
  // `start`: the end of what is not in the log any more.
  LogMirror(const BatchEnd& start, const std::map<Offset, RecordBatch>& batches);

  // What lies below a log_start stays known: the process has had it.
  void Install(const SnapshotManifest& snapshot);
  void TruncateTo(Offset end_offset);
  void Append(const RecordBatch& batch);

  const BatchEnd& end() const { return batches_.empty() ? start_ : ends_.back(); }
  // The batch boundary at `offset`; nullopt if no batch ends there.
  std::optional<BatchEnd> EndAt(Offset offset) const;
  const std::vector<RecordBatch>& batches() const { return batches_; }
  // Index of the first batch that ends above `offset`.
  size_t FirstAbove(Offset offset) const;

 private:
  BatchEnd start_;
  std::vector<RecordBatch> batches_;
  std::vector<BatchEnd> ends_;
};

// The same question asked of a disk.
std::optional<BatchEnd> EndAt(const MemoryDisk& disk, Offset offset);

}  // namespace kvorum::sim
