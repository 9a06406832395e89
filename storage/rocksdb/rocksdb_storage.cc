#include "storage/rocksdb/rocksdb_storage.h"

#include <fmt/format.h>

#include <utility>

#include "server/base/check.h"
#include "server/base/status_macros.h"
#include "storage/meta_properties.h"
#include "storage/rocksdb/key_codec.h"
#include "storage/rocksdb/status_convert.h"
#include "storage/rocksdb/wal_check.h"
#include "storage/types/big_endian.h"

namespace kvorum {
namespace {

constexpr int kWorkerThreads = 2;
constexpr size_t kMetaIndex = 0;
constexpr size_t kLogIndex = 1;
// Of each row in a batch, checked until it is in the memtable: a flipped bit in memory must not
// become a well-checksummed row.
constexpr size_t kProtectionBytesPerKey = 8;

absl::Status CheckFormatVersion(const Database& database, const std::string& directory) {
  std::string value;
  const rocksdb::Status status = database.db()->Get(VerifiedRead(), database.family(kMetaIndex),
                                                    ToSlice(kFormatVersionKey), &value);
  if (status.IsNotFound() || (status.ok() && value.size() != sizeof(uint32_t))) {
    return absl::DataLossError(
        fmt::format("{} has no format version: `kvorumd format` did not finish, or the database "
                    "lost its beginning. It can't be used",
                    directory));
  }
  KVORUM_RETURN_IF_ERROR(FromRocksDb(status, "read the format version"));
  std::string_view bytes(value);
  const auto version = TakeBigEndian<uint32_t>(bytes);
  if (version > kStorageFormatVersion) {
    return absl::FailedPreconditionError(
        fmt::format("{} has format version {}, written by a newer release; this one reads up to {}",
                    directory, version, kStorageFormatVersion));
  }
  return absl::OkStatus();
}

absl::Status CheckIsEmpty(rocksdb::DB* db, rocksdb::ColumnFamilyHandle* family,
                          const std::string& directory) {
  const std::unique_ptr<rocksdb::Iterator> it(db->NewIterator(VerifiedRead(), family));
  it->SeekToFirst();
  // The version alone is what an interrupted format leaves.
  if (it->Valid() && View(it->key()) == kFormatVersionKey) {
    it->Next();
  }
  if (it->Valid()) {
    return absl::AlreadyExistsError(fmt::format(
        "{} holds data of an earlier replica: format another, empty directory", directory));
  }
  return FromRocksDb(it->status(), fmt::format("read {}", directory));
}

}  // namespace

RocksDbStorage::RocksDbStorage(RocksDbStorageOptions options)
    : options_(std::move(options)),
      batch_(/*reserved_bytes=*/0, /*max_bytes=*/0, kProtectionBytesPerKey,
             /*default_cf_ts_sz=*/0) {
  if (options_.file_system != nullptr) {
    env_ = rocksdb::NewCompositeEnv(options_.file_system);
  }
}

RocksDbStorage::~RocksDbStorage() {
  // Workers first: they submit to the commit thread.
  if (workers_ != nullptr) {
    workers_->Stop();
  }
  if (commit_thread_ != nullptr) {
    commit_thread_->Stop();
  }
}

absl::Status RocksDbStorage::OpenDatabases(bool create) {
  DatabaseParts parts;
  parts.env = env_ != nullptr ? env_.get() : rocksdb::Env::Default();
  parts.on_fatal = [this](const absl::Status& status) { ReportFatal(status); };
  parts.create_if_missing = create;
  parts.memtable_bytes = options_.memtable_bytes;
  KVORUM_RETURN_IF_ERROR(CheckWals(parts.env, LogDirectory(options_.data_dir)));
  const std::vector<Database::Family> log_families = {{kMetaFamily, MetaFamilyOptions()},
                                                      {kLogFamily, LogFamilyOptions(parts)}};
  KVORUM_ASSIGN_OR_RETURN(log_database_, Database::Open(LogDirectory(options_.data_dir),
                                                        LogDatabaseOptions(parts), log_families));
  const std::vector<Database::Family> snapshot_families = {{kMetaFamily, SnapshotFamilyOptions()}};
  KVORUM_ASSIGN_OR_RETURN(snapshot_database_,
                          Database::Open(SnapshotDirectory(options_.data_dir),
                                         SnapshotDatabaseOptions(parts), snapshot_families));
  return absl::OkStatus();
}

absl::Status RocksDbStorage::Format(const RocksDbStorageOptions& options) {
  KVORUM_RETURN_IF_ERROR(CreateDataDirectory(options.data_dir));
  KVORUM_RETURN_IF_ERROR(CreateDataDirectory(LogDirectory(options.data_dir)));
  KVORUM_RETURN_IF_ERROR(CreateDataDirectory(SnapshotDirectory(options.data_dir)));
  RocksDbStorage storage(options);
  KVORUM_RETURN_IF_ERROR(storage.OpenDatabases(/*create=*/true));
  rocksdb::DB* const db = storage.log_database_->db();
  rocksdb::ColumnFamilyHandle* const meta = storage.log_database_->family(kMetaIndex);
  KVORUM_RETURN_IF_ERROR(CheckIsEmpty(db, meta, LogDirectory(options.data_dir)));
  KVORUM_RETURN_IF_ERROR(
      CheckIsEmpty(db, storage.log_database_->family(kLogIndex), LogDirectory(options.data_dir)));
  std::string version;
  PutBigEndian<uint32_t>(version, kStorageFormatVersion);
  const rocksdb::Status status = db->Put(SyncedWrite(), meta, ToSlice(kFormatVersionKey), version);
  KVORUM_RETURN_IF_ERROR(FromRocksDb(status, "write the format version"));
  // In a table file, named in the manifest: it does not vanish with a write-ahead log.
  return FromRocksDb(db->Flush(rocksdb::FlushOptions(), meta), "write the format version");
}

absl::StatusOr<std::unique_ptr<RocksDbStorage>> RocksDbStorage::Open(
    RocksDbStorageOptions options) {
  std::unique_ptr<RocksDbStorage> storage(new RocksDbStorage(std::move(options)));
  KVORUM_RETURN_IF_ERROR(storage->OpenDatabases(/*create=*/false));
  const Database& log = *storage->log_database_;
  KVORUM_RETURN_IF_ERROR(CheckFormatVersion(log, LogDirectory(storage->options_.data_dir)));
  rocksdb::ColumnFamilyHandle* const meta = log.family(kMetaIndex);
  storage->log_ =
      std::make_unique<LogTable>(log.db(), log.family(kLogIndex), storage->options_.cluster_id);
  storage->quorum_state_ = std::make_unique<QuorumStateTable>(log.db(), meta);
  storage->snapshots_ = std::make_unique<SnapshotTable>(SnapshotTable::Databases{
      .chunks = storage->snapshot_database_->db(), .log = log.db(), .meta = meta});
  return storage;
}

absl::StatusOr<RecoveredState> RocksDbStorage::Recover() {
  KVORUM_CHECK(commit_thread_ == nullptr, "Recover() called twice");
  LogVerifier verifier(options_.cluster_id);
  KVORUM_RETURN_IF_ERROR(log_->Load(verifier));
  KVORUM_ASSIGN_OR_RETURN(const std::optional<QuorumState> quorum_state, quorum_state_->Load());
  KVORUM_RETURN_IF_ERROR(snapshots_->Load());
  KVORUM_ASSIGN_OR_RETURN(RecoveredState state,
                          std::move(verifier).Finish(quorum_state, snapshots_->latest()));
  commit_thread_ = std::make_unique<CommitThread>(
      options_.limits,
      [this](const std::vector<CommitRequest>& group) { return WriteGroup(group); },
      [this](const absl::Status& status) { ReportFatal(status); });
  workers_ = std::make_unique<WorkerPool>(kWorkerThreads);
  return state;
}

void RocksDbStorage::ReportFatal(const absl::Status& status) {
  if (!fatal_reported_.exchange(true)) {
    options_.on_fatal(status);
  }
}

absl::Status RocksDbStorage::WriteGroup(const std::vector<CommitRequest>& group) {
  batch_.Clear();
  for (const CommitRequest& request : group) {
    const StorageWrite& write = request.write;
    if (write.quorum_state.has_value()) {
      quorum_state_->Add(*write.quorum_state, batch_);
    }
    if (write.truncate_to.has_value()) {
      KVORUM_RETURN_IF_ERROR(log_->AddTruncation(*write.truncate_to, batch_));
    }
    log_->AddBatches(write.append, batch_);
    KVORUM_CHECK(log_->last_epoch() <= quorum_state_->epoch(),
                 "write {} leaves the log in epoch {}, the quorum state is of {}", write.id,
                 log_->last_epoch(), quorum_state_->epoch());
    if (request.snapshot.has_value()) {
      snapshots_->AddFrozen(*request.snapshot, batch_);
    }
  }
  if (batch_.Count() == 0) {
    return absl::OkStatus();
  }
  return FromRocksDb(log_database_->db()->Write(SyncedWrite(), &batch_), "write to the log");
}

void RocksDbStorage::Submit(StorageWrite write, WriteDone done) {
  commit_thread_->Submit(
      {.write = std::move(write), .snapshot = std::nullopt, .done = std::move(done)});
}

void RocksDbStorage::Read(const LogRange& range, ReadDone done) {
  workers_->Submit([this, range, done = std::move(done)](const absl::Status& go) {
    if (go.ok()) {
      done(log_->Read(range));
    } else {
      done(go);
    }
  });
}

void RocksDbStorage::WriteSnapshot(const SnapshotId& id, ChunkSource next_chunk, WriteDone done) {
  workers_->Submit([this, id, next_chunk = std::move(next_chunk),
                    done = std::move(done)](const absl::Status& go) {
    if (go.ok()) {
      WriteSnapshotNow(id, next_chunk, done);
    } else {
      done(go);
    }
  });
}

void RocksDbStorage::WriteSnapshotNow(const SnapshotId& id, const ChunkSource& next_chunk,
                                      WriteDone done) {
  const auto snapshot = snapshots_->WriteChunks(id, next_chunk);
  if (snapshot.ok()) {
    Freeze(*snapshot, std::move(done));
  } else if (absl::IsAlreadyExists(snapshot.status())) {
    done(absl::OkStatus());  // the same state under the same name
  } else {
    done(snapshot.status());
  }
}

void RocksDbStorage::Freeze(const FrozenSnapshot& snapshot, WriteDone done) {
  CommitRequest request;
  request.snapshot = snapshot;
  request.done = [this, snapshot, done = std::move(done)](const absl::Status& status) {
    if (status.ok()) {
      for (const SnapshotId& old : snapshots_->MarkFrozen(snapshot)) {
        workers_->Submit([this, old](const absl::Status& go) {
          // Chunks that stay are leftovers, which the next start removes.
          if (go.ok()) {
            snapshots_->RemoveChunks(old).IgnoreError();
          }
        });
      }
    }
    done(status);
  };
  commit_thread_->Submit(std::move(request));
}

void RocksDbStorage::ReadSnapshotChunk(const SnapshotId& id, int64_t index, ChunkDone done) {
  workers_->Submit([this, id, index, done = std::move(done)](const absl::Status& go) {
    if (go.ok()) {
      done(snapshots_->ReadChunk(id, index));
    } else {
      done(go);
    }
  });
}

}  // namespace kvorum
