#include "storage/snapshot_rules.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/base/errors.h"
#include "server/base/mutants.h"
#include "storage/log_verifier.h"
#include "storage/storage.h"

namespace kvorum {

absl::Status NoSuchSnapshot(const SnapshotId& id) {
  return MakeError(ErrorReason::kSnapshotNotFound, fmt::format("no snapshot {}", id));
}

absl::Status NotFrozenYet(const SnapshotId& id) {
  return absl::FailedPreconditionError(
      fmt::format("snapshot {} can't be installed: it is not frozen", id));
}

absl::Status TooManySnapshots(const SnapshotId& id) {
  return absl::ResourceExhaustedError(fmt::format(
      "snapshot {}: there are {} already; older ones must be removed", id, kMaxFrozenSnapshots));
}

absl::Status CheckLogStart(const std::vector<SnapshotManifest>& frozen, Offset log_start) {
  if (!CoversLogStart(frozen, log_start)) {
    return absl::FailedPreconditionError(fmt::format(
        "the log can't start at {}: no frozen snapshot holds what is below it", log_start));
  }
  return absl::OkStatus();
}

absl::Status CheckDeletion(const std::vector<SnapshotManifest>& frozen, const SnapshotId& id,
                           Offset log_start) {
  std::vector<SnapshotManifest> left = frozen;
  std::erase_if(left, [&](const SnapshotManifest& snapshot) { return snapshot.id == id; });
  if (left.size() == frozen.size()) {
    return NoSuchSnapshot(id);
  }
  if (!CoversLogStart(left, log_start)) {
    return absl::FailedPreconditionError(fmt::format(
        "snapshot {} can't be removed: the log starts at {} and only it holds what is below", id,
        log_start));
  }
  return absl::OkStatus();
}

absl::Status CheckReceivedChunk(const ReceivedSoFar& received, const SnapshotId& id, int64_t index,
                                std::string_view chunk) {
  if (chunk.size() > kMaxSnapshotChunkBytes || index < 0 || index >= kMaxSnapshotChunks) {
    return MakeError(
        ErrorReason::kInvalidRequest,
        fmt::format("chunk {} of snapshot {} has {} bytes: at most {} chunks of {} "
                    "bytes are taken",
                    index, id, chunk.size(), kMaxSnapshotChunks, kMaxSnapshotChunkBytes));
  }
  if (index != 0 && (received.id != id || received.chunk_count != index)) {
    return MakeError(ErrorReason::kInvalidRequest,
                     fmt::format("chunk {} of snapshot {} does not follow on {} chunks of {}",
                                 index, id, received.chunk_count, received.id));
  }
  return absl::OkStatus();
}

absl::Status CheckReceived(const SnapshotManifest& stored, const SnapshotManifest& manifest) {
  if (stored == manifest || KVORUM_MUTANT(DigestUnchecked)) {
    return absl::OkStatus();
  }
  return MakeError(
      ErrorReason::kCorruptLog,
      fmt::format("snapshot {} was received as {} chunks, {} bytes, digest {:#018x} (of {}), but "
                  "has {} chunks, {} bytes, digest {:#018x}: it is dropped",
                  manifest.id, stored.chunk_count, stored.size_bytes, stored.digest, stored.id,
                  manifest.chunk_count, manifest.size_bytes, manifest.digest));
}

void CountChunk(std::string_view chunk, SnapshotManifest& manifest) {
  ++manifest.chunk_count;
  manifest.size_bytes += static_cast<int64_t>(chunk.size());
  manifest.digest = NextSnapshotDigest(manifest.digest, chunk);
}

}  // namespace kvorum
