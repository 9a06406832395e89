#pragma once

#include <map>
#include <optional>
#include <vector>

#include "storage/types/record_batch.h"
#include "storage/types/recovered_state.h"

namespace kvorum::sim {

// The log one process believes it has: what was on the disk at its start and every write it has
// submitted since, durable or not. Filled from the storage port, so it does not depend on what raft
// thinks of its own log. Owned by the process; one thread.
class LogMirror {
 public:
  LogMirror(const BatchEnd& genesis, const std::map<Offset, RecordBatch>& batches);

  void TruncateTo(Offset end_offset);
  void Append(const RecordBatch& batch);

  const BatchEnd& end() const { return batches_.empty() ? genesis_ : ends_.back(); }
  // The batch boundary at `offset`; nullopt if no batch ends there.
  std::optional<BatchEnd> EndAt(Offset offset) const;
  const std::vector<RecordBatch>& batches() const { return batches_; }
  // Index of the first batch that ends above `offset`.
  size_t FirstAbove(Offset offset) const;

 private:
  BatchEnd genesis_;
  std::vector<RecordBatch> batches_;
  std::vector<BatchEnd> ends_;
};

// The same question asked of a disk.
std::optional<BatchEnd> EndAt(const std::map<Offset, RecordBatch>& batches, const BatchEnd& genesis,
                              Offset offset);

}  // namespace kvorum::sim
