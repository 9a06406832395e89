#include "tests/sim/checkers/log_mirror.h"

#include <algorithm>

#include "storage/log_verifier.h"

namespace kvorum::sim {

LogMirror::LogMirror(const BatchEnd& start, const std::map<Offset, RecordBatch>& batches)
    : start_(start) {
  for (const auto& [offset, batch] : batches) {
    Append(batch);
  }
}

void LogMirror::Install(const SnapshotManifest& snapshot) {
  start_ = EndOf(snapshot);
  ends_.clear();
  batches_.clear();
}

void LogMirror::TruncateTo(Offset end_offset) {
  while (!ends_.empty() && ends_.back().end_offset > end_offset) {
    ends_.pop_back();
    batches_.pop_back();
  }
}

void LogMirror::Append(const RecordBatch& batch) {
  batches_.push_back(batch);
  ends_.push_back(EndOf(batch));
}

size_t LogMirror::FirstAbove(Offset offset) const {
  const auto it =
      std::upper_bound(ends_.begin(), ends_.end(), offset,
                       [](Offset wanted, const BatchEnd& end) { return wanted < end.end_offset; });
  return static_cast<size_t>(it - ends_.begin());
}

std::optional<BatchEnd> LogMirror::EndAt(Offset offset) const {
  if (offset == start_.end_offset) {
    return start_;
  }
  const size_t next = FirstAbove(offset);
  if (next == 0 || ends_[next - 1].end_offset != offset) {
    return std::nullopt;
  }
  return ends_[next - 1];
}

std::optional<BatchEnd> EndAt(const MemoryDisk& disk, Offset offset) {
  if (offset == disk.start().end_offset) {
    return disk.start();
  }
  auto it = disk.batches().lower_bound(offset);
  if (it == disk.batches().begin()) {
    return std::nullopt;
  }
  --it;
  if (it->second.end_offset() != offset) {
    return std::nullopt;
  }
  return EndOf(it->second);
}

}  // namespace kvorum::sim
