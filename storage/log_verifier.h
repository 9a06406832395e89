#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/types/recovered_state.h"

namespace kvorum {

// The end of a log that holds nothing: what its first batch must follow.
BatchEnd EmptyLogEnd(std::string_view cluster_id);

// The end of a log whose last batch is `batch`.
BatchEnd EndOf(const RecordBatch& batch);

// The end of the log that `snapshot` replaces.
BatchEnd EndOf(const SnapshotManifest& snapshot);

// The end of a recovered log.
BatchEnd EndOf(const RecoveredState& recovered);

// OK if `next` may stand right after `end`: no gap or overlap, an epoch not below, and the chain
// hash that follows. DataLoss / CORRUPT_LOG otherwise. Both storages check each write with it, so
// that nothing reaches a disk that Recover() would refuse.
absl::Status CheckContinues(const BatchEnd& end, const RecordBatch& next);

// Checks a whole log, batch by batch in key order, and collects what Recover() returns. Shared by
// all storages so that the simulator refuses what the disk refuses. Used by one thread, once.
class LogVerifier {
 public:
  // `start`: the end of what was removed from the log's beginning; EmptyLogEnd() if nothing was.
  explicit LogVerifier(const BatchEnd& start);

  // One stored row. All errors are DataLoss / CORRUPT_LOG and name the offset and the remedy: a
  // damaged log is refused, never shortened, because what is missing may be committed and this
  // replica may have been counted for it (PAR, FAST'18).
  absl::Status AddFrame(Offset key, std::string_view frame);
  absl::Status AddBatch(Offset key, const RecordBatch& batch);

  // The end of what was added.
  const BatchEnd& end() const { return end_; }

  // The last checks: whoever has records must know the epoch they were accepted in, or it could
  // vote twice; and a log without its beginning needs a snapshot of it (KAFKA-14240). `snapshots`:
  // the frozen ones, oldest first.
  absl::StatusOr<RecoveredState> Finish(const std::optional<QuorumState>& quorum_state,
                                        std::vector<SnapshotManifest> snapshots) &&;

 private:
  absl::Status AddDecoded(Offset key, const RecordBatch& batch);

  BatchEnd end_;
  RecoveredState state_;
};

// True if one of `snapshots` holds everything below `log_start`.
bool CoversLogStart(const std::vector<SnapshotManifest>& snapshots, Offset log_start);

// Appends to `error` what an operator does about a log that cannot be trusted.
absl::Status WithRemedy(const absl::Status& error);

}  // namespace kvorum
