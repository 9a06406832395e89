#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "server/base/strong_int.h"
#include "storage/types/quorum_state.h"
#include "storage/types/record_batch.h"

namespace kvorum {

// Grows by one with every write of an incarnation; completions name it, so one for a tail that was
// truncated meanwhile cannot be mistaken for one of its replacement.
using WriteId = StrongInt<struct WriteIdTag, uint64_t>;

// One atomic, synced change of the durable state. Order inside: quorum_state, truncate_to, append.
struct StorageWrite {
  WriteId id;
  std::optional<QuorumState> quorum_state;
  std::optional<Offset> truncate_to;  // exclusive end: records at and above it are removed
  std::vector<RecordBatch> append;    // contiguous, beginning at the log's end after truncation
};

}  // namespace kvorum
