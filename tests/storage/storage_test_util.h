#pragma once

#include <filesystem>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "storage/rocksdb/rocksdb_storage.h"

namespace kvorum::testing {

inline constexpr const char* kCluster = "test-cluster";

// An empty directory that is removed at the end of the scope.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Makes batches that continue each other, as a leader would.
class LogBuilder {
 public:
  explicit LogBuilder(std::string cluster_id = kCluster) : cluster_id_(std::move(cluster_id)) {}

  // Appends a batch of `record_count` records.
  RecordBatch Append(Epoch epoch, int32_t record_count = 1, size_t payload_bytes = 16);
  RecordBatch AppendControl(Epoch epoch);
  // Removes the batches at and above `end_offset`.
  void TruncateTo(Offset end_offset);

  const std::vector<RecordBatch>& batches() const { return batches_; }
  Offset end_offset() const;

 private:
  RecordBatch Add(Epoch epoch, int32_t record_count, bool is_control, std::string payload);

  std::string cluster_id_;
  std::vector<RecordBatch> batches_;
};

QuorumState InEpoch(Epoch epoch);
// A write of batches alone.
StorageWrite Appending(std::vector<RecordBatch> batches);
// A write of a quorum state and batches.
StorageWrite Entering(Epoch epoch, std::vector<RecordBatch> batches = {});

// The manifest of the state of everything up to the end of `last`, as its maker gives it.
SnapshotManifest SnapshotBehind(const RecordBatch& last);
// A manifest with an id alone.
SnapshotManifest SnapshotAt(int64_t offset, int32_t epoch);
// `manifest` with what the storage fills in for `chunks`.
SnapshotManifest Counted(SnapshotManifest manifest, const std::vector<std::string>& chunks);

bool SameBatch(const RecordBatch& a, const RecordBatch& b);

RocksDbStorageOptions OptionsFor(const std::string& data_dir);
// Formats a directory whose storage then holds nothing.
void FormatOrDie(const RocksDbStorageOptions& options);

// An open, recovered storage, or the reason why there is none.
struct OpenedStorage {
  std::unique_ptr<RocksDbStorage> storage;
  RecoveredState recovered;
};
absl::StatusOr<OpenedStorage> OpenAndRecover(const RocksDbStorageOptions& options);

// The asynchronous calls, waited for.
absl::Status Write(Storage& storage, StorageWrite write);
absl::StatusOr<std::vector<RecordBatch>> ReadLog(Storage& storage, const LogRange& range);
absl::StatusOr<SnapshotManifest> WriteSnapshot(Storage& storage, SnapshotManifest manifest,
                                               std::vector<std::string> chunks);
absl::Status WriteSnapshotChunk(Storage& storage, const SnapshotId& id, int64_t index,
                                std::string chunk);
absl::Status FreezeSnapshot(Storage& storage, const SnapshotManifest& manifest);
absl::Status DeleteSnapshot(Storage& storage, const SnapshotId& id);
absl::StatusOr<std::string> ReadChunk(Storage& storage, const SnapshotId& id, int64_t index);

// Files below `directory` whose name ends in `suffix`, oldest (lowest number) first.
std::vector<std::filesystem::path> FilesEndingIn(const std::string& directory,
                                                 const std::string& suffix);
std::string ReadFile(const std::filesystem::path& path);
void WriteFile(const std::filesystem::path& path, const std::string& bytes);

}  // namespace kvorum::testing
