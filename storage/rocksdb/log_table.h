#pragma once

#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/log_verifier.h"
#include "storage/storage.h"

namespace kvorum {

// The rows of the log: one per batch, under its base offset. Part of RocksDbStorage. Load() comes
// first; then Add*() belong to the commit thread, and Read() to any.
class LogTable {
 public:
  LogTable(rocksdb::DB* db, rocksdb::ColumnFamilyHandle* family, std::string_view cluster_id);

  // Feeds every row to `verifier`.
  absl::Status Load(LogVerifier& verifier);

  // Adds the removal of all rows at and above `end_offset` to `batch`. All rows before it must be
  // in the database, not in `batch`.
  absl::Status AddTruncation(Offset end_offset, rocksdb::WriteBatch& batch);

  // Adds the rows of `batches` to `batch`. They must continue the log.
  void AddBatches(const std::vector<RecordBatch>& batches, rocksdb::WriteBatch& batch);

  Epoch last_epoch() const { return end_.epoch; }

  absl::StatusOr<std::vector<RecordBatch>> Read(const LogRange& range) const;

 private:
  // Sets end_ to the end of the last row below `end_offset`.
  absl::Status MoveEndBelow(Offset end_offset);

  rocksdb::DB* const db_;
  rocksdb::ColumnFamilyHandle* const family_;
  const BatchEnd empty_end_;
  BatchEnd end_;        // after everything added
  std::string header_;  // scratch of AddBatches
};

}  // namespace kvorum
