#include "tests/sim/checkers/ghost_log.h"

#include <algorithm>
#include <iterator>

#include "server/base/check.h"
#include "server/metadata/metadata_delta.h"
#include "server/metadata/record_codec.h"
#include "server/node/control_codec.h"
#include "storage/log_verifier.h"

namespace kvorum::sim {

GhostLog::GhostLog(const std::string& cluster_id)
    : genesis_(EmptyLogEnd(cluster_id)), end_(genesis_), image_(MetadataImage::Empty()) {}

void GhostLog::Append(const RecordBatch& batch, Epoch committed_in) {
  const absl::Status status = CheckContinues(end_, batch);
  KVORUM_CHECK(status.ok(), "invariant 10 CommitWriteOnce: {}", status.ToString());
  GhostBatch ghost{.batch = batch, .records = {}, .image = nullptr, .committed_in = committed_in};
  if (!batches_.empty()) {
    ghost.committed_in = std::max(committed_in, batches_.back().committed_in);
  }
  MetadataDelta delta(*image_);
  if (!batch.is_control) {
    absl::StatusOr<std::vector<v1::MetadataRecord>> records = DecodeRecords(*batch.payload);
    KVORUM_CHECK(records.ok(), "committed batch at {}: {}", batch.base_offset,
                 records.status().ToString());
    KVORUM_CHECK(records->size() == static_cast<size_t>(batch.record_count),
                 "batch at {} says {} records and holds {}", batch.base_offset, batch.record_count,
                 records->size());
    ghost.records = *std::move(records);
    Offset offset = batch.base_offset;
    for (const v1::MetadataRecord& record : ghost.records) {
      index_.Add(record, offset);
      delta.Replay(record, offset);
      ++offset;
    }
  }
  if (batch.is_control) {
    if (std::optional<raft::VoterSet> voters = DecodeVoterSet(*batch.payload)) {
      voter_sets_.emplace(batch.base_offset, *std::move(voters));
    }
  }
  image_ = delta.Apply({.end_offset = batch.end_offset(),
                        .last_epoch = batch.epoch,
                        .append_time_ms = batch.append_time_ms});
  ghost.image = image_;
  end_ = EndOf(batch);
  batches_.push_back(std::move(ghost));
}

size_t GhostLog::FirstAbove(Offset offset) const {
  const auto it = std::upper_bound(
      batches_.begin(), batches_.end(), offset,
      [](Offset wanted, const GhostBatch& ghost) { return wanted < ghost.batch.end_offset(); });
  return static_cast<size_t>(it - batches_.begin());
}

const GhostBatch* GhostLog::EndingAt(Offset offset) const {
  const size_t next = FirstAbove(offset);
  if (next == 0 || batches_[next - 1].batch.end_offset() != offset) {
    return nullptr;
  }
  return &batches_[next - 1];
}

const GhostBatch* GhostLog::BeginningAt(Offset offset) const {
  const size_t next = FirstAbove(offset);
  if (next == batches_.size() || batches_[next].batch.base_offset != offset) {
    return nullptr;
  }
  return &batches_[next];
}

std::shared_ptr<const MetadataImage> GhostLog::ImageAt(Offset offset) const {
  if (offset == genesis_.end_offset) {
    return MetadataImage::Empty();
  }
  const GhostBatch* ghost = EndingAt(offset);
  return ghost == nullptr ? nullptr : ghost->image;
}

std::string GhostLog::VotersPayloadAt(Offset offset) const {
  const auto next = voter_sets_.lower_bound(offset);
  return next == voter_sets_.begin() ? std::string() : *EncodeVoterSet(std::prev(next)->second);
}

BatchEnd GhostLog::EndCommittedBefore(Epoch epoch) const {
  const auto it =
      std::partition_point(batches_.begin(), batches_.end(),
                           [epoch](const GhostBatch& ghost) { return ghost.committed_in < epoch; });
  return it == batches_.begin() ? genesis_ : EndOf(std::prev(it)->batch);
}

}  // namespace kvorum::sim
