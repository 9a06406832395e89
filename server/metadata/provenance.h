#pragma once

#include <cstdint>

#include "server/base/ids.h"

namespace kvorum {

// Where an image came from: everything below `end_offset` of the log. Plain value; any thread.
struct Provenance {
  Offset end_offset;           // exclusive
  Epoch last_epoch;            // of the record at end_offset - 1; 0 for the empty log
  int64_t append_time_ms = 0;  // the leader's wall clock at that record; shown, never compared

  OffsetAndEpoch position() const { return {end_offset, last_epoch}; }

  friend constexpr bool operator==(const Provenance&, const Provenance&) = default;
};

}  // namespace kvorum
