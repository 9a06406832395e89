#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/types/recovered_state.h"
#include "storage/types/storage_write.h"

namespace kvorum {

// Which part of the log to read. Whole batches only; at least one if any lies in range.
struct LogRange {
  Offset from;           // must be a batch's base offset
  Offset to;             // exclusive; batches that begin at or above it are left out
  size_t max_bytes = 0;  // of encoded batches, exceeded only by the first
};

inline constexpr size_t kMaxFrozenSnapshots = 64;

// The durable state of one replica: quorum state, log, snapshots. Asynchronous, so that a simulated
// disk can be slow, reorder reads, and lose what was not synced. Owned by the composition root
// (cmd/run, the simulator, a test); called from the loop. `done` runs on a thread of the storage's
// choosing, never inside the call; whoever composes posts it back to the loop.
class Storage {
 public:
  using WriteDone = std::function<void(absl::Status)>;
  using ReadDone = std::function<void(absl::StatusOr<std::vector<RecordBatch>>)>;

  using ChunkSource = std::function<std::optional<std::string>()>;
  using ChunkDone = std::function<void(absl::StatusOr<std::string>)>;
  using SnapshotDone = std::function<void(absl::StatusOr<SnapshotManifest>)>;

  virtual ~Storage() = default;

  // Reads everything back and checks it: contiguity, CRCs, chain, epoch order. A log that fails is
  // refused (DATA_LOSS / CORRUPT_LOG naming the offset), never shortened. Removes snapshots that
  // were not frozen. Blocking; once, before any other call.
  virtual absl::StatusOr<RecoveredState> Recover() = 0;

  // Queues an atomic write; `done(OK)` means it is synced. Writes take effect and complete in call
  // order. After an error every later write fails too: the caller must stop the process
  // (a failed fsync may have lost pages that the kernel now calls clean). An `install` of a
  // snapshot that is not frozen and a `log_start` above the newest frozen one fail with
  // FailedPrecondition.
  virtual void Submit(StorageWrite write, WriteDone done) = 0;

  // Reads batches that were completed before the call. NotFound if `from` is no batch's base
  // offset.
  virtual void Read(const LogRange& range, ReadDone done) = 0;

  // Makes a snapshot: chunks are pulled from `next_chunk` (nullopt ends it) off the loop, then it
  // is frozen by one synced row; before that row it does not exist. Chunks are at most
  // kMaxSnapshotChunkBytes. `done` gets the manifest with what the storage fills in; that of the
  // frozen one if `manifest.id` was frozen already. RESOURCE_EXHAUSTED beyond kMaxFrozenSnapshots.
  virtual void WriteSnapshot(SnapshotManifest manifest, ChunkSource next_chunk,
                             SnapshotDone done) = 0;

  // Receives a snapshot, independently of one that is made meanwhile. Index 0 drops whatever was
  // received before; then every index must be the next one (INVALID_REQUEST otherwise). Not synced.
  virtual void WriteSnapshotChunk(const SnapshotId& id, int64_t index, std::string chunk,
                                  WriteDone done) = 0;

  // Ends the receiving: checks chunk count, size and digest against what came (DATA_LOSS, and what
  // came is dropped, if they differ), then freezes it by one synced row. OK if it was frozen
  // before.
  virtual void FreezeSnapshot(const SnapshotManifest& manifest, WriteDone done) = 0;

  // Removes a frozen snapshot. SNAPSHOT_NOT_FOUND if there is none; FailedPrecondition, and nothing
  // changes, if the log starts behind all the others: nothing would hold what is below.
  virtual void DeleteSnapshot(const SnapshotId& id, WriteDone done) = 0;

  // One chunk of a frozen snapshot. NotFound / SNAPSHOT_NOT_FOUND for an unknown one (also one that
  // is removed meanwhile), OutOfRange past its end, DataLoss if its CRC does not match.
  virtual void ReadSnapshotChunk(const SnapshotId& id, int64_t index, ChunkDone done) = 0;
};

}  // namespace kvorum
