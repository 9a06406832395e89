#include "storage/rocksdb/snapshot_table.h"

#include <fmt/format.h>

#include <array>
#include <memory>

#include "server/base/check.h"
#include "server/base/crc32c.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "storage/log_verifier.h"
#include "storage/rocksdb/database.h"
#include "storage/rocksdb/key_codec.h"
#include "storage/rocksdb/options.h"
#include "storage/rocksdb/status_convert.h"
#include "storage/types/big_endian.h"

namespace kvorum {
namespace {

constexpr size_t kCrcBytes = 4;
constexpr size_t kFrozenRowBytes = 8 + 8 + kCrcBytes;

// The row's key is part of the checksum: a chunk under another's key is damage too.
uint32_t ChunkCrc(std::string_view key, std::string_view chunk) {
  return Crc32c(chunk, Crc32c(key));
}

std::string EncodeFrozenRow(std::string_view key, const FrozenSnapshot& snapshot) {
  std::string row;
  PutBigEndian<int64_t>(row, snapshot.chunk_count);
  PutBigEndian<int64_t>(row, snapshot.total_bytes);
  PutBigEndian<uint32_t>(row, ChunkCrc(key, row));
  return row;
}

absl::StatusOr<FrozenSnapshot> DecodeFrozenRow(std::string_view key, std::string_view row) {
  const std::optional<SnapshotId> id = ParseFrozenSnapshotKey(key);
  if (!id.has_value() || row.size() != kFrozenRowBytes) {
    return MakeError(
        ErrorReason::kCorruptLog,
        fmt::format("snapshot row: key of {} bytes, {} bytes", key.size(), row.size()));
  }
  const uint32_t crc = ChunkCrc(key, row.substr(0, kFrozenRowBytes - kCrcBytes));
  FrozenSnapshot snapshot;
  snapshot.id = *id;
  snapshot.chunk_count = TakeBigEndian<int64_t>(row);
  snapshot.total_bytes = TakeBigEndian<int64_t>(row);
  if (TakeBigEndian<uint32_t>(row) != crc) {
    return MakeError(ErrorReason::kCorruptLog,
                     fmt::format("the row of snapshot {} fails its checksum", *id));
  }
  return snapshot;
}

absl::Status NotFrozen(const SnapshotId& id) {
  return MakeError(ErrorReason::kSnapshotNotFound, fmt::format("no snapshot {}", id));
}

}  // namespace

absl::Status SnapshotTable::Load() {
  KVORUM_RETURN_IF_ERROR(LoadFrozen());
  return RemoveLeftovers();
}

absl::Status SnapshotTable::LoadFrozen() {
  const std::unique_ptr<rocksdb::Iterator> it(
      databases_.log->NewIterator(VerifiedRead(), databases_.meta));
  MutexLock lock(mutex_);
  for (it->Seek(ToSlice(kSnapshotKeyPrefix));
       it->Valid() && View(it->key()).starts_with(kSnapshotKeyPrefix); it->Next()) {
    auto snapshot = DecodeFrozenRow(View(it->key()), View(it->value()));
    if (!snapshot.ok()) {
      return WithRemedy(snapshot.status());
    }
    frozen_[KeyOf(snapshot->id)] = *snapshot;
  }
  return WithRemedy(FromRocksDb(it->status(), "read the rows of snapshots"));
}

absl::Status SnapshotTable::RemoveLeftovers() {
  const std::unique_ptr<rocksdb::Iterator> it(databases_.chunks->NewIterator(VerifiedRead()));
  it->SeekToFirst();
  while (it->Valid()) {
    const std::optional<SnapshotId> id = ParseChunkKey(View(it->key()));
    if (!id.has_value()) {
      return WithRemedy(MakeError(ErrorReason::kCorruptLog,
                                  fmt::format("a chunk key of {} bytes", it->key().size())));
    }
    if (!IsFrozen(*id)) {
      KVORUM_RETURN_IF_ERROR(RemoveChunks(*id));
    }
    it->Seek(EndOfChunks(*id));
  }
  return WithRemedy(FromRocksDb(it->status(), "read the chunks of snapshots"));
}

std::optional<SnapshotId> SnapshotTable::latest() const {
  MutexLock lock(mutex_);
  return frozen_.empty() ? std::nullopt : std::optional(frozen_.rbegin()->second.id);
}

std::optional<FrozenSnapshot> SnapshotTable::Find(const SnapshotId& id) const {
  MutexLock lock(mutex_);
  const auto it = frozen_.find(KeyOf(id));
  return it == frozen_.end() ? std::nullopt : std::optional(it->second);
}

bool SnapshotTable::IsFrozen(const SnapshotId& id) const { return Find(id).has_value(); }

absl::StatusOr<FrozenSnapshot> SnapshotTable::WriteChunks(const SnapshotId& id,
                                                          const Storage::ChunkSource& next_chunk) {
  {
    MutexLock lock(mutex_);
    if (frozen_.contains(KeyOf(id))) {
      return absl::AlreadyExistsError(fmt::format("snapshot {} is frozen", id));
    }
    if (!in_progress_.insert(KeyOf(id)).second) {
      return absl::FailedPreconditionError(fmt::format("snapshot {} is being written already", id));
    }
  }
  auto snapshot = StoreChunks(id, next_chunk);
  if (!snapshot.ok()) {
    MutexLock lock(mutex_);
    in_progress_.erase(KeyOf(id));
  }
  return snapshot;
}

absl::StatusOr<FrozenSnapshot> SnapshotTable::StoreChunks(const SnapshotId& id,
                                                          const Storage::ChunkSource& next_chunk) {
  KVORUM_RETURN_IF_ERROR(RemoveChunks(id));  // of an attempt that failed
  FrozenSnapshot snapshot;
  snapshot.id = id;
  while (const std::optional<std::string> chunk = next_chunk()) {
    KVORUM_CHECK(chunk->size() <= kMaxSnapshotChunkBytes, "snapshot chunk of {} bytes",
                 chunk->size());
    if (snapshot.chunk_count == kMaxSnapshotChunks) {
      return absl::ResourceExhaustedError(
          fmt::format("snapshot {} has more than {} chunks", id, kMaxSnapshotChunks));
    }
    const std::string key = ChunkKey(id, snapshot.chunk_count);
    std::string crc;
    PutBigEndian<uint32_t>(crc, ChunkCrc(key, *chunk));
    rocksdb::WriteBatch batch;
    const rocksdb::Slice key_slice(key);
    const std::array<rocksdb::Slice, 2> value = {rocksdb::Slice(crc), rocksdb::Slice(*chunk)};
    rocksdb::Status status =
        batch.Put(rocksdb::SliceParts(&key_slice, 1), rocksdb::SliceParts(value.data(), 2));
    if (status.ok()) {
      status = databases_.chunks->Write(UnloggedWrite(), &batch);
    }
    KVORUM_RETURN_IF_ERROR(FromRocksDb(status, fmt::format("write snapshot {}", id)));
    ++snapshot.chunk_count;
    snapshot.total_bytes += static_cast<int64_t>(chunk->size());
  }
  // What filled a memtable is in synced files by now; this syncs the rest.
  const rocksdb::Status flushed = databases_.chunks->Flush(rocksdb::FlushOptions());
  KVORUM_RETURN_IF_ERROR(FromRocksDb(flushed, fmt::format("flush snapshot {}", id)));
  return snapshot;
}

std::vector<SnapshotTable::Key> SnapshotTable::PushedOutBy(const SnapshotId& id) const {
  std::vector<Key> pushed_out;
  size_t kept = 1;  // `id` itself
  for (auto it = frozen_.rbegin(); it != frozen_.rend(); ++it) {
    if (it->first != KeyOf(id) && ++kept > kRetainedSnapshots) {
      pushed_out.push_back(it->first);
    }
  }
  return pushed_out;
}

void SnapshotTable::AddFrozen(const FrozenSnapshot& snapshot, rocksdb::WriteBatch& batch) {
  const std::string key = FrozenSnapshotKey(snapshot.id);
  rocksdb::Status status = batch.Put(databases_.meta, key, EncodeFrozenRow(key, snapshot));
  MutexLock lock(mutex_);
  for (const Key& old : PushedOutBy(snapshot.id)) {
    if (status.ok()) {
      status = batch.Delete(databases_.meta, FrozenSnapshotKey(IdOf(old)));
    }
  }
  KVORUM_CHECK(status.ok(), "{}", status.ToString());
}

std::vector<SnapshotId> SnapshotTable::MarkFrozen(const FrozenSnapshot& snapshot) {
  MutexLock lock(mutex_);
  std::vector<SnapshotId> removed;
  for (const Key& old : PushedOutBy(snapshot.id)) {
    frozen_.erase(old);
    removed.push_back(IdOf(old));
  }
  frozen_[KeyOf(snapshot.id)] = snapshot;
  in_progress_.erase(KeyOf(snapshot.id));
  return removed;
}

absl::Status SnapshotTable::RemoveChunks(const SnapshotId& id) {
  const std::string begin = ChunkKey(id, 0);
  const std::string end = EndOfChunks(id);
  rocksdb::ColumnFamilyHandle* const family = databases_.chunks->DefaultColumnFamily();
  return FromRocksDb(databases_.chunks->DeleteRange(UnloggedWrite(), family, begin, end),
                     fmt::format("remove the chunks of snapshot {}", id));
}

absl::StatusOr<std::string> SnapshotTable::ReadChunk(const SnapshotId& id, int64_t index) const {
  const std::optional<FrozenSnapshot> snapshot = Find(id);
  if (!snapshot.has_value()) {
    return NotFrozen(id);
  }
  if (index < 0 || index >= snapshot->chunk_count) {
    return absl::OutOfRangeError(fmt::format("snapshot {} has {} chunks, number {} was asked for",
                                             id, snapshot->chunk_count, index));
  }
  const std::string key = ChunkKey(id, index);
  std::string row;
  const rocksdb::Status status = databases_.chunks->Get(VerifiedRead(), key, &row);
  if (status.IsNotFound() && !IsFrozen(id)) {
    return NotFrozen(id);  // a newer one has pushed it out meanwhile
  }
  if (status.IsNotFound() || (status.ok() && row.size() < kCrcBytes)) {
    return MakeError(ErrorReason::kCorruptLog,
                     fmt::format("chunk {} of snapshot {} is missing", index, id));
  }
  KVORUM_RETURN_IF_ERROR(
      FromRocksDb(status, fmt::format("read chunk {} of snapshot {}", index, id)));
  std::string_view crc_bytes(row);
  const auto crc = TakeBigEndian<uint32_t>(crc_bytes);
  row.erase(0, kCrcBytes);
  if (ChunkCrc(key, row) != crc) {
    return MakeError(ErrorReason::kCorruptLog,
                     fmt::format("chunk {} of snapshot {} fails its checksum", index, id));
  }
  return row;
}

}  // namespace kvorum
