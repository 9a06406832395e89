#include "storage/rocksdb/rocksdb_storage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "server/base/errors.h"
#include "storage/meta_properties.h"
#include "storage/rocksdb/key_codec.h"
#include "storage/types/big_endian.h"
#include "tests/storage/storage_test_util.h"

namespace kvorum {
namespace {

using testing::Appending;
using testing::Entering;
using testing::FormatOrDie;
using ::testing::HasSubstr;
using testing::InEpoch;
using testing::LogBuilder;
using testing::OpenAndRecover;
using testing::OpenedStorage;
using testing::OptionsFor;
using testing::ReadChunk;
using testing::ReadLog;
using testing::SameBatch;
using testing::TempDir;
using testing::Write;
using testing::WriteSnapshot;

class RocksDbStorageTest : public ::testing::Test {
 protected:
  RocksDbStorageTest() { FormatOrDie(options_); }

  // Opens the storage; a test that expects it to work uses this.
  Storage& Open() {
    storage_.reset();
    auto opened = OpenAndRecover(options_);
    EXPECT_TRUE(opened.ok()) << opened.status();
    recovered_ = opened->recovered;
    storage_ = std::move(opened->storage);
    return *storage_;
  }

  absl::Status OpenStatus() {
    storage_.reset();
    return OpenAndRecover(options_).status();
  }

  // Runs `change` on the raw log database.
  void Tamper(const std::function<void(const Database&)>& change) {
    storage_.reset();
    DatabaseParts parts;
    parts.env = rocksdb::Env::Default();
    parts.on_fatal = [](const absl::Status&) {};
    parts.memtable_bytes = options_.memtable_bytes;
    auto database =
        Database::Open(LogDirectory(options_.data_dir), LogDatabaseOptions(parts),
                       {{kMetaFamily, MetaFamilyOptions()}, {kLogFamily, LogFamilyOptions(parts)}});
    ASSERT_TRUE(database.ok()) << database.status();
    change(**database);
  }

  void ExpectCorrupt(const char* text) {
    const absl::Status status = OpenStatus();
    EXPECT_EQ(GetErrorReason(status), ErrorReason::kCorruptLog);
    EXPECT_THAT(status.ToString(), HasSubstr(text));
  }

  // Three batches: [0, 2) [2, 3) control [3, 8), epochs 1, 2, 2.
  void WriteThreeBatches() {
    Storage& storage = Open();
    ASSERT_TRUE(Write(storage, Entering(Epoch(1), {log_.Append(Epoch(1), 2)})).ok());
    ASSERT_TRUE(
        Write(storage, Entering(Epoch(2), {log_.AppendControl(Epoch(2)), log_.Append(Epoch(2), 5)}))
            .ok());
  }

  TempDir dir_;
  RocksDbStorageOptions options_ = OptionsFor(dir_.path() + "/data");
  LogBuilder log_;
  RecoveredState recovered_;
  std::unique_ptr<RocksDbStorage> storage_;
};

TEST_F(RocksDbStorageTest, ANewDirectoryIsEmpty) {
  Open();
  EXPECT_EQ(recovered_.quorum_state, QuorumState());
  EXPECT_TRUE(recovered_.batch_ends.empty());
  EXPECT_EQ(recovered_.chain_at_start, GenesisChainHash(testing::kCluster));
  EXPECT_TRUE(recovered_.snapshots.empty());
}

TEST_F(RocksDbStorageTest, RecoversWhatWasWritten) {
  WriteThreeBatches();
  StorageWrite vote;
  vote.quorum_state = InEpoch(Epoch(5));
  vote.quorum_state->voted_key = ReplicaKey{.node_id = NodeId(3), .directory_id = Uuid()};
  vote.quorum_state->leader_id = NodeId(2);
  ASSERT_TRUE(Write(*storage_, vote).ok());
  Open();
  EXPECT_EQ(recovered_.quorum_state, *vote.quorum_state);
  ASSERT_EQ(recovered_.batch_ends.size(), 3u);
  EXPECT_EQ(recovered_.batch_ends[2].end_offset, Offset(8));
  EXPECT_EQ(recovered_.batch_ends[2].chain_hash, log_.batches()[2].chain_hash);
  ASSERT_EQ(recovered_.control_batches.size(), 1u);
  EXPECT_TRUE(SameBatch(recovered_.control_batches[0], log_.batches()[1]));
}

TEST_F(RocksDbStorageTest, ReadsWholeBatchesUpToTheLimit) {
  WriteThreeBatches();
  const auto read = [&](int64_t from, int64_t to, size_t max_bytes) {
    return ReadLog(*storage_, {.from = Offset(from), .to = Offset(to), .max_bytes = max_bytes});
  };
  const auto all = read(0, 8, 1 << 20);
  ASSERT_TRUE(all.ok()) << all.status();
  ASSERT_EQ(all->size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_TRUE(SameBatch((*all)[i], log_.batches()[i]));
  }
  EXPECT_EQ(read(0, 3, 1 << 20)->size(), 2u);
  EXPECT_EQ(read(2, 8, 1)->size(), 1u);
  EXPECT_TRUE(absl::IsNotFound(read(1, 8, 1).status()));
  EXPECT_TRUE(absl::IsNotFound(read(8, 9, 1).status()));
}

TEST_F(RocksDbStorageTest, TruncationRemovesATailAndAppendsAnother) {
  WriteThreeBatches();
  log_.TruncateTo(Offset(2));
  StorageWrite write = Entering(Epoch(3), {log_.Append(Epoch(3), 4)});
  write.truncate_to = Offset(2);
  ASSERT_TRUE(Write(*storage_, write).ok());
  ASSERT_TRUE(Write(*storage_, Appending({log_.Append(Epoch(3))})).ok());
  Open();
  ASSERT_EQ(recovered_.batch_ends.size(), 3u);
  EXPECT_EQ(recovered_.batch_ends[1].end_offset, Offset(6));
  EXPECT_EQ(recovered_.batch_ends[1].epoch, Epoch(3));
  EXPECT_TRUE(recovered_.control_batches.empty());
}

TEST_F(RocksDbStorageTest, TruncationToNothingLeavesAnEmptyLog) {
  WriteThreeBatches();
  StorageWrite write;
  write.truncate_to = Offset(0);
  ASSERT_TRUE(Write(*storage_, write).ok());
  Open();
  EXPECT_TRUE(recovered_.batch_ends.empty());
  EXPECT_EQ(recovered_.quorum_state.epoch, Epoch(2));
}

TEST_F(RocksDbStorageTest, ConsecutiveTruncationsSeeEachOther) {
  Storage& storage = Open();
  std::vector<std::promise<absl::Status>> results(40);
  StorageWrite first = Entering(Epoch(1), {log_.Append(Epoch(1)), log_.Append(Epoch(1))});
  for (std::promise<absl::Status>& result : results) {
    storage.Submit(first, [&](const absl::Status& status) { result.set_value(status); });
    log_.TruncateTo(Offset(1));
    first = Appending({log_.Append(Epoch(1), 2), log_.Append(Epoch(1))});
    first.truncate_to = Offset(1);
  }
  for (std::promise<absl::Status>& result : results) {
    EXPECT_TRUE(result.get_future().get().ok());
  }
  Open();
  EXPECT_EQ(recovered_.batch_ends.back().end_offset, Offset(4));
}

TEST_F(RocksDbStorageTest, ClosingCompletesEveryWrite) {
  Storage& storage = Open();
  int completed = 0;
  storage.Submit(Entering(Epoch(1)), [&](const absl::Status& s) { completed += s.ok() ? 1 : 0; });
  for (int i = 0; i < 500; ++i) {
    storage.Submit(Appending({log_.Append(Epoch(1))}),
                   [&](const absl::Status& s) { completed += s.ok() ? 1 : 0; });
  }
  Open();
  EXPECT_EQ(completed, 501);
  EXPECT_EQ(recovered_.batch_ends.size(), 500u);
}

TEST_F(RocksDbStorageTest, RefusesAHole) {
  WriteThreeBatches();
  Tamper([](const Database& database) {
    ASSERT_TRUE(database.db()->Delete(SyncedWrite(), database.family(1), LogKey(Offset(2))).ok());
  });
  ExpectCorrupt("ends at offset 2, the next batch begins at 3");
}

TEST_F(RocksDbStorageTest, RefusesALostBeginning) {
  WriteThreeBatches();
  Tamper([](const Database& database) {
    ASSERT_TRUE(database.db()->Delete(SyncedWrite(), database.family(1), LogKey(Offset(0))).ok());
  });
  ExpectCorrupt("ends at offset 0, the next batch begins at 2");
}

TEST_F(RocksDbStorageTest, RefusesAFlippedByteInARow) {
  WriteThreeBatches();
  Tamper([this](const Database& database) {
    std::string frame = EncodeBatch(log_.batches()[1]);
    frame.back() = static_cast<char>(frame.back() ^ 1);
    ASSERT_TRUE(
        database.db()->Put(SyncedWrite(), database.family(1), LogKey(Offset(2)), frame).ok());
  });
  ExpectCorrupt("log row at offset 2");
}

TEST_F(RocksDbStorageTest, RefusesARowOfAnotherHistory) {
  WriteThreeBatches();
  Tamper([this](const Database& database) {
    const RecordBatch other = MakeBatch(Offset(3), 5, Epoch(2), false, 1000,
                                        log_.batches()[2].payload, /*previous_chain=*/7);
    ASSERT_TRUE(database.db()
                    ->Put(SyncedWrite(), database.family(1), LogKey(Offset(3)), EncodeBatch(other))
                    .ok());
  });
  ExpectCorrupt("offset 3 carries chain hash");
}

TEST_F(RocksDbStorageTest, RefusesADecreasingEpoch) {
  WriteThreeBatches();
  Tamper([this](const Database& database) {
    const RecordBatch older = MakeBatch(Offset(3), 5, Epoch(1), false, 1000,
                                        log_.batches()[2].payload, log_.batches()[1].chain_hash);
    ASSERT_TRUE(database.db()
                    ->Put(SyncedWrite(), database.family(1), LogKey(Offset(3)), EncodeBatch(older))
                    .ok());
  });
  ExpectCorrupt("offset 3 is of epoch 1, the one before it of 2");
}

TEST_F(RocksDbStorageTest, RefusesAMissingQuorumState) {
  WriteThreeBatches();
  Tamper([](const Database& database) {
    ASSERT_TRUE(
        database.db()->Delete(SyncedWrite(), database.family(0), ToSlice(kQuorumStateKey)).ok());
  });
  ExpectCorrupt("quorum state (epoch and vote) is missing");
}

TEST_F(RocksDbStorageTest, RefusesAnOlderQuorumState) {
  WriteThreeBatches();
  Tamper([](const Database& database) {
    ASSERT_TRUE(database.db()
                    ->Put(SyncedWrite(), database.family(0), ToSlice(kQuorumStateKey),
                          EncodeQuorumState(InEpoch(Epoch(1))))
                    .ok());
  });
  ExpectCorrupt("quorum state is of epoch 1, which is older");
}

TEST_F(RocksDbStorageTest, RefusesADamagedQuorumState) {
  WriteThreeBatches();
  Tamper([](const Database& database) {
    std::string row = EncodeQuorumState(InEpoch(Epoch(2)));
    row[4] = static_cast<char>(row[4] ^ 1);
    ASSERT_TRUE(
        database.db()->Put(SyncedWrite(), database.family(0), ToSlice(kQuorumStateKey), row).ok());
  });
  ExpectCorrupt("quorum state: CRC");
}

TEST_F(RocksDbStorageTest, RefusesAnotherClustersLog) {
  WriteThreeBatches();
  options_.cluster_id = "other-cluster";
  EXPECT_THAT(OpenStatus().ToString(), HasSubstr("the guard file belongs to"));
  for (int slot = 0; slot < kGuardSlots; ++slot) {
    std::filesystem::remove(GuardPath(options_.data_dir, slot));
  }
  ASSERT_TRUE(GuardFile::Create(*MakeGuardSlots(options_.data_dir),
                                NewGuard(options_.cluster_id, options_.replica))
                  .ok());
  ExpectCorrupt("offset 0 carries chain hash");
}

TEST_F(RocksDbStorageTest, RefusesANewerFormat) {
  Tamper([](const Database& database) {
    std::string version;
    PutBigEndian<uint32_t>(version, kStorageFormatVersion + 1);
    ASSERT_TRUE(database.db()
                    ->Put(SyncedWrite(), database.family(0), ToSlice(kFormatVersionKey), version)
                    .ok());
  });
  const absl::Status status = OpenStatus();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(status.ToString(), HasSubstr("newer release"));
}

TEST_F(RocksDbStorageTest, RefusesASecondOpener) {
  Open();
  const absl::Status status = OpenAndRecover(options_).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(status.ToString(), HasSubstr("in use by another process"));
}

TEST_F(RocksDbStorageTest, AMissingDatabaseIsNotAFreshStart) {
  std::filesystem::remove_all(LogDirectory(options_.data_dir));
  const absl::Status status = OpenStatus();
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_THAT(status.ToString(), HasSubstr("not mounted"));
}

TEST_F(RocksDbStorageTest, FormatNeverTakesOverALog) {
  EXPECT_TRUE(RocksDbStorage::Format(options_).ok());  // an interrupted format may be repeated
  WriteThreeBatches();
  storage_.reset();
  EXPECT_TRUE(absl::IsAlreadyExists(RocksDbStorage::Format(options_)));
  struct stat info {};
  ASSERT_EQ(::stat(LogDirectory(options_.data_dir).c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

TEST_F(RocksDbStorageTest, ADamagedChunkIsDataLoss) {
  const SnapshotId id = testing::SnapshotAt(10, 1).id;
  ASSERT_TRUE(WriteSnapshot(Open(), testing::SnapshotAt(10, 1), {"chunk"}).ok());
  storage_.reset();
  {
    rocksdb::DB* raw = nullptr;
    ASSERT_TRUE(
        rocksdb::DB::Open(rocksdb::Options(), SnapshotDirectory(options_.data_dir), &raw).ok());
    const std::unique_ptr<rocksdb::DB> db(raw);
    const std::unique_ptr<rocksdb::Iterator> it(db->NewIterator(rocksdb::ReadOptions()));
    it->SeekToFirst();
    ASSERT_TRUE(it->Valid());
    std::string row = it->value().ToString();
    row.back() = 'X';
    ASSERT_TRUE(db->Put(SyncedWrite(), it->key(), row).ok());
  }
  EXPECT_TRUE(absl::IsDataLoss(ReadChunk(Open(), id, 0).status()));
}

TEST_F(RocksDbStorageTest, ASnapshotWithoutItsRowIsALeftover) {
  Storage& storage = Open();
  ASSERT_TRUE(WriteSnapshot(storage, testing::SnapshotAt(10, 1), {"ten"}).ok());
  ASSERT_TRUE(WriteSnapshot(storage, testing::SnapshotAt(20, 1), {"twenty", "more"}).ok());
  const SnapshotId id = testing::SnapshotAt(20, 1).id;
  Tamper([&](const Database& database) {  // as if the crash came before the row
    ASSERT_TRUE(
        database.db()->Delete(SyncedWrite(), database.family(0), FrozenSnapshotKey(id)).ok());
  });
  Storage& reopened = Open();
  ASSERT_EQ(recovered_.snapshots.size(), 1u);
  EXPECT_EQ(*ReadChunk(reopened, testing::SnapshotAt(10, 1).id, 0), "ten");
  ASSERT_TRUE(WriteSnapshot(reopened, testing::SnapshotAt(20, 1), {"again"}).ok());
  EXPECT_EQ(*ReadChunk(reopened, id, 0), "again");
  EXPECT_TRUE(absl::IsOutOfRange(ReadChunk(reopened, id, 1).status()));
}

TEST_F(RocksDbStorageTest, RefusesADamagedSnapshotRow) {
  ASSERT_TRUE(WriteSnapshot(Open(), testing::SnapshotAt(10, 1), {"ten"}).ok());
  Tamper([](const Database& database) {
    const std::string key = FrozenSnapshotKey(testing::SnapshotAt(10, 1).id);
    std::string row;
    ASSERT_TRUE(database.db()->Get(VerifiedRead(), database.family(0), key, &row).ok());
    row[7] = static_cast<char>(row[7] ^ 1);  // the serial: another writing's chunks
    ASSERT_TRUE(database.db()->Put(SyncedWrite(), database.family(0), key, row).ok());
  });
  ExpectCorrupt("snapshot 10/1 fails its checksum");
}

// KAFKA-14240
TEST_F(RocksDbStorageTest, RefusesALogWithoutItsBeginningAndNoSnapshotOfIt) {
  WriteThreeBatches();
  ASSERT_TRUE(WriteSnapshot(*storage_, testing::SnapshotBehind(log_.batches()[1]), {"state"}).ok());
  StorageWrite write;
  write.log_start = Offset(3);
  ASSERT_TRUE(Write(*storage_, write).ok());
  Tamper([](const Database& database) {
    const std::string key = FrozenSnapshotKey(testing::SnapshotAt(3, 2).id);
    ASSERT_TRUE(database.db()->Delete(SyncedWrite(), database.family(0), key).ok());
  });
  ExpectCorrupt("the log starts at offset 3, but of the 0 snapshots");
}

TEST_F(RocksDbStorageTest, RefusesADamagedLogStart) {
  WriteThreeBatches();
  Tamper([](const Database& database) {
    std::string row = EncodeLogStart(BatchEnd());
    row[3] = 1;
    ASSERT_TRUE(
        database.db()->Put(SyncedWrite(), database.family(0), ToSlice(kLogStartKey), row).ok());
  });
  ExpectCorrupt("log start: format 1");
}

// Files go, a ragged rest stays, and a tombstone hides it when it is large: no reader may notice.
TEST_F(RocksDbStorageTest, ALargePrefixGoesWhileTheRestIsRead) {
  options_.memtable_bytes = 64 << 10;
  Storage& storage = Open();
  ASSERT_TRUE(Write(storage, Entering(Epoch(1))).ok());
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(Write(storage, Appending({log_.Append(Epoch(1), 1000, 2000)})).ok());
  }
  ASSERT_TRUE(
      WriteSnapshot(storage, testing::SnapshotBehind(log_.batches().back()), {"state"}).ok());
  for (const int64_t start : {50'000, 150'000, 290'000}) {
    StorageWrite write;
    write.log_start = Offset(start);
    ASSERT_TRUE(Write(storage, write).ok());
    const auto tail =
        ReadLog(storage, {.from = Offset(start), .to = log_.end_offset(), .max_bytes = 10 << 20});
    ASSERT_TRUE(tail.ok()) << tail.status();
    EXPECT_EQ(tail->back().end_offset(), log_.end_offset());
    EXPECT_TRUE(absl::IsNotFound(
        ReadLog(storage, {.from = Offset(start - 1000), .to = log_.end_offset(), .max_bytes = 1})
            .status()));
  }
  Open();
  EXPECT_EQ(recovered_.log_start_offset, Offset(290'000));
  EXPECT_EQ(recovered_.batch_ends.size(), 10u);
}

using RocksDbStorageDeathTest = RocksDbStorageTest;

TEST_F(RocksDbStorageDeathTest, AWriteThatLeavesAHoleIsABug) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  log_.Append(Epoch(1));
  const RecordBatch second = log_.Append(Epoch(1));
  const auto write_behind_a_hole = [&] {
    Storage& storage = Open();
    std::filesystem::remove_all(dir_.path());  // nobody will after the end; open files go on
    (void)Write(storage, Entering(Epoch(1), {second}));
  };
  EXPECT_EXIT(write_behind_a_hole(), ::testing::ExitedWithCode(kExitCheckFailed),
              "the log ends at offset 0");
}

}  // namespace
}  // namespace kvorum
