#pragma once

#include <optional>
#include <vector>

#include "storage/types/quorum_state.h"
#include "storage/types/record_batch.h"

namespace kvorum {

// The end of one stored batch: what raft needs to know of a log without its payloads.
struct BatchEnd {
  Offset end_offset;
  Epoch epoch;
  uint64_t chain_hash = 0;

  friend bool operator==(const BatchEnd&, const BatchEnd&) = default;
};

// Names a snapshot: the state of everything below `offset`, whose last record is of `epoch`.
using SnapshotId = OffsetAndEpoch;

// What the disk says at start, after every check has passed.
struct RecoveredState {
  QuorumState quorum_state;
  Offset log_start_offset;
  uint64_t chain_at_start = 0;               // of the log below log_start_offset
  std::vector<BatchEnd> batch_ends;          // in offset order; empty for an empty log
  std::vector<RecordBatch> control_batches;  // with payloads: voter sets live there
  std::optional<SnapshotId> latest_snapshot;
};

}  // namespace kvorum
