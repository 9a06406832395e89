#pragma once

#include <rocksdb/file_system.h>
#include <rocksdb/options.h>

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "storage/guard_file.h"
#include "storage/rocksdb/commit_thread.h"

namespace kvorum {

struct RocksDbStorageOptions {
  std::string data_dir;    // formatted by RocksDbStorage::Format()
  std::string cluster_id;  // the log's chain begins with it: another cluster's log is refused
  ReplicaKey replica;      // of meta.properties; the guard file must be of the same
  // Told once that the disk can't be trusted any more, on any thread; the process must stop.
  std::function<void(absl::Status)> on_fatal = [](const absl::Status&) {};
  CommitLimits limits;
  // Of the log's rows; then a table file is written. Seconds of writes at full rate, and well under
  // a second to replay at start.
  size_t memtable_bytes = 32 << 20;
  // At which snapshots are written: what the disk does faster is left to the log.
  int64_t snapshot_bytes_per_second = 64 << 20;
  // Nothing is written, not even a lock: for a look at a stopped or a copied directory. Submit()
  // and what makes or removes snapshots are forbidden then.
  bool read_only = false;
  std::shared_ptr<rocksdb::FileSystem> file_system;  // null: the machine's; tests give a faulty one
  // Of the guard; null: files of the data directory. Tests give faulty ones.
  std::function<std::unique_ptr<GuardSlots>()> guard_slots;
};

// The families of the log database. Meta rows live in the family RocksDB always has.
inline constexpr const char* kMetaFamily = "default";
inline constexpr const char* kLogFamily = "log";

// Every RocksDB option we rely on; the reasons stand in options.cc.
struct DatabaseParts {
  rocksdb::Env* env = nullptr;                 // outlives the database
  std::function<void(absl::Status)> on_fatal;  // background errors
  bool create_if_missing = false;
  bool read_only = false;                        // as RocksDbStorageOptions
  size_t memtable_bytes = 0;                     // as RocksDbStorageOptions
  int64_t snapshot_bytes_per_second = 64 << 20;  // as RocksDbStorageOptions
};
rocksdb::DBOptions LogDatabaseOptions(const DatabaseParts& parts);
rocksdb::DBOptions SnapshotDatabaseOptions(const DatabaseParts& parts);
rocksdb::ColumnFamilyOptions LogFamilyOptions(const DatabaseParts& parts);
rocksdb::ColumnFamilyOptions MetaFamilyOptions();
rocksdb::ColumnFamilyOptions SnapshotFamilyOptions();

// Synced: `done(OK)` means durable, always.
rocksdb::WriteOptions SyncedWrite();
// Not synced and not logged: snapshot chunks, which exist only after a flush and a synced row.
rocksdb::WriteOptions UnloggedWrite();
// Block checksums verified, and a scan does not push the few useful blocks out of the cache.
rocksdb::ReadOptions VerifiedRead();

}  // namespace kvorum
