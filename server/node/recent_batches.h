#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <vector>

#include "server/base/ids.h"
#include "storage/types/record_batch.h"

namespace kvorum {

// Bounded cache of the log's tail: most fetches and all commits in steady state never touch the
// disk. Holds everything that is not yet durable, however much. Owned by Node; loop thread only.
class RecentBatches {
 public:
  explicit RecentBatches(size_t max_bytes) : max_bytes_(max_bytes) {}

  // REQUIRES: the batch begins where the cache ends, unless the cache is empty.
  void Append(const RecordBatch& batch);
  // Drops every batch at and above `end_offset`.
  void TruncateTo(Offset end_offset);
  // Drops the oldest batches over the limit that end at or below `durable_end`.
  void Evict(Offset durable_end);

  // Whole batches from `from`, below `to`, of about `max_bytes` (at least one); nullopt if `from`
  // is not the beginning of a cached batch.
  std::optional<std::vector<RecordBatch>> Read(Offset from, Offset to, size_t max_bytes) const;

  size_t bytes() const { return bytes_; }

 private:
  size_t max_bytes_;
  size_t bytes_ = 0;
  std::deque<RecordBatch> batches_;
};

}  // namespace kvorum
