#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "server/base/strong_int.h"
#include "storage/types/quorum_state.h"
#include "storage/types/record_batch.h"
#include "storage/types/snapshot_manifest.h"

namespace kvorum {

// Grows by one with every write of an incarnation; completions name it, so one for a tail that was
// truncated meanwhile cannot be mistaken for one of its replacement.
using WriteId = StrongInt<struct WriteIdTag, uint64_t>;

// One atomic, synced change of the durable state. Order inside: quorum_state, install, truncate_to,
// log_start, append.
struct StorageWrite {
  WriteId id;
  std::optional<QuorumState> quorum_state;
  // The log is replaced by what follows this frozen snapshot: every batch is removed, the log is
  // empty and starts at install->id.offset.
  std::optional<SnapshotManifest> install;
  std::optional<Offset> truncate_to;  // exclusive end: records at and above it are removed
  // Records below it are removed. A batch boundary, not above the newest frozen snapshot's offset.
  std::optional<Offset> log_start;
  std::vector<RecordBatch> append;  // contiguous, beginning at the log's end after truncation
  bool leave_quarantine = false;    // see RecoveredState::quarantine
};

}  // namespace kvorum
