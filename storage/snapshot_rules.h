#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "storage/types/recovered_state.h"

namespace kvorum {

// What both storages demand of snapshots, so that the simulator refuses what the disk refuses.
// `frozen` are the frozen ones, oldest first.

// SNAPSHOT_NOT_FOUND for a snapshot that is unknown, or was removed.
absl::Status NoSuchSnapshot(const SnapshotId& id);
// FailedPrecondition for the installation of one that is not frozen.
absl::Status NotFrozenYet(const SnapshotId& id);
// ResourceExhausted.
absl::Status TooManySnapshots(const SnapshotId& id);

// FailedPrecondition unless the newest one holds everything below `log_start` (KAFKA-14238).
absl::Status CheckLogStart(const std::vector<SnapshotManifest>& frozen, Offset log_start);

// SNAPSHOT_NOT_FOUND, or FailedPrecondition if the log that starts at `log_start` needs it.
absl::Status CheckDeletion(const std::vector<SnapshotManifest>& frozen, const SnapshotId& id,
                           Offset log_start);

// INVALID_REQUEST unless `index` is 0 or the next after `received` chunks of `current`, and
// `chunk` has at most kMaxSnapshotChunkBytes.
struct ReceivedSoFar {
  SnapshotId id;
  int64_t chunk_count = 0;
};
absl::Status CheckReceivedChunk(const ReceivedSoFar& received, const SnapshotId& id, int64_t index,
                                std::string_view chunk);

// DataLoss / CORRUPT_LOG unless what was stored (`stored`) is what `manifest` promises.
absl::Status CheckReceived(const SnapshotManifest& stored, const SnapshotManifest& manifest);

// Adds `chunk` to the three fields of `manifest` that the storage fills.
void CountChunk(std::string_view chunk, SnapshotManifest& manifest);

}  // namespace kvorum
