#pragma once

#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/ids.h"
#include "server/publish/committed_update.h"

namespace kvorum::publish {

// Committed batches older than the ring, and the one question only raft can answer. Implemented by
// node (posting to its loop); `done` is called on the publish loop, never inside the call.
class CommittedLog {
 public:
  using ReadDone = std::function<void(absl::StatusOr<std::vector<CommittedUpdate>>)>;
  using EndDone = std::function<void(absl::StatusOr<Offset>)>;

  virtual ~CommittedLog() = default;

  // Committed batches from `from` on, about `max_bytes` of them, at least one if there is any.
  // POSITION_DISCARDED if `from` is no place in this log: other epoch there, or below its start.
  virtual void ReadCommitted(OffsetAndEpoch from, size_t max_bytes, ReadDone done) = 0;

  // The committed end, confirmed by a majority after this call; an error if this node does not
  // lead.
  virtual void ConfirmCommittedEnd(EndDone done) = 0;
};

}  // namespace kvorum::publish
