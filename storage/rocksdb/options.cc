#include "storage/rocksdb/options.h"

#include <rocksdb/cache.h>
#include <rocksdb/listener.h>
#include <rocksdb/rate_limiter.h>
#include <rocksdb/table.h>

#include <cstdarg>
#include <utility>

#include "storage/rocksdb/status_convert.h"

namespace kvorum {
namespace {

// Short, so that the log's fsync never waits for a burst.
constexpr int64_t kRateRefillMicros = 10'000;

// Reports background errors and keeps RocksDB from repairing them by itself: a leader must not flip
// between failing and succeeding silently, and a page whose fsync failed may be lost although the
// next fsync succeeds (Rebello et al., ATC'20).
class FailStopListener : public rocksdb::EventListener {
 public:
  explicit FailStopListener(std::function<void(absl::Status)> on_fatal)
      : on_fatal_(std::move(on_fatal)) {}

  void OnBackgroundError(rocksdb::BackgroundErrorReason reason, rocksdb::Status* error) override {
    (void)reason;  // all of them stop the process
    on_fatal_(FromRocksDb(*error, "background work of the storage failed"));
  }

  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason reason, rocksdb::Status error,
                            bool* auto_recovery) override {
    (void)reason;
    (void)error;
    *auto_recovery = false;
  }

 private:
  const std::function<void(absl::Status)> on_fatal_;
};

// RocksDB's log would be a file in the directory that is only looked at.
class SilentLogger : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
};

rocksdb::DBOptions CommonOptions(const DatabaseParts& parts) {
  rocksdb::DBOptions options;
  options.env = parts.env;
  options.listeners = {std::make_shared<FailStopListener>(parts.on_fatal)};
  // A missing database means forgotten votes, never a fresh start; only `format` creates one.
  options.create_if_missing = parts.create_if_missing;
  options.create_missing_column_families = parts.create_if_missing;
  options.paranoid_checks = true;
  options.max_bgerror_resume_count = 0;  // see FailStopListener
  // One flush and one compaction: a failed flush that is retried beside another can put updates in
  // the wrong order (fixed after 7.8), and there is little to do.
  options.max_background_jobs = 2;
  options.max_open_files = -1;       // no table is opened in the middle of a read
  options.bytes_per_sync = 1 << 20;  // table files reach the disk evenly, not in one burst
  options.max_manifest_file_size = 16 << 20;
  options.stats_dump_period_sec = 0;  // our own metrics say enough
  options.stats_persist_period_sec = 0;
  options.info_log_level = rocksdb::WARN_LEVEL;
  if (parts.read_only) {
    options.info_log = std::make_shared<SilentLogger>();
  }
  options.max_log_file_size = 1 << 20;
  options.keep_log_file_num = 3;
  return options;
}

rocksdb::ColumnFamilyOptions CommonFamilyOptions() {
  rocksdb::ColumnFamilyOptions options;
  options.compression = rocksdb::kNoCompression;  // payloads are small and wanted at once
  options.bottommost_compression = rocksdb::kNoCompression;
  // A third table would only hide that flushing is too slow.
  options.max_write_buffer_number = 2;
  rocksdb::BlockBasedTableOptions table;
  table.format_version = 5;
  table.block_size = 64 << 10;  // rows are read in ranges
  table.block_cache = rocksdb::NewLRUCache(8 << 20);
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

}  // namespace

rocksdb::DBOptions LogDatabaseOptions(const DatabaseParts& parts) {
  rocksdb::DBOptions options = CommonOptions(parts);
  // The default (point in time) opens "OK" after one flipped byte in a synced write-ahead log and
  // drops everything behind it. This one refuses damage but for an incomplete last record, which
  // every crash may leave. It alone would accept an older log file that lost its end; hence the
  // verification, and our own scan in Recover().
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  options.track_and_verify_wals_in_manifest = true;
  // Every write is synced by itself (SyncedWrite). SyncWAL() breaks the verification above before
  // 7.10, manual flushing had inconsistency bugs until 9.7.
  options.manual_wal_flush = false;
  options.wal_bytes_per_sync = 0;    // the fsync of each group does it
  options.recycle_log_file_num = 0;  // stale records of a recycled file could be replayed
  options.wal_compression = rocksdb::kNoCompression;
  options.atomic_flush = false;  // families are atomic through their common write-ahead log
  // One writer: what serves many only costs.
  options.two_write_queues = false;
  options.enable_pipelined_write = false;
  options.unordered_write = false;
  options.allow_concurrent_memtable_write = false;
  options.allow_2pc = false;
  options.avoid_flush_during_recovery = false;  // replay once, not at every start
  options.avoid_flush_during_shutdown = true;   // everything is in the write-ahead log
  // The meta family flushes almost never by itself and would keep old log files alive.
  options.max_total_wal_size = 3 * parts.memtable_bytes;
  return options;
}

rocksdb::DBOptions SnapshotDatabaseOptions(const DatabaseParts& parts) {
  rocksdb::DBOptions options = CommonOptions(parts);
  // Nothing is logged here (UnloggedWrite), so the log's settings do not matter.
  options.avoid_flush_during_shutdown = true;  // what was not flushed was never frozen
  // Writers wait for the flush of a memtable, so this is the rate at which they store chunks too.
  options.rate_limiter.reset(
      rocksdb::NewGenericRateLimiter(parts.snapshot_bytes_per_second, kRateRefillMicros));
  return options;
}

rocksdb::ColumnFamilyOptions LogFamilyOptions(const DatabaseParts& parts) {
  rocksdb::ColumnFamilyOptions options = CommonFamilyOptions();
  options.write_buffer_size = parts.memtable_bytes;
  return options;
}

rocksdb::ColumnFamilyOptions MetaFamilyOptions() {
  rocksdb::ColumnFamilyOptions options = CommonFamilyOptions();
  options.write_buffer_size = 4 << 20;
  return options;
}

rocksdb::ColumnFamilyOptions SnapshotFamilyOptions() {
  rocksdb::ColumnFamilyOptions options = CommonFamilyOptions();
  options.write_buffer_size = 16 << 20;  // the step in which chunks go to disk
  return options;
}

rocksdb::WriteOptions SyncedWrite() {
  rocksdb::WriteOptions options;
  options.sync = true;
  return options;
}

rocksdb::WriteOptions UnloggedWrite() {
  rocksdb::WriteOptions options;
  options.sync = false;
  options.disableWAL = true;
  return options;
}

rocksdb::ReadOptions VerifiedRead() {
  rocksdb::ReadOptions options;
  options.verify_checksums = true;
  options.fill_cache = false;
  return options;
}

}  // namespace kvorum
