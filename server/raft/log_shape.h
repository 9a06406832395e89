#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "server/base/ids.h"
#include "server/raft/messages.h"
#include "storage/types/record_batch.h"
#include "storage/types/recovered_state.h"

namespace kvorum::raft {

// What consensus needs to know of the log without its payloads: where it starts and ends, where
// each epoch starts, and the batch ends that a truncation may still return to. Owned by RaftState;
// loop thread only. Invariant: start <= durable_end <= end.
class LogShape {
 public:
  // `genesis_chain` is the chain hash of an empty log of this cluster.
  LogShape(const RecoveredState& recovered, uint64_t genesis_chain);

  Offset start() const { return start_; }
  Offset end() const { return ends_.back().end_offset; }
  Epoch last_epoch() const { return ends_.back().epoch; }  // 0: empty
  uint64_t chain() const { return ends_.back().chain_hash; }
  OffsetAndEpoch end_position() const { return {.offset = end(), .epoch = last_epoch()}; }
  // Everything below it is synced on this disk.
  Offset durable_end() const { return durable_end_; }

  // REQUIRES: `batch` continues the log: base offset, epoch order, chain.
  void Append(const RecordBatch& batch);

  // REQUIRES: IsBatchEnd(end). Returns to the chain hash and epoch below `end`.
  void TruncateTo(Offset end);

  // The log now begins at `start`. REQUIRES: a batch ends there, and it is durable.
  void TruncatePrefix(Offset start);

  // Replaced by a snapshot: empty, and going on at `id` with `chain`.
  void ResetTo(const SnapshotId& id, uint64_t chain);

  // REQUIRES: start <= end <= this->end().
  void SetDurableEnd(Offset end);

  // Forgets the batch ends below the last one at or below `high_watermark`: nothing is ever
  // truncated below it (Raft §5.4).
  void Prune(Offset high_watermark);

  // True if a batch ends exactly at `offset` and it was not forgotten.
  bool IsBatchEnd(Offset offset) const { return FindEnd(offset) != nullptr; }
  // The chain hash of the log below `offset`; nullopt if no batch ends there, or if forgotten.
  std::optional<uint64_t> ChainAt(Offset offset) const;
  // Batch ends at and above it are all known.
  Offset oldest_known_end() const { return ends_.front().end_offset; }

  // The largest epoch of the log at or below `epoch`, and where it ends. With none: `epoch` itself,
  // ending at the log's start (KIP-595 "Fetch"). O(log epochs).
  EpochEnd EndOffsetForEpoch(Epoch epoch) const;

  // Epoch of the record at `offset` - 1; nullopt outside [start, end].
  std::optional<Epoch> EpochBelow(Offset offset) const;

  // Aborts unless batch ends and epoch starts agree. O(batches); for tests and the simulator.
  void CheckConsistent() const;

 private:
  struct EpochStart {
    Epoch epoch;
    Offset start;
  };

  const BatchEnd* FindEnd(Offset offset) const;

  Offset start_;
  Epoch epoch_below_start_;
  std::vector<EpochStart> epochs_;  // both fields grow
  // Invariant: never empty; the first is the log's start or the last end at or below the watermark.
  std::deque<BatchEnd> ends_;
  Offset durable_end_;
};

}  // namespace kvorum::raft
