#pragma once

#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/mutex.h"
#include "storage/rocksdb/commit_thread.h"
#include "storage/storage.h"

namespace kvorum {

inline constexpr int64_t kMaxSnapshotChunks = 1 << 20;
// Older ones go when a new one is frozen; a follower that fetches the last but one can finish.
inline constexpr size_t kRetainedSnapshots = 2;

// Snapshots: chunks in a database of their own, so that their bytes never share the log's
// write-ahead log and never delay its fsync. A snapshot exists from the moment its row in the log
// database's meta family is synced; chunks without such a row are leftovers of a crash. Part of
// RocksDbStorage. Load() first; AddFrozen() and MarkFrozen() on the commit thread, the rest on any.
class SnapshotTable {
 public:
  struct Databases {
    rocksdb::DB* chunks = nullptr;
    rocksdb::DB* log = nullptr;
    rocksdb::ColumnFamilyHandle* meta = nullptr;  // of `log`
  };

  explicit SnapshotTable(const Databases& databases) : databases_(databases) {}

  // Reads the rows of frozen snapshots and removes leftover chunks.
  absl::Status Load();
  std::optional<SnapshotId> latest() const EXCLUDES_LOCK(mutex_);
  bool IsFrozen(const SnapshotId& id) const EXCLUDES_LOCK(mutex_);

  // Stores all chunks durably, not yet frozen. AlreadyExists if it is frozen, FailedPrecondition
  // while the same one is written.
  absl::StatusOr<FrozenSnapshot> WriteChunks(const SnapshotId& id,
                                             const Storage::ChunkSource& next_chunk)
      EXCLUDES_LOCK(mutex_);

  // Adds the row that freezes `snapshot` to `batch`, and removes those of snapshots beyond the
  // retained ones.
  void AddFrozen(const FrozenSnapshot& snapshot, rocksdb::WriteBatch& batch) EXCLUDES_LOCK(mutex_);
  // The batch of AddFrozen() is durable. Returns the snapshots it removed, for RemoveChunks().
  std::vector<SnapshotId> MarkFrozen(const FrozenSnapshot& snapshot) EXCLUDES_LOCK(mutex_);
  absl::Status RemoveChunks(const SnapshotId& id);

  absl::StatusOr<std::string> ReadChunk(const SnapshotId& id, int64_t index) const
      EXCLUDES_LOCK(mutex_);

 private:
  using Key = std::pair<Offset, Epoch>;  // ordered by offset, so the last is the latest
  static Key KeyOf(const SnapshotId& id) { return {id.offset, id.epoch}; }
  static SnapshotId IdOf(const Key& key) { return {.offset = key.first, .epoch = key.second}; }

  absl::Status LoadFrozen() EXCLUDES_LOCK(mutex_);
  absl::Status RemoveLeftovers();
  absl::StatusOr<FrozenSnapshot> StoreChunks(const SnapshotId& id,
                                             const Storage::ChunkSource& next_chunk);
  std::optional<FrozenSnapshot> Find(const SnapshotId& id) const EXCLUDES_LOCK(mutex_);
  // The snapshots that freezing `id` pushes out.
  std::vector<Key> PushedOutBy(const SnapshotId& id) const REQUIRES_LOCK(mutex_);

  const Databases databases_;
  mutable Mutex mutex_;
  std::map<Key, FrozenSnapshot> frozen_ GUARDED_BY(mutex_);
  std::set<Key> in_progress_ GUARDED_BY(mutex_);
};

}  // namespace kvorum
