#include "server/raft/log_shape.h"

#include <algorithm>

#include "server/base/check.h"

namespace kvorum::raft {

LogShape::LogShape(const RecoveredState& recovered, uint64_t genesis_chain)
    : start_(recovered.log_start_offset), epoch_below_start_(recovered.epoch_at_start) {
  const uint64_t chain = start_ == Offset(0) ? genesis_chain : recovered.chain_at_start;
  ends_.push_back(BatchEnd{.end_offset = start_, .epoch = epoch_below_start_, .chain_hash = chain});
  for (const BatchEnd& batch_end : recovered.batch_ends) {
    KVORUM_CHECK(batch_end.end_offset > end(), "recovered batch ends at {} after {}",
                 batch_end.end_offset, end());
    KVORUM_CHECK(batch_end.epoch >= last_epoch(), "recovered epoch {} after {}", batch_end.epoch,
                 last_epoch());
    if (epochs_.empty() || batch_end.epoch > epochs_.back().epoch) {
      epochs_.push_back(EpochStart{.epoch = batch_end.epoch, .start = end()});
    }
    ends_.push_back(batch_end);
  }
  durable_end_ = end();
}

void LogShape::Append(const RecordBatch& batch) {
  KVORUM_CHECK(batch.base_offset == end(), "append at {} but log ends at {}", batch.base_offset,
               end());
  KVORUM_CHECK(batch.record_count >= 1, "batch of {} records at {}", batch.record_count, end());
  KVORUM_CHECK(batch.epoch >= last_epoch(), "append of epoch {} after {}", batch.epoch,
               last_epoch());
  if (epochs_.empty() || batch.epoch > epochs_.back().epoch) {
    epochs_.push_back(EpochStart{.epoch = batch.epoch, .start = batch.base_offset});
  }
  ends_.push_back(BatchEnd{
      .end_offset = batch.end_offset(), .epoch = batch.epoch, .chain_hash = batch.chain_hash});
}

void LogShape::TruncateTo(Offset end_offset) {
  KVORUM_CHECK(IsBatchEnd(end_offset), "truncation to {}, where no batch ends", end_offset);
  while (ends_.back().end_offset > end_offset) {
    ends_.pop_back();
  }
  while (!epochs_.empty() && epochs_.back().start >= end_offset) {
    epochs_.pop_back();
  }
  durable_end_ = std::min(durable_end_, end_offset);
}

void LogShape::TruncatePrefix(Offset start) {
  KVORUM_CHECK(start_ <= start && start <= durable_end_, "log start {} of [{}, {}]", start, start_,
               durable_end_);
  const std::optional<Epoch> epoch_below = EpochBelow(start);
  const auto first = std::find_if(ends_.begin(), ends_.end(), [start](const BatchEnd& batch_end) {
    return batch_end.end_offset >= start;
  });
  // Batch ends below the high watermark may be forgotten already: then all that are left lie above.
  ends_.erase(ends_.begin(), first);
  // The epochs that end at or below `start` are gone; the one that goes on there begins there.
  while (epochs_.size() > 1 && epochs_[1].start <= start) {
    epochs_.erase(epochs_.begin());
  }
  if (!epochs_.empty() && epochs_.front().start < start) {
    if (start == end()) {
      epochs_.clear();
    } else {
      epochs_.front().start = start;
    }
  }
  start_ = start;
  epoch_below_start_ = *epoch_below;
}

void LogShape::ResetTo(const SnapshotId& id, uint64_t chain) {
  start_ = id.offset;
  epoch_below_start_ = id.epoch;
  epochs_.clear();
  ends_.assign({BatchEnd{.end_offset = id.offset, .epoch = id.epoch, .chain_hash = chain}});
  durable_end_ = id.offset;
}

void LogShape::SetDurableEnd(Offset end_offset) {
  KVORUM_CHECK(start_ <= end_offset, "durable end {} below log start {}", end_offset, start_);
  KVORUM_CHECK(end_offset <= end(), "durable end {} above log end {}", end_offset, end());
  durable_end_ = end_offset;
}

void LogShape::Prune(Offset high_watermark) {
  while (ends_.size() > 1 && ends_[1].end_offset <= high_watermark) {
    ends_.pop_front();
  }
}

const BatchEnd* LogShape::FindEnd(Offset offset) const {
  const auto it = std::lower_bound(
      ends_.begin(), ends_.end(), offset,
      [](const BatchEnd& batch_end, Offset wanted) { return batch_end.end_offset < wanted; });
  return it != ends_.end() && it->end_offset == offset ? &*it : nullptr;
}

std::optional<uint64_t> LogShape::ChainAt(Offset offset) const {
  const BatchEnd* found = FindEnd(offset);
  return found == nullptr ? std::nullopt : std::optional(found->chain_hash);
}

EpochEnd LogShape::EndOffsetForEpoch(Epoch epoch) const {
  const auto next =
      std::upper_bound(epochs_.begin(), epochs_.end(), epoch,
                       [](Epoch wanted, const EpochStart& e) { return wanted < e.epoch; });
  const Offset end_offset = next == epochs_.end() ? end() : next->start;
  if (next == epochs_.begin()) {
    // The epoch of the snapshot the log begins with ends there, at the latest.
    const bool is_below_start = start_ > Offset(0) && epoch >= epoch_below_start_;
    return EpochEnd{.epoch = is_below_start ? epoch_below_start_ : epoch, .end_offset = start_};
  }
  return EpochEnd{.epoch = std::prev(next)->epoch, .end_offset = end_offset};
}

std::optional<Epoch> LogShape::EpochBelow(Offset offset) const {
  if (offset < start_ || offset > end()) {
    return std::nullopt;
  }
  // First epoch that starts at or above `offset`: the record below `offset` is of the one before.
  const auto next =
      std::lower_bound(epochs_.begin(), epochs_.end(), offset,
                       [](const EpochStart& e, Offset wanted) { return e.start < wanted; });
  return next == epochs_.begin() ? epoch_below_start_ : std::prev(next)->epoch;
}

void LogShape::CheckConsistent() const {
  KVORUM_CHECK(!ends_.empty(), "no log end");
  KVORUM_CHECK(durable_end_ >= start_, "durable end {} below start {}", durable_end_, start_);
  KVORUM_CHECK(durable_end_ <= end(), "durable end {} above end {}", durable_end_, end());
  for (size_t i = 1; i < ends_.size(); ++i) {
    KVORUM_CHECK(ends_[i - 1].end_offset < ends_[i].end_offset, "batch ends {} then {}",
                 ends_[i - 1].end_offset, ends_[i].end_offset);
    KVORUM_CHECK(ends_[i - 1].epoch <= ends_[i].epoch, "epoch {} then {}", ends_[i - 1].epoch,
                 ends_[i].epoch);
    KVORUM_CHECK(EpochBelow(ends_[i].end_offset) == ends_[i].epoch,
                 "batch below {} is of epoch {}, epoch starts disagree", ends_[i].end_offset,
                 ends_[i].epoch);
  }
  for (size_t i = 1; i < epochs_.size(); ++i) {
    KVORUM_CHECK(epochs_[i - 1].epoch < epochs_[i].epoch, "epoch start {} then {}",
                 epochs_[i - 1].epoch, epochs_[i].epoch);
    KVORUM_CHECK(epochs_[i - 1].start < epochs_[i].start, "epochs start at {} then {}",
                 epochs_[i - 1].start, epochs_[i].start);
  }
}

}  // namespace kvorum::raft
