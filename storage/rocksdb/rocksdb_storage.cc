#include "storage/rocksdb/rocksdb_storage.h"

#include <fmt/format.h>

#include <utility>

#include "server/base/check.h"
#include "server/base/mutants.h"
#include "server/base/status_macros.h"
#include "storage/log_verifier.h"
#include "storage/meta_properties.h"
#include "storage/rocksdb/key_codec.h"
#include "storage/rocksdb/status_convert.h"
#include "storage/rocksdb/wal_check.h"
#include "storage/snapshot_rules.h"
#include "storage/types/big_endian.h"

namespace kvorum {
namespace {

constexpr int kReaderThreads = 2;
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
  if (version > kStorageFormatVersion && !KVORUM_MUTANT(R36)) {
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
  for (WorkerPool* pool : {readers_.get(), maker_.get(), receiver_.get()}) {
    if (pool != nullptr) {
      pool->Stop();
    }
  }
  if (commit_thread_ != nullptr) {
    commit_thread_->Stop();
    if (!fatal_reported_.load()) {
      // Not doing it costs the next start nothing but some of its suspicion.
      guard_->Finish().IgnoreError();
    }
  }
}

absl::Status RocksDbStorage::OpenDatabases(bool create) {
  DatabaseParts parts;
  parts.env = env_ != nullptr ? env_.get() : rocksdb::Env::Default();
  parts.on_fatal = [this](const absl::Status& status) { ReportFatal(status); };
  parts.create_if_missing = create;
  parts.read_only = options_.read_only;
  parts.memtable_bytes = options_.memtable_bytes;
  parts.snapshot_bytes_per_second = options_.snapshot_bytes_per_second;
  KVORUM_RETURN_IF_ERROR(CheckWals(parts.env, LogDirectory(options_.data_dir)));
  const std::vector<Database::Family> log_families = {{kMetaFamily, MetaFamilyOptions()},
                                                      {kLogFamily, LogFamilyOptions(parts)}};
  const auto open = options_.read_only ? &Database::OpenReadOnly : &Database::Open;
  KVORUM_ASSIGN_OR_RETURN(log_database_, open(LogDirectory(options_.data_dir),
                                              LogDatabaseOptions(parts), log_families));
  const std::vector<Database::Family> snapshot_families = {{kMetaFamily, SnapshotFamilyOptions()}};
  KVORUM_ASSIGN_OR_RETURN(snapshot_database_,
                          open(SnapshotDirectory(options_.data_dir), SnapshotDatabaseOptions(parts),
                               snapshot_families));
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
  KVORUM_RETURN_IF_ERROR(
      FromRocksDb(db->Flush(rocksdb::FlushOptions(), meta), "write the format version"));
  return GuardFile::Create(*storage.OpenGuardSlots(),
                           NewGuard(options.cluster_id, options.replica));
}

std::unique_ptr<GuardSlots> RocksDbStorage::OpenGuardSlots() const {
  return options_.guard_slots ? options_.guard_slots() : MakeGuardSlots(options_.data_dir);
}

absl::StatusOr<std::unique_ptr<RocksDbStorage>> RocksDbStorage::Open(
    RocksDbStorageOptions options) {
  std::unique_ptr<RocksDbStorage> storage(new RocksDbStorage(std::move(options)));
  KVORUM_ASSIGN_OR_RETURN(std::unique_ptr<GuardFile> guard,
                          GuardFile::Open(storage->OpenGuardSlots(), storage->options_.cluster_id,
                                          storage->options_.replica));
  storage->guard_ = std::make_unique<GuardKeeper>(std::move(guard));
  KVORUM_RETURN_IF_ERROR(storage->OpenDatabases(/*create=*/false));
  const Database& log = *storage->log_database_;
  KVORUM_RETURN_IF_ERROR(CheckFormatVersion(log, LogDirectory(storage->options_.data_dir)));
  rocksdb::ColumnFamilyHandle* const meta = log.family(kMetaIndex);
  storage->log_ = std::make_unique<LogTable>(
      log.db(), LogTable::Families{.log = log.family(kLogIndex), .meta = meta},
      storage->options_.cluster_id);
  storage->quorum_state_ = std::make_unique<QuorumStateTable>(log.db(), meta);
  storage->snapshots_ = std::make_unique<SnapshotTable>(SnapshotTable::Databases{
      .chunks = storage->snapshot_database_->db(), .log = log.db(), .meta = meta});
  return storage;
}

absl::StatusOr<RecoveredState> RocksDbStorage::Recover() {
  KVORUM_CHECK(commit_thread_ == nullptr, "Recover() called twice");
  KVORUM_ASSIGN_OR_RETURN(LogVerifier verifier, log_->Load());
  KVORUM_ASSIGN_OR_RETURN(const std::optional<QuorumState> quorum_state, quorum_state_->Load());
  KVORUM_RETURN_IF_ERROR(options_.read_only ? snapshots_->LoadFrozen() : snapshots_->Load());
  KVORUM_ASSIGN_OR_RETURN(RecoveredState state,
                          std::move(verifier).Finish(quorum_state, snapshots_->frozen()));
  readers_ = std::make_unique<WorkerPool>(kReaderThreads);
  if (options_.read_only) {
    GuardState guard = guard_->state();
    Reconcile(state, guard);
    return state;
  }
  KVORUM_RETURN_IF_ERROR(StartWriting(state));
  return state;
}

absl::Status RocksDbStorage::StartWriting(RecoveredState& state) {
  KVORUM_RETURN_IF_ERROR(ReconcileWithGuard(state));
  maker_ = std::make_unique<WorkerPool>(1);
  receiver_ = std::make_unique<WorkerPool>(1);
  commit_thread_ = std::make_unique<CommitThread>(
      options_.limits,
      CommitThread::Callbacks{
          .write = [this](std::vector<CommitRequest>& group) { return WriteGroup(group); },
          .after_group = [this] { return guard_->Raise(/*now=*/false); },
          .on_error = [this](const absl::Status& status) { ReportFatal(status); }});
  return absl::OkStatus();
}

absl::Status RocksDbStorage::VerifyFiles() {
  for (const auto& [database, directory] :
       {std::pair{log_database_.get(), LogDirectory(options_.data_dir)},
        std::pair{snapshot_database_.get(), SnapshotDirectory(options_.data_dir)}}) {
    const rocksdb::Status status = database->db()->VerifyChecksum(VerifiedRead());
    KVORUM_RETURN_IF_ERROR(
        WithRemedy(FromRocksDb(status, fmt::format("read all of {}", directory))));
  }
  return absl::OkStatus();
}

absl::Status RocksDbStorage::ReconcileWithGuard(RecoveredState& state) {
  const QuorumState in_database = state.quorum_state;
  KVORUM_RETURN_IF_ERROR(guard_->Reconcile(state));
  if (state.quorum_state == in_database) {
    return absl::OkStatus();
  }
  // The database learns of the vote that it has lost: it stands in the way of older ones.
  batch_.Clear();
  quorum_state_->Add(state.quorum_state, batch_);
  return FromRocksDb(log_database_->db()->Write(SyncedWrite(), &batch_),
                     "write the quorum state of the guard file");
}

absl::Status RocksDbStorage::LowerGuard(const CommitRequest& first) {
  // What looks back stands at the front of its group (CommitThread).
  if (shortened_to_.has_value()) {
    KVORUM_RETURN_IF_ERROR(guard_->BeforeShorter(*shortened_to_));
  }
  return first.remove.has_value()
             ? guard_->BeforeRemoval(*first.remove, snapshots_->LatestBut(*first.remove))
             : absl::OkStatus();
}

absl::Status RocksDbStorage::UpdateGuard(const std::vector<CommitRequest>& group) {
  GuardKeeper::Durable durable;
  durable.end = log_->end();
  durable.latest_snapshot = snapshots_->LatestBut(group.front().remove.value_or(SnapshotId()));
  for (const CommitRequest& request : group) {
    if (request.write.quorum_state.has_value()) {
      durable.quorum_state = request.write.quorum_state;
    }
    durable.is_installed = durable.is_installed || request.write.install.has_value();
    durable.leaves_quarantine = durable.leaves_quarantine || request.write.leave_quarantine;
  }
  return guard_->AfterWrite(durable);
}

void RocksDbStorage::ReportFatal(const absl::Status& status) {
  if (!fatal_reported_.exchange(true)) {
    options_.on_fatal(status);
  }
}

absl::Status RocksDbStorage::CheckSnapshots(const StorageWrite& write) const {
  if (write.install.has_value() && !snapshots_->Find(write.install->id).has_value()) {
    return NotFrozenYet(write.install->id);
  }
  return write.log_start.has_value() ? CheckLogStart(snapshots_->frozen(), *write.log_start)
                                     : absl::OkStatus();
}

absl::Status RocksDbStorage::AddWrite(const StorageWrite& write) {
  KVORUM_RETURN_IF_ERROR(CheckSnapshots(write));
  if (write.quorum_state.has_value()) {
    quorum_state_->Add(*write.quorum_state, batch_);
  }
  if (write.install.has_value()) {
    // All that the log before and the one after have in common, for sure.
    shortened_to_ = EmptyLogEnd(options_.cluster_id);
    KVORUM_RETURN_IF_ERROR(log_->AddInstall(*write.install, batch_));
  }
  if (write.truncate_to.has_value()) {
    KVORUM_RETURN_IF_ERROR(log_->AddTruncation(*write.truncate_to, batch_));
    shortened_to_ = shortened_to_.value_or(log_->end());
  }
  if (write.log_start.has_value()) {
    KVORUM_RETURN_IF_ERROR(log_->AddStart(*write.log_start, batch_));
  }
  log_->AddBatches(write.append, batch_);
  KVORUM_CHECK(log_->end().epoch <= quorum_state_->epoch(),
               "write {} leaves the log in epoch {}, the quorum state is of {}", write.id,
               log_->end().epoch, quorum_state_->epoch());
  return absl::OkStatus();
}

absl::Status RocksDbStorage::AddSnapshotChange(const CommitRequest& request) {
  if (request.freeze.has_value()) {
    return snapshots_->AddFrozen(*request.freeze, batch_);
  }
  return request.remove.has_value()
             ? snapshots_->AddRemoval(*request.remove, log_->start().end_offset, batch_)
             : absl::OkStatus();
}

absl::Status RocksDbStorage::WriteGroup(std::vector<CommitRequest>& group) {
  batch_.Clear();
  shortened_to_.reset();
  const Offset start = log_->start().end_offset;
  for (CommitRequest& request : group) {
    KVORUM_RETURN_IF_ERROR(AddWrite(request.write));
    request.refusal = AddSnapshotChange(request);
    if (&request == &group.front()) {
      KVORUM_RETURN_IF_ERROR(LowerGuard(request));
    }
  }
  if (batch_.Count() != 0) {
    const rocksdb::Status status = log_database_->db()->Write(SyncedWrite(), &batch_);
    KVORUM_RETURN_IF_ERROR(FromRocksDb(status, "write to the log"));
  }
  if (log_->start().end_offset != start) {
    log_->Publish();
    DropLogFilesLater();
  }
  return UpdateGuard(group);
}

void RocksDbStorage::DropLogFilesLater() {
  maker_->Submit([this](const absl::Status& go) {
    // Files that stay cost space, and the next move of the start tries again.
    if (go.ok()) {
      log_->DropFilesBelowStart().IgnoreError();
    }
  });
}

void RocksDbStorage::RemoveChunksLater(int64_t serial) {
  maker_->Submit([this, serial](const absl::Status& go) {
    // Chunks that stay are leftovers, which the next start removes.
    if (go.ok()) {
      snapshots_->RemoveChunks(serial).IgnoreError();
    }
  });
}

void RocksDbStorage::Submit(StorageWrite write, WriteDone done) {
  commit_thread_->Submit({.write = std::move(write), .done = std::move(done)});
}

void RocksDbStorage::Read(const LogRange& range, ReadDone done) {
  readers_->Submit([this, range, done = std::move(done)](const absl::Status& go) {
    if (go.ok()) {
      done(log_->Read(range));
    } else {
      done(go);
    }
  });
}

void RocksDbStorage::WriteSnapshot(SnapshotManifest manifest, ChunkSource next_chunk,
                                   SnapshotDone done) {
  maker_->Submit([this, manifest = std::move(manifest), next_chunk = std::move(next_chunk),
                  done = std::move(done)](const absl::Status& go) {
    if (go.ok()) {
      MakeSnapshot(manifest, next_chunk, done);
    } else {
      done(go);
    }
  });
}

void RocksDbStorage::MakeSnapshot(SnapshotManifest manifest, const ChunkSource& next_chunk,
                                  const SnapshotDone& done) {
  const SnapshotId id = manifest.id;
  if (const auto frozen = snapshots_->Find(id); frozen.has_value()) {
    done(*frozen);
    return;
  }
  const auto snapshot = snapshots_->WriteChunks(std::move(manifest), next_chunk);
  if (!snapshot.ok()) {
    done(snapshot.status());
    return;
  }
  Freeze(*snapshot, [this, done, manifest = snapshot->manifest](const absl::Status& status) {
    if (status.ok()) {
      done(snapshots_->Find(manifest.id).value_or(manifest));  // another may have been first
    } else {
      done(status);
    }
  });
}

void RocksDbStorage::WriteSnapshotChunk(const SnapshotId& id, int64_t index, std::string chunk,
                                        WriteDone done) {
  receiver_->Submit(
      [this, id, index, chunk = std::move(chunk), done = std::move(done)](const absl::Status& go) {
        done(go.ok() ? snapshots_->AddReceived(id, index, chunk) : go);
      });
}

void RocksDbStorage::FreezeSnapshot(const SnapshotManifest& manifest, WriteDone done) {
  receiver_->Submit([this, manifest, done = std::move(done)](const absl::Status& go) {
    if (!go.ok() || snapshots_->Find(manifest.id).has_value()) {
      done(go);
      return;
    }
    const auto snapshot = snapshots_->FinishReceived(manifest);
    if (snapshot.ok()) {
      Freeze(*snapshot, done);
    } else {
      done(snapshot.status());
    }
  });
}

void RocksDbStorage::Freeze(const StoredSnapshot& snapshot, WriteDone done) {
  CommitRequest request;
  request.freeze = snapshot;
  request.done = [this, snapshot, done = std::move(done)](const absl::Status& status) {
    // Of two writings of the same snapshot the first one stays.
    if (!status.ok() || !snapshots_->MarkFrozen(snapshot)) {
      RemoveChunksLater(snapshot.serial);
    }
    done(status);
  };
  commit_thread_->Submit(std::move(request));
}

void RocksDbStorage::DeleteSnapshot(const SnapshotId& id, WriteDone done) {
  CommitRequest request;
  request.remove = id;
  request.done = [this, id, done = std::move(done)](const absl::Status& status) {
    if (status.ok()) {
      RemoveChunksLater(snapshots_->MarkRemoved(id));
    }
    done(status);
  };
  commit_thread_->Submit(std::move(request));
}

void RocksDbStorage::ReadSnapshotChunk(const SnapshotId& id, int64_t index, ChunkDone done) {
  readers_->Submit([this, id, index, done = std::move(done)](const absl::Status& go) {
    if (go.ok()) {
      done(snapshots_->ReadChunk(id, index));
    } else {
      done(go);
    }
  });
}

}  // namespace kvorum
