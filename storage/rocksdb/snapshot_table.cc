#include "storage/rocksdb/snapshot_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <set>

#include "server/base/check.h"
#include "server/base/crc32c.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "storage/log_verifier.h"
#include "storage/rocksdb/database.h"
#include "storage/rocksdb/key_codec.h"
#include "storage/rocksdb/options.h"
#include "storage/rocksdb/status_convert.h"
#include "storage/snapshot_rules.h"
#include "storage/types/big_endian.h"

namespace kvorum {
namespace {

constexpr size_t kRowHeadBytes = 8 + 4;

// {serial i64, crc32c u32 of key and serial, manifest}: a row under another's key is damage too.
uint32_t RowCrc(std::string_view key, int64_t serial) {
  std::string covered(key);
  PutBigEndian<int64_t>(covered, serial);
  return Crc32c(covered);
}

std::string EncodeRow(std::string_view key, const StoredSnapshot& snapshot) {
  std::string row;
  PutBigEndian<int64_t>(row, snapshot.serial);
  PutBigEndian<uint32_t>(row, RowCrc(key, snapshot.serial));
  return row + EncodeManifest(snapshot.manifest);
}

absl::StatusOr<StoredSnapshot> DecodeRow(std::string_view key, std::string_view row) {
  const std::optional<SnapshotId> id = ParseFrozenSnapshotKey(key);
  if (!id.has_value() || row.size() < kRowHeadBytes) {
    return MakeError(
        ErrorReason::kCorruptLog,
        fmt::format("snapshot row: key of {} bytes, {} bytes", key.size(), row.size()));
  }
  StoredSnapshot snapshot;
  snapshot.serial = TakeBigEndian<int64_t>(row);
  const auto crc = TakeBigEndian<uint32_t>(row);
  KVORUM_ASSIGN_OR_RETURN(snapshot.manifest, DecodeManifest(row));
  if (crc != RowCrc(key, snapshot.serial) || snapshot.manifest.id != *id) {
    return MakeError(ErrorReason::kCorruptLog,
                     fmt::format("the row of snapshot {} fails its checksum", *id));
  }
  return snapshot;
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
    auto snapshot = DecodeRow(View(it->key()), View(it->value()));
    if (!snapshot.ok()) {
      return WithRemedy(snapshot.status());
    }
    next_serial_ = std::max(next_serial_, snapshot->serial + 1);
    frozen_[KeyOf(snapshot->manifest.id)] = *std::move(snapshot);
  }
  return WithRemedy(FromRocksDb(it->status(), "read the rows of snapshots"));
}

absl::Status SnapshotTable::RemoveLeftovers() {
  KVORUM_ASSIGN_OR_RETURN(std::set<int64_t> serials, chunks_.Serials());
  {
    MutexLock lock(mutex_);
    if (!serials.empty()) {
      next_serial_ = std::max(next_serial_, *serials.rbegin() + 1);
    }
    for (const auto& [key, snapshot] : frozen_) {
      serials.erase(snapshot.serial);
    }
  }
  for (const int64_t serial : serials) {
    KVORUM_RETURN_IF_ERROR(chunks_.Remove(serial));
  }
  return absl::OkStatus();
}

std::vector<SnapshotManifest> SnapshotTable::frozen() const {
  MutexLock lock(mutex_);
  std::vector<SnapshotManifest> manifests;
  for (const auto& [key, snapshot] : frozen_) {
    manifests.push_back(snapshot.manifest);
  }
  return manifests;
}

std::optional<SnapshotId> SnapshotTable::LatestBut(const SnapshotId& other) const {
  MutexLock lock(mutex_);
  const auto latest = std::find_if(frozen_.rbegin(), frozen_.rend(), [&](const auto& entry) {
    return entry.second.manifest.id != other;
  });
  return latest == frozen_.rend() ? std::nullopt : std::optional(latest->second.manifest.id);
}

std::optional<StoredSnapshot> SnapshotTable::FindStored(const SnapshotId& id) const {
  MutexLock lock(mutex_);
  const auto it = frozen_.find(KeyOf(id));
  return it == frozen_.end() ? std::nullopt : std::optional(it->second);
}

std::optional<SnapshotManifest> SnapshotTable::Find(const SnapshotId& id) const {
  const std::optional<StoredSnapshot> stored = FindStored(id);
  return stored.has_value() ? std::optional(stored->manifest) : std::nullopt;
}

int64_t SnapshotTable::NewSerial() {
  MutexLock lock(mutex_);
  return next_serial_++;
}

absl::Status SnapshotTable::StoreChunk(std::string_view chunk, StoredSnapshot& snapshot) {
  KVORUM_RETURN_IF_ERROR(chunks_.Put(snapshot.serial, snapshot.manifest.chunk_count, chunk));
  CountChunk(chunk, snapshot.manifest);
  return absl::OkStatus();
}

absl::Status SnapshotTable::StoreChunks(const Storage::ChunkSource& next_chunk,
                                        StoredSnapshot& snapshot) {
  while (const std::optional<std::string> chunk = next_chunk()) {
    KVORUM_CHECK(chunk->size() <= kMaxSnapshotChunkBytes, "snapshot chunk of {} bytes",
                 chunk->size());
    if (snapshot.manifest.chunk_count == kMaxSnapshotChunks) {
      return absl::ResourceExhaustedError(fmt::format("snapshot {} has more than {} chunks",
                                                      snapshot.manifest.id, kMaxSnapshotChunks));
    }
    KVORUM_RETURN_IF_ERROR(StoreChunk(*chunk, snapshot));
  }
  return chunks_.Flush();
}

absl::StatusOr<StoredSnapshot> SnapshotTable::WriteChunks(SnapshotManifest manifest,
                                                          const Storage::ChunkSource& next_chunk) {
  manifest.chunk_count = 0;
  manifest.size_bytes = 0;
  manifest.digest = 0;
  StoredSnapshot snapshot{.manifest = std::move(manifest), .serial = NewSerial()};
  if (absl::Status status = StoreChunks(next_chunk, snapshot); !status.ok()) {
    chunks_.Remove(snapshot.serial).IgnoreError();  // else the next start does it
    return status;
  }
  return snapshot;
}

absl::Status SnapshotTable::AddReceived(const SnapshotId& id, int64_t index,
                                        std::string_view chunk) {
  ReceivedSoFar so_far;
  if (received_.has_value()) {
    so_far = {.id = received_->manifest.id, .chunk_count = received_->manifest.chunk_count};
  }
  KVORUM_RETURN_IF_ERROR(CheckReceivedChunk(so_far, id, index, chunk));
  if (index == 0) {
    if (received_.has_value()) {
      KVORUM_RETURN_IF_ERROR(chunks_.Remove(received_->serial));
    }
    received_.emplace();
    received_->manifest.id = id;
    received_->serial = NewSerial();
  }
  return StoreChunk(chunk, *received_);
}

absl::StatusOr<StoredSnapshot> SnapshotTable::FinishReceived(const SnapshotManifest& manifest) {
  if (!received_.has_value()) {
    received_.emplace();  // one without chunks
    received_->manifest.id = manifest.id;
    received_->serial = NewSerial();
  }
  StoredSnapshot stored = *std::exchange(received_, std::nullopt);
  SnapshotManifest counted = manifest;
  counted.id = stored.manifest.id;
  counted.chunk_count = stored.manifest.chunk_count;
  counted.size_bytes = stored.manifest.size_bytes;
  counted.digest = stored.manifest.digest;
  absl::Status status = CheckReceived(counted, manifest);
  if (status.ok()) {
    status = chunks_.Flush();
  }
  if (!status.ok()) {
    chunks_.Remove(stored.serial).IgnoreError();
    return status;
  }
  stored.manifest = manifest;
  return stored;
}

absl::Status SnapshotTable::AddFrozen(const StoredSnapshot& snapshot, rocksdb::WriteBatch& batch) {
  MutexLock lock(mutex_);
  if (frozen_.contains(KeyOf(snapshot.manifest.id))) {
    return absl::OkStatus();
  }
  if (frozen_.size() >= kMaxFrozenSnapshots) {
    return TooManySnapshots(snapshot.manifest.id);
  }
  const std::string key = FrozenSnapshotKey(snapshot.manifest.id);
  const rocksdb::Status status = batch.Put(databases_.meta, key, EncodeRow(key, snapshot));
  KVORUM_CHECK(status.ok(), "{}", status.ToString());
  return absl::OkStatus();
}

bool SnapshotTable::MarkFrozen(const StoredSnapshot& snapshot) {
  MutexLock lock(mutex_);
  return frozen_.emplace(KeyOf(snapshot.manifest.id), snapshot).second;
}

absl::Status SnapshotTable::AddRemoval(const SnapshotId& id, Offset log_start,
                                       rocksdb::WriteBatch& batch) {
  KVORUM_RETURN_IF_ERROR(CheckDeletion(frozen(), id, log_start));
  const rocksdb::Status status = batch.Delete(databases_.meta, FrozenSnapshotKey(id));
  KVORUM_CHECK(status.ok(), "{}", status.ToString());
  return absl::OkStatus();
}

int64_t SnapshotTable::MarkRemoved(const SnapshotId& id) {
  MutexLock lock(mutex_);
  const auto it = frozen_.find(KeyOf(id));
  KVORUM_CHECK(it != frozen_.end(), "snapshot {} was removed twice", id);
  const int64_t serial = it->second.serial;
  frozen_.erase(it);
  return serial;
}

absl::StatusOr<std::string> SnapshotTable::ReadChunk(const SnapshotId& id, int64_t index) const {
  const std::optional<StoredSnapshot> snapshot = FindStored(id);
  if (!snapshot.has_value()) {
    return NoSuchSnapshot(id);
  }
  if (index < 0 || index >= snapshot->manifest.chunk_count) {
    return absl::OutOfRangeError(fmt::format("snapshot {} has {} chunks, number {} was asked for",
                                             id, snapshot->manifest.chunk_count, index));
  }
  auto chunk = chunks_.Get(snapshot->serial, index);
  if (chunk.ok() || !absl::IsNotFound(chunk.status())) {
    return chunk;
  }
  const std::optional<StoredSnapshot> now = FindStored(id);
  if (!now.has_value() || now->serial != snapshot->serial) {
    return NoSuchSnapshot(id);  // it was removed meanwhile
  }
  return MakeError(ErrorReason::kCorruptLog,
                   fmt::format("chunk {} of snapshot {} is missing", index, id));
}

}  // namespace kvorum
