#include "tests/sim/checkers/log_mirror.h"

#include <algorithm>

#include "server/node/control_codec.h"
#include "storage/log_verifier.h"

namespace kvorum::sim {

LogMirror::LogMirror(const MemoryDisk& disk, raft::VoterSet bootstrap)
    : start_(disk.start()), bootstrap_(std::move(bootstrap)) {
  sets_.emplace_back(Offset(-1), bootstrap_);
  for (const SnapshotManifest& snapshot : disk.manifests()) {
    if (snapshot.id.offset == start_.end_offset && !snapshot.voters.empty()) {
      sets_.front().second = *DecodeVoterSet(snapshot.voters);
    }
  }
  for (const auto& [offset, batch] : disk.batches()) {
    Append(batch);
  }
}

void LogMirror::Install(const SnapshotManifest& snapshot) {
  start_ = EndOf(snapshot);
  ends_.clear();
  batches_.clear();
  sets_.clear();
  sets_.emplace_back(Offset(-1),
                     snapshot.voters.empty() ? bootstrap_ : *DecodeVoterSet(snapshot.voters));
}

void LogMirror::TruncateTo(Offset end_offset) {
  while (!ends_.empty() && ends_.back().end_offset > end_offset) {
    ends_.pop_back();
    batches_.pop_back();
  }
  while (sets_.back().first >= end_offset) {
    sets_.pop_back();
  }
}

void LogMirror::Append(const RecordBatch& batch) {
  batches_.push_back(batch);
  ends_.push_back(EndOf(batch));
  if (batch.is_control) {
    if (std::optional<raft::VoterSet> voters = DecodeVoterSet(*batch.payload)) {
      sets_.emplace_back(batch.base_offset, *std::move(voters));
    }
  }
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
