#include "server/node/recent_batches.h"

#include <algorithm>

#include "server/base/check.h"

namespace kvorum {

void RecentBatches::Append(const RecordBatch& batch) {
  KVORUM_CHECK(batches_.empty() || batches_.back().end_offset() == batch.base_offset,
               "batch at {} after one that ends at {}", batch.base_offset,
               batches_.back().end_offset());
  bytes_ += batch.encoded_size();
  batches_.push_back(batch);
}

void RecentBatches::TruncateTo(Offset end_offset) {
  while (!batches_.empty() && batches_.back().end_offset() > end_offset) {
    bytes_ -= batches_.back().encoded_size();
    batches_.pop_back();
  }
}

void RecentBatches::Evict(Offset durable_end) {
  while (bytes_ > max_bytes_ && !batches_.empty() && batches_.front().end_offset() <= durable_end) {
    bytes_ -= batches_.front().encoded_size();
    batches_.pop_front();
  }
}

std::optional<std::vector<RecordBatch>> RecentBatches::Read(Offset from, Offset to,
                                                            size_t max_bytes) const {
  auto it = std::lower_bound(
      batches_.begin(), batches_.end(), from,
      [](const RecordBatch& batch, Offset wanted) { return batch.base_offset < wanted; });
  if (it == batches_.end() || it->base_offset != from) {
    return std::nullopt;
  }
  std::vector<RecordBatch> found;
  size_t bytes = 0;
  for (; it != batches_.end() && it->base_offset < to; ++it) {
    if (!found.empty() && bytes + it->encoded_size() > max_bytes) {
      break;
    }
    bytes += it->encoded_size();
    found.push_back(*it);
  }
  return found;
}

}  // namespace kvorum
