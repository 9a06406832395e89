#include "tests/storage/storage_test_util.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <utility>

#include "server/base/check.h"
#include "server/base/status_macros.h"
#include "storage/snapshot_rules.h"

namespace kvorum::testing {

TempDir::TempDir() {
  // In memory where there is such a place: a test's fsyncs prove nothing, PowerLossFs does.
  const bool has_memory = ::access("/dev/shm", W_OK) == 0;
  const std::filesystem::path parent =
      has_memory ? std::filesystem::path("/dev/shm") : std::filesystem::temp_directory_path();
  std::string pattern = (parent / "kvorum-XXXXXX").string();
  KVORUM_CHECK(::mkdtemp(pattern.data()) != nullptr, "mkdtemp {}", pattern);
  path_ = pattern;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

RecordBatch LogBuilder::Add(Epoch epoch, int32_t record_count, bool is_control,
                            std::string payload) {
  const uint64_t chain =
      batches_.empty() ? GenesisChainHash(cluster_id_) : batches_.back().chain_hash;
  batches_.push_back(MakeBatch(end_offset(), record_count, epoch, is_control,
                               /*append_time_ms=*/1000,
                               std::make_shared<const std::string>(std::move(payload)), chain));
  return batches_.back();
}

RecordBatch LogBuilder::Append(Epoch epoch, int32_t record_count, size_t payload_bytes) {
  std::string payload = fmt::format("offset {} epoch {} ", end_offset(), epoch);
  payload.resize(std::max(payload.size(), payload_bytes), '.');
  return Add(epoch, record_count, false, std::move(payload));
}

RecordBatch LogBuilder::AppendControl(Epoch epoch) { return Add(epoch, 1, true, "control"); }

void LogBuilder::TruncateTo(Offset end_offset) {
  while (!batches_.empty() && batches_.back().base_offset >= end_offset) {
    batches_.pop_back();
  }
}

Offset LogBuilder::end_offset() const {
  return batches_.empty() ? Offset(0) : batches_.back().end_offset();
}

QuorumState InEpoch(Epoch epoch) {
  QuorumState state;
  state.epoch = epoch;
  return state;
}

StorageWrite Appending(std::vector<RecordBatch> batches) {
  StorageWrite write;
  write.append = std::move(batches);
  return write;
}

StorageWrite Entering(Epoch epoch, std::vector<RecordBatch> batches) {
  StorageWrite write = Appending(std::move(batches));
  write.quorum_state = InEpoch(epoch);
  return write;
}

SnapshotManifest SnapshotBehind(const RecordBatch& last) {
  SnapshotManifest manifest;
  manifest.id = {.offset = last.end_offset(), .epoch = last.epoch};
  manifest.chain_hash = last.chain_hash;
  manifest.last_append_time_ms = last.append_time_ms;
  return manifest;
}

SnapshotManifest SnapshotAt(int64_t offset, int32_t epoch) {
  SnapshotManifest manifest;
  manifest.id = {.offset = Offset(offset), .epoch = Epoch(epoch)};
  return manifest;
}

SnapshotManifest Counted(SnapshotManifest manifest, const std::vector<std::string>& chunks) {
  for (const std::string& chunk : chunks) {
    CountChunk(chunk, manifest);
  }
  return manifest;
}

bool SameBatch(const RecordBatch& a, const RecordBatch& b) {
  return EncodeBatch(a) == EncodeBatch(b);
}

RocksDbStorageOptions OptionsFor(const std::string& data_dir) {
  RocksDbStorageOptions options;
  options.data_dir = data_dir;
  options.cluster_id = kCluster;
  return options;
}

void FormatOrDie(const RocksDbStorageOptions& options) {
  const absl::Status status = RocksDbStorage::Format(options);
  KVORUM_CHECK(status.ok(), "{}", status.ToString());
}

absl::StatusOr<OpenedStorage> OpenAndRecover(const RocksDbStorageOptions& options) {
  OpenedStorage opened;
  KVORUM_ASSIGN_OR_RETURN(opened.storage, RocksDbStorage::Open(options));
  KVORUM_ASSIGN_OR_RETURN(opened.recovered, opened.storage->Recover());
  return opened;
}

absl::Status Write(Storage& storage, StorageWrite write) {
  std::promise<absl::Status> result;
  storage.Submit(std::move(write), [&](absl::Status status) { result.set_value(status); });
  return result.get_future().get();
}

absl::StatusOr<std::vector<RecordBatch>> ReadLog(Storage& storage, const LogRange& range) {
  std::promise<absl::StatusOr<std::vector<RecordBatch>>> result;
  storage.Read(range, [&](absl::StatusOr<std::vector<RecordBatch>> batches) {
    result.set_value(std::move(batches));
  });
  return result.get_future().get();
}

absl::StatusOr<SnapshotManifest> WriteSnapshot(Storage& storage, SnapshotManifest manifest,
                                               std::vector<std::string> chunks) {
  std::promise<absl::StatusOr<SnapshotManifest>> result;
  size_t next = 0;
  storage.WriteSnapshot(
      std::move(manifest),
      [&]() -> std::optional<std::string> {
        return next < chunks.size() ? std::optional(chunks[next++]) : std::nullopt;
      },
      [&](absl::StatusOr<SnapshotManifest> frozen) { result.set_value(std::move(frozen)); });
  return result.get_future().get();
}

absl::Status WriteSnapshotChunk(Storage& storage, const SnapshotId& id, int64_t index,
                                std::string chunk) {
  std::promise<absl::Status> result;
  storage.WriteSnapshotChunk(id, index, std::move(chunk),
                             [&](absl::Status status) { result.set_value(status); });
  return result.get_future().get();
}

absl::Status FreezeSnapshot(Storage& storage, const SnapshotManifest& manifest) {
  std::promise<absl::Status> result;
  storage.FreezeSnapshot(manifest, [&](absl::Status status) { result.set_value(status); });
  return result.get_future().get();
}

absl::Status DeleteSnapshot(Storage& storage, const SnapshotId& id) {
  std::promise<absl::Status> result;
  storage.DeleteSnapshot(id, [&](absl::Status status) { result.set_value(status); });
  return result.get_future().get();
}

absl::StatusOr<std::string> ReadChunk(Storage& storage, const SnapshotId& id, int64_t index) {
  std::promise<absl::StatusOr<std::string>> result;
  storage.ReadSnapshotChunk(
      id, index, [&](absl::StatusOr<std::string> chunk) { result.set_value(std::move(chunk)); });
  return result.get_future().get();
}

std::vector<std::filesystem::path> FilesEndingIn(const std::string& directory,
                                                 const std::string& suffix) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().string().ends_with(suffix)) {
      files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  KVORUM_CHECK(in.good(), "open {}", path.string());
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void WriteFile(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << bytes;
  out.close();
  KVORUM_CHECK(out.good(), "write {}", path.string());
}

}  // namespace kvorum::testing
