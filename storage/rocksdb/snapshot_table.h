#pragma once

#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/mutex.h"
#include "storage/rocksdb/chunk_store.h"
#include "storage/rocksdb/commit_thread.h"
#include "storage/storage.h"

namespace kvorum {

// Snapshots. One exists from the moment its row in the log database's meta family is synced until
// the row is removed; chunks without a row are leftovers. Part of RocksDbStorage. Load() first;
// Add*() and Mark*() on the commit thread, AddReceived() and FinishReceived() on the receiving
// thread, the rest on any.
class SnapshotTable {
 public:
  struct Databases {
    rocksdb::DB* chunks = nullptr;
    rocksdb::DB* log = nullptr;
    rocksdb::ColumnFamilyHandle* meta = nullptr;  // of `log`
  };

  explicit SnapshotTable(const Databases& databases)
      : databases_(databases), chunks_(databases.chunks) {}

  // Reads the rows of frozen snapshots.
  absl::Status LoadFrozen() EXCLUDES_LOCK(mutex_);
  // The same, and removes leftover chunks.
  absl::Status Load();
  std::vector<SnapshotManifest> frozen() const EXCLUDES_LOCK(mutex_);  // oldest first
  // The newest frozen one that is not `other`.
  std::optional<SnapshotId> LatestBut(const SnapshotId& other) const EXCLUDES_LOCK(mutex_);
  std::optional<SnapshotManifest> Find(const SnapshotId& id) const EXCLUDES_LOCK(mutex_);

  // Stores all chunks durably, not yet frozen.
  absl::StatusOr<StoredSnapshot> WriteChunks(SnapshotManifest manifest,
                                             const Storage::ChunkSource& next_chunk)
      EXCLUDES_LOCK(mutex_);

  // The one snapshot that is being received, as of Storage::WriteSnapshotChunk().
  absl::Status AddReceived(const SnapshotId& id, int64_t index, std::string_view chunk)
      EXCLUDES_LOCK(mutex_);
  // Makes it durable if it is what `manifest` promises, or drops it. Either way nothing is being
  // received any more.
  absl::StatusOr<StoredSnapshot> FinishReceived(const SnapshotManifest& manifest);

  // Adds the row that freezes `snapshot` to `batch`. ResourceExhausted if there are too many.
  // Nothing is added if it is frozen already.
  absl::Status AddFrozen(const StoredSnapshot& snapshot, rocksdb::WriteBatch& batch)
      EXCLUDES_LOCK(mutex_);
  // The batch of AddFrozen() is durable. False if another writing of the same was first.
  bool MarkFrozen(const StoredSnapshot& snapshot) EXCLUDES_LOCK(mutex_);

  // Adds the removal of the row of `id` to `batch`. As of Storage::DeleteSnapshot().
  absl::Status AddRemoval(const SnapshotId& id, Offset log_start, rocksdb::WriteBatch& batch)
      EXCLUDES_LOCK(mutex_);
  // The batch of AddRemoval() is durable. Returns the serial, for RemoveChunks().
  int64_t MarkRemoved(const SnapshotId& id) EXCLUDES_LOCK(mutex_);
  absl::Status RemoveChunks(int64_t serial) { return chunks_.Remove(serial); }

  absl::StatusOr<std::string> ReadChunk(const SnapshotId& id, int64_t index) const
      EXCLUDES_LOCK(mutex_);

 private:
  using Key = std::pair<Offset, Epoch>;  // ordered by offset, so the last is the latest
  static Key KeyOf(const SnapshotId& id) { return {id.offset, id.epoch}; }

  absl::Status RemoveLeftovers() EXCLUDES_LOCK(mutex_);
  int64_t NewSerial() EXCLUDES_LOCK(mutex_);
  absl::Status StoreChunk(std::string_view chunk, StoredSnapshot& snapshot);
  absl::Status StoreChunks(const Storage::ChunkSource& next_chunk, StoredSnapshot& snapshot);
  std::optional<StoredSnapshot> FindStored(const SnapshotId& id) const EXCLUDES_LOCK(mutex_);

  const Databases databases_;
  ChunkStore chunks_;
  std::optional<StoredSnapshot> received_;  // of the receiving thread

  mutable Mutex mutex_;
  std::map<Key, StoredSnapshot> frozen_ GUARDED_BY(mutex_);
  int64_t next_serial_ GUARDED_BY(mutex_) = 1;
};

}  // namespace kvorum
