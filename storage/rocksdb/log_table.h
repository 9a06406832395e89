#pragma once

#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <atomic>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/log_verifier.h"
#include "storage/storage.h"

namespace kvorum {

// {format u8, offset i64, epoch i32, chain_hash u64, crc32c u32}, big-endian: where the log starts
// and what it follows.
std::string EncodeLogStart(const BatchEnd& start);
absl::StatusOr<BatchEnd> DecodeLogStart(std::string_view bytes);

// Rows below the log's start that were not removed yet are removed by one range tombstone when they
// are as many as this; each tombstone costs every scan, and files go by themselves before.
inline constexpr int64_t kRecordsPerRangeTombstone = 100'000;

// The rows of the log: one per batch, under its base offset; and where it starts. What is below the
// start may or may not be there: nobody looks. Part of RocksDbStorage. Load() comes first; then
// Add*() and Publish() belong to the commit thread, the rest to any.
class LogTable {
 public:
  struct Families {
    rocksdb::ColumnFamilyHandle* log = nullptr;
    rocksdb::ColumnFamilyHandle* meta = nullptr;
  };

  LogTable(rocksdb::DB* db, const Families& families, std::string_view cluster_id);

  // Feeds every row to a verifier that begins at the log's start.
  absl::StatusOr<LogVerifier> Load();

  // Adds the removal of all rows, and the start behind `snapshot`, to `batch`. For this and the
  // next two: all rows before must be in the database, not in `batch`.
  absl::Status AddInstall(const SnapshotManifest& snapshot, rocksdb::WriteBatch& batch);

  // Adds the removal of all rows at and above `end_offset` to `batch`.
  absl::Status AddTruncation(Offset end_offset, rocksdb::WriteBatch& batch);

  // Adds the new start to `batch`.
  absl::Status AddStart(Offset start, rocksdb::WriteBatch& batch);

  // Adds the rows of `batches` to `batch`. They must continue the log.
  void AddBatches(const std::vector<RecordBatch>& batches, rocksdb::WriteBatch& batch);

  // What was added is durable: readers may be told of the start.
  void Publish() { published_start_ = start_.end_offset; }

  const BatchEnd& start() const { return start_; }
  const BatchEnd& end() const { return end_; }

  absl::StatusOr<std::vector<RecordBatch>> Read(const LogRange& range) const;

  // Removes the table files that hold nothing but rows below the published start.
  absl::Status DropFilesBelowStart();

 private:
  absl::Status LoadStart();
  // The end of the last row below `offset`; start_ if there is none.
  absl::StatusOr<BatchEnd> EndBelow(Offset offset) const;
  absl::Status PutStart(const BatchEnd& start, rocksdb::WriteBatch& batch);
  absl::Status DeleteRowsFrom(Offset offset, rocksdb::WriteBatch& batch);
  absl::Status DeleteRowsBelow(Offset offset, rocksdb::WriteBatch& batch);

  rocksdb::DB* const db_;
  const Families families_;
  // After everything added.
  BatchEnd start_;
  BatchEnd end_;
  Offset swept_to_;  // rows below have a tombstone
  std::atomic<Offset> published_start_;
  std::string header_;  // scratch of AddBatches
};

}  // namespace kvorum
