#pragma once

#include <rocksdb/db.h>

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace kvorum {

// The chunks of snapshots, each under the serial of its writing and its index, with a CRC32C of key
// and chunk. In a database of its own, so that these bytes never share the log's write-ahead log
// and never delay its fsync. Part of SnapshotTable; any thread.
class ChunkStore {
 public:
  explicit ChunkStore(rocksdb::DB* db) : db_(db) {}

  // All serials that have chunks.
  absl::StatusOr<std::set<int64_t>> Serials() const;

  // Not durable before Flush(). Waits while the disk is behind (RocksDbStorageOptions).
  absl::Status Put(int64_t serial, int64_t index, std::string_view chunk);
  absl::Status Flush();

  // NotFound if there is no such row, DataLoss / CORRUPT_LOG if its checksum fails.
  absl::StatusOr<std::string> Get(int64_t serial, int64_t index) const;

  // Not durable: what comes back is a leftover, which the next start removes.
  absl::Status Remove(int64_t serial);

 private:
  rocksdb::DB* const db_;
};

}  // namespace kvorum
