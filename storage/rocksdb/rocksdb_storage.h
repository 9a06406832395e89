#pragma once

#include <rocksdb/env.h>
#include <rocksdb/write_batch.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "storage/rocksdb/commit_thread.h"
#include "storage/rocksdb/database.h"
#include "storage/rocksdb/guard_keeper.h"
#include "storage/rocksdb/log_table.h"
#include "storage/rocksdb/options.h"
#include "storage/rocksdb/quorum_state_table.h"
#include "storage/rocksdb/snapshot_table.h"
#include "storage/rocksdb/worker_pool.h"
#include "storage/storage.h"

namespace kvorum {

// Of everything below a data directory's meta.properties.
inline constexpr uint32_t kStorageFormatVersion = 1;

// The storage of a real node: two RocksDB databases below the data directory, one thread that
// commits, two that read, one that makes snapshots and one that receives them. Owned by the
// composition root. Destroying it completes all submitted writes, cancels reads that have not
// begun, and closes the databases; no call may come meanwhile.
class RocksDbStorage : public Storage {
 public:
  // Creates the empty databases and the guard of a data directory, durably. AlreadyExists if they
  // hold anything: an existing log is never given a new identity. Blocking.
  static absl::Status Format(const RocksDbStorageOptions& options);

  // Opens what Format() made. Errors as of Database::Open() and GuardFile::Open(), and
  // FailedPrecondition if a newer release wrote it. Blocking.
  static absl::StatusOr<std::unique_ptr<RocksDbStorage>> Open(RocksDbStorageOptions options);
  ~RocksDbStorage() override;

  absl::StatusOr<RecoveredState> Recover() override;
  // Reads every file of both databases and compares the checksums of all blocks; a start reads only
  // what it needs. Blocking; before Recover() or after.
  absl::Status VerifyFiles();
  void Submit(StorageWrite write, WriteDone done) override;
  void Read(const LogRange& range, ReadDone done) override;
  void WriteSnapshot(SnapshotManifest manifest, ChunkSource next_chunk, SnapshotDone done) override;
  void WriteSnapshotChunk(const SnapshotId& id, int64_t index, std::string chunk,
                          WriteDone done) override;
  void FreezeSnapshot(const SnapshotManifest& manifest, WriteDone done) override;
  void DeleteSnapshot(const SnapshotId& id, WriteDone done) override;
  void ReadSnapshotChunk(const SnapshotId& id, int64_t index, ChunkDone done) override;

 private:
  explicit RocksDbStorage(RocksDbStorageOptions options);

  absl::Status OpenDatabases(bool create);
  absl::Status StartWriting(RecoveredState& state);
  absl::Status WriteGroup(std::vector<CommitRequest>& group);
  absl::Status AddWrite(const StorageWrite& write);
  absl::Status ReconcileWithGuard(RecoveredState& state);
  absl::Status LowerGuard(const CommitRequest& first);
  absl::Status UpdateGuard(const std::vector<CommitRequest>& group);
  std::unique_ptr<GuardSlots> OpenGuardSlots() const;
  absl::Status CheckSnapshots(const StorageWrite& write) const;
  absl::Status AddSnapshotChange(const CommitRequest& request);
  void MakeSnapshot(SnapshotManifest manifest, const ChunkSource& next_chunk,
                    const SnapshotDone& done);
  void Freeze(const StoredSnapshot& snapshot, WriteDone done);
  void RemoveChunksLater(int64_t serial);
  void DropLogFilesLater();
  void ReportFatal(const absl::Status& status);

  const RocksDbStorageOptions options_;
  std::atomic<bool> fatal_reported_ = false;
  std::unique_ptr<rocksdb::Env> env_;  // null: the machine's
  std::unique_ptr<Database> log_database_;
  std::unique_ptr<Database> snapshot_database_;
  std::unique_ptr<LogTable> log_;
  std::unique_ptr<QuorumStateTable> quorum_state_;
  std::unique_ptr<SnapshotTable> snapshots_;
  std::unique_ptr<GuardKeeper> guard_;
  rocksdb::WriteBatch batch_;                    // of the commit thread, kept for its memory
  std::optional<BatchEnd> shortened_to_;         // what the group in batch_ leaves of the log
  std::unique_ptr<CommitThread> commit_thread_;  // from Recover() on
  std::unique_ptr<WorkerPool> readers_;
  std::unique_ptr<WorkerPool> maker_;     // one thread; makes snapshots, removes what is not needed
  std::unique_ptr<WorkerPool> receiver_;  // one thread, so that chunks stay in order
};

}  // namespace kvorum
