#pragma once

#include <optional>
#include <string>
#include <vector>

#include "storage/types/quorum_state.h"
#include "storage/types/record_batch.h"
#include "storage/types/snapshot_manifest.h"

namespace kvorum {

// The end of one stored batch: what raft needs to know of a log without its payloads.
struct BatchEnd {
  Offset end_offset;
  Epoch epoch;
  uint64_t chain_hash = 0;

  friend bool operator==(const BatchEnd&, const BatchEnd&) = default;
};

// This replica may have forgotten records or votes: it must neither vote nor be counted until it
// has fetched everything again (PAR, FAST'18).
struct Quarantine {
  std::string reason;  // what was found, for the operator
};

// What the disk says at start, after every check has passed.
struct RecoveredState {
  QuorumState quorum_state;
  Offset log_start_offset;
  uint64_t chain_at_start = 0;               // of the log below log_start_offset
  Epoch epoch_at_start;                      // of the record below log_start_offset; 0: none
  std::vector<BatchEnd> batch_ends;          // in offset order; empty for an empty log
  std::vector<RecordBatch> control_batches;  // with payloads: voter sets live there
  std::vector<SnapshotManifest> snapshots;   // frozen, oldest first
  std::optional<Quarantine> quarantine;      // stays over restarts until StorageWrite ends it
};

}  // namespace kvorum
