// What every storage promises of snapshots and of a log without its beginning: the same tests over
// the real one and the one of the simulator.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/base/errors.h"
#include "storage/memory/memory_storage.h"
#include "tests/storage/storage_test_util.h"

namespace kvorum {
namespace {

using testing::Appending;
using testing::Counted;
using testing::DeleteSnapshot;
using testing::Entering;
using testing::FormatOrDie;
using testing::FreezeSnapshot;
using ::testing::HasSubstr;
using testing::LogBuilder;
using testing::OptionsFor;
using testing::ReadChunk;
using testing::ReadLog;
using testing::SnapshotAt;
using testing::SnapshotBehind;
using testing::TempDir;
using testing::Write;
using testing::WriteSnapshot;
using testing::WriteSnapshotChunk;

enum class Kind { kRocksDb, kMemory };

// A storage whose operations complete by themselves.
class SelfCompleting : public MemoryStorage {
 public:
  explicit SelfCompleting(MemoryDisk& disk) : MemoryStorage(disk) {}
  void Submit(StorageWrite write, WriteDone done) override {
    MemoryStorage::Submit(std::move(write), std::move(done));
    CompleteAll();
  }
  void Read(const LogRange& range, ReadDone done) override {
    MemoryStorage::Read(range, std::move(done));
    CompleteAll();
  }
  void WriteSnapshot(SnapshotManifest manifest, ChunkSource next, SnapshotDone done) override {
    MemoryStorage::WriteSnapshot(std::move(manifest), std::move(next), std::move(done));
    CompleteAll();
  }
  void WriteSnapshotChunk(const SnapshotId& id, int64_t index, std::string chunk,
                          WriteDone done) override {
    MemoryStorage::WriteSnapshotChunk(id, index, std::move(chunk), std::move(done));
    CompleteAll();
  }
  void FreezeSnapshot(const SnapshotManifest& manifest, WriteDone done) override {
    MemoryStorage::FreezeSnapshot(manifest, std::move(done));
    CompleteAll();
  }
  void DeleteSnapshot(const SnapshotId& id, WriteDone done) override {
    MemoryStorage::DeleteSnapshot(id, std::move(done));
    CompleteAll();
  }
  void ReadSnapshotChunk(const SnapshotId& id, int64_t index, ChunkDone done) override {
    MemoryStorage::ReadSnapshotChunk(id, index, std::move(done));
    CompleteAll();
  }
};

class SnapshotContractTest : public ::testing::TestWithParam<Kind> {
 protected:
  SnapshotContractTest() {
    if (GetParam() == Kind::kRocksDb) {
      FormatOrDie(options_);
    }
  }

  Storage& Open() {
    storage_.reset();
    if (GetParam() == Kind::kRocksDb) {
      auto opened = RocksDbStorage::Open(options_);
      EXPECT_TRUE(opened.ok()) << opened.status();
      storage_ = *std::move(opened);
    } else {
      storage_ = std::make_unique<SelfCompleting>(disk_);
    }
    auto recovered = storage_->Recover();
    EXPECT_TRUE(recovered.ok()) << recovered.status();
    recovered_ = recovered.ok() ? *recovered : RecoveredState();
    return *storage_;
  }

  // Batches that end at 1, 3, 6, 10, of epochs 1, 1, 2, 2.
  Storage& OpenWithFourBatches() {
    Storage& storage = Open();
    for (int32_t i = 0; i < 4; ++i) {
      const Epoch epoch(i / 2 + 1);
      EXPECT_TRUE(Write(storage, Entering(epoch, {log_.Append(epoch, i + 1)})).ok());
    }
    return storage;
  }

  std::vector<std::string> ReadAll(const SnapshotManifest& manifest) {
    std::vector<std::string> chunks;
    for (int64_t i = 0; i < manifest.chunk_count; ++i) {
      const auto chunk = ReadChunk(*storage_, manifest.id, i);
      EXPECT_TRUE(chunk.ok()) << chunk.status();
      chunks.push_back(chunk.value_or(""));
    }
    return chunks;
  }

  static ErrorReason Reason(const absl::Status& status) { return GetErrorReason(status); }

  TempDir dir_;
  RocksDbStorageOptions options_ = OptionsFor(dir_.path() + "/data");
  MemoryDisk disk_{testing::kCluster};
  LogBuilder log_;
  RecoveredState recovered_;
  std::unique_ptr<Storage> storage_;
};

TEST_P(SnapshotContractTest, ASnapshotIsFrozenWithItsCountsAndSurvivesARestart) {
  Storage& storage = OpenWithFourBatches();
  const std::vector<std::string> chunks = {"first", std::string(kMaxSnapshotChunkBytes, 'x'),
                                           "last"};
  SnapshotManifest manifest = SnapshotBehind(log_.batches()[3]);
  manifest.state_hash = 99;
  manifest.voters = "voters";
  const auto frozen = WriteSnapshot(storage, manifest, chunks);
  ASSERT_TRUE(frozen.ok()) << frozen.status();
  EXPECT_EQ(*frozen, Counted(manifest, chunks));
  Open();
  ASSERT_EQ(recovered_.snapshots.size(), 1u);
  EXPECT_EQ(recovered_.snapshots[0], *frozen);
  EXPECT_EQ(ReadAll(*frozen), chunks);
  EXPECT_TRUE(absl::IsOutOfRange(ReadChunk(*storage_, frozen->id, 3).status()));
  EXPECT_TRUE(absl::IsOutOfRange(ReadChunk(*storage_, frozen->id, -1).status()));
  EXPECT_EQ(Reason(ReadChunk(*storage_, SnapshotAt(10, 1).id, 0).status()),
            ErrorReason::kSnapshotNotFound);
}

TEST_P(SnapshotContractTest, ALateSnapshotOfTheSameStateChangesNothing) {
  Storage& storage = Open();
  const auto first = WriteSnapshot(storage, SnapshotAt(10, 2), {"first"});
  EXPECT_EQ(*WriteSnapshot(storage, SnapshotAt(10, 2), {"other", "chunks"}), *first);
  EXPECT_EQ(*ReadChunk(storage, first->id, 0), "first");
}

TEST_P(SnapshotContractTest, AReceivedSnapshotExistsOnceItIsFrozen) {
  Storage& storage = Open();
  const std::vector<std::string> chunks = {"a", "bb", "ccc"};
  const SnapshotManifest manifest = Counted(SnapshotAt(10, 2), chunks);
  for (size_t i = 0; i < chunks.size(); ++i) {
    ASSERT_TRUE(WriteSnapshotChunk(storage, manifest.id, static_cast<int64_t>(i), chunks[i]).ok());
  }
  EXPECT_EQ(Reason(ReadChunk(storage, manifest.id, 0).status()), ErrorReason::kSnapshotNotFound);
  ASSERT_TRUE(FreezeSnapshot(storage, manifest).ok());
  EXPECT_TRUE(FreezeSnapshot(storage, manifest).ok());  // a repeated call changes nothing
  Open();
  ASSERT_EQ(recovered_.snapshots.size(), 1u);
  EXPECT_EQ(recovered_.snapshots[0], manifest);
  EXPECT_EQ(ReadAll(manifest), chunks);
}

TEST_P(SnapshotContractTest, AnUnfrozenSnapshotIsGoneAfterARestart) {
  ASSERT_TRUE(WriteSnapshotChunk(Open(), SnapshotAt(10, 2).id, 0, "a").ok());
  Storage& storage = Open();
  EXPECT_TRUE(recovered_.snapshots.empty());
  const absl::Status status = WriteSnapshotChunk(storage, SnapshotAt(10, 2).id, 1, "b");
  EXPECT_EQ(Reason(status), ErrorReason::kInvalidRequest);
  EXPECT_THAT(status.ToString(), HasSubstr("does not follow on 0 chunks"));
}

TEST_P(SnapshotContractTest, ReceivingRefusesGapsOtherIdsAndHugeChunks) {
  Storage& storage = Open();
  const SnapshotId id = SnapshotAt(10, 2).id;
  ASSERT_TRUE(WriteSnapshotChunk(storage, id, 0, "a").ok());
  EXPECT_EQ(Reason(WriteSnapshotChunk(storage, id, 2, "c")), ErrorReason::kInvalidRequest);
  EXPECT_EQ(Reason(WriteSnapshotChunk(storage, id, -1, "c")), ErrorReason::kInvalidRequest);
  EXPECT_EQ(Reason(WriteSnapshotChunk(storage, SnapshotAt(10, 3).id, 1, "b")),
            ErrorReason::kInvalidRequest);
  EXPECT_EQ(
      Reason(WriteSnapshotChunk(storage, id, 1, std::string(kMaxSnapshotChunkBytes + 1, 'x'))),
      ErrorReason::kInvalidRequest);
  ASSERT_TRUE(WriteSnapshotChunk(storage, id, 1, "b").ok());  // nothing was lost by it
  EXPECT_TRUE(FreezeSnapshot(storage, Counted(SnapshotAt(10, 2), {"a", "b"})).ok());
}

TEST_P(SnapshotContractTest, ChunkZeroDropsWhatWasReceivedBefore) {
  Storage& storage = Open();
  ASSERT_TRUE(WriteSnapshotChunk(storage, SnapshotAt(10, 2).id, 0, "old").ok());
  ASSERT_TRUE(WriteSnapshotChunk(storage, SnapshotAt(10, 2).id, 1, "older").ok());
  ASSERT_TRUE(WriteSnapshotChunk(storage, SnapshotAt(20, 2).id, 0, "new").ok());
  ASSERT_TRUE(FreezeSnapshot(storage, Counted(SnapshotAt(20, 2), {"new"})).ok());
  EXPECT_EQ(*ReadChunk(storage, SnapshotAt(20, 2).id, 0), "new");
  EXPECT_EQ(Reason(FreezeSnapshot(storage, Counted(SnapshotAt(10, 2), {"old", "older"}))),
            ErrorReason::kCorruptLog);
}

TEST_P(SnapshotContractTest, WhatDiffersFromItsManifestIsDropped) {
  Storage& storage = Open();
  const std::vector<std::string> chunks = {"a", "bb"};
  const SnapshotManifest good = Counted(SnapshotAt(10, 2), chunks);
  std::vector<SnapshotManifest> wrong(3, good);
  ++wrong[0].chunk_count;
  ++wrong[1].size_bytes;
  ++wrong[2].digest;
  wrong.push_back(Counted(SnapshotAt(10, 3), chunks));
  for (const SnapshotManifest& manifest : wrong) {
    ASSERT_TRUE(WriteSnapshotChunk(storage, good.id, 0, "a").ok());
    ASSERT_TRUE(WriteSnapshotChunk(storage, good.id, 1, "bb").ok());
    const absl::Status status = FreezeSnapshot(storage, manifest);
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    EXPECT_TRUE(absl::IsDataLoss(FreezeSnapshot(storage, good)));  // nothing is left of it
  }
  Open();
  EXPECT_TRUE(recovered_.snapshots.empty());
}

TEST_P(SnapshotContractTest, OneIsMadeWhileOneIsReceivedEvenUnderTheSameId) {
  Storage& storage = Open();
  const SnapshotManifest same = Counted(SnapshotAt(10, 2), {"a", "b"});
  const SnapshotManifest other = Counted(SnapshotAt(20, 2), {"c", "d"});
  for (const SnapshotManifest& received : {other, same}) {
    const std::vector<std::string> chunks =
        received == same ? std::vector<std::string>{"a", "b"} : std::vector<std::string>{"c", "d"};
    ASSERT_TRUE(WriteSnapshotChunk(storage, received.id, 0, chunks[0]).ok());
    EXPECT_EQ(*WriteSnapshot(storage, SnapshotAt(10, 2), {"a", "b"}), same);
    ASSERT_TRUE(WriteSnapshotChunk(storage, received.id, 1, chunks[1]).ok());
    ASSERT_TRUE(FreezeSnapshot(storage, received).ok());
    EXPECT_EQ(ReadAll(received), chunks);
  }
  Open();
  EXPECT_EQ(recovered_.snapshots, (std::vector<SnapshotManifest>{same, other}));
  EXPECT_EQ(ReadAll(same), (std::vector<std::string>{"a", "b"}));
}

TEST_P(SnapshotContractTest, ADeletedSnapshotIsNotFoundAndMayComeAgain) {
  Storage& storage = Open();
  ASSERT_TRUE(WriteSnapshot(storage, SnapshotAt(10, 1), {"ten", "more"}).ok());
  ASSERT_TRUE(WriteSnapshot(storage, SnapshotAt(20, 1), {"twenty"}).ok());
  ASSERT_TRUE(DeleteSnapshot(storage, SnapshotAt(10, 1).id).ok());
  EXPECT_EQ(Reason(ReadChunk(storage, SnapshotAt(10, 1).id, 0).status()),
            ErrorReason::kSnapshotNotFound);
  EXPECT_EQ(Reason(DeleteSnapshot(storage, SnapshotAt(10, 1).id)), ErrorReason::kSnapshotNotFound);
  Storage& reopened = Open();
  ASSERT_EQ(recovered_.snapshots.size(), 1u);
  ASSERT_TRUE(WriteSnapshot(reopened, SnapshotAt(10, 1), {"again"}).ok());
  EXPECT_EQ(*ReadChunk(reopened, SnapshotAt(10, 1).id, 0), "again");
  EXPECT_TRUE(absl::IsOutOfRange(ReadChunk(reopened, SnapshotAt(10, 1).id, 1).status()));
}

TEST_P(SnapshotContractTest, ThereIsALimitOnFrozenSnapshots) {
  Storage& storage = Open();
  for (size_t i = 1; i <= kMaxFrozenSnapshots; ++i) {
    ASSERT_TRUE(WriteSnapshot(storage, SnapshotAt(static_cast<int64_t>(i), 1), {}).ok());
  }
  EXPECT_TRUE(absl::IsResourceExhausted(WriteSnapshot(storage, SnapshotAt(1000, 1), {}).status()));
  ASSERT_TRUE(DeleteSnapshot(storage, SnapshotAt(1, 1).id).ok());
  EXPECT_TRUE(WriteSnapshot(storage, SnapshotAt(1000, 1), {}).ok());
}

StorageWrite StartingAt(int64_t offset) {
  StorageWrite write;
  write.log_start = Offset(offset);
  return write;
}

StorageWrite Installing(const SnapshotManifest& snapshot) {
  StorageWrite write;
  write.install = snapshot;
  return write;
}

TEST_P(SnapshotContractTest, TheLogStartsWhereItWasToldAndKnowsWhatItFollows) {
  Storage& storage = OpenWithFourBatches();
  ASSERT_TRUE(WriteSnapshot(storage, SnapshotBehind(log_.batches()[2]), {"state"}).ok());
  ASSERT_TRUE(Write(storage, StartingAt(3)).ok());
  const LogRange all{.from = Offset(3), .to = Offset(10), .max_bytes = 1 << 20};
  EXPECT_EQ(ReadLog(storage, all)->size(), 2u);
  EXPECT_TRUE(absl::IsNotFound(
      ReadLog(storage, {.from = Offset(1), .to = Offset(10), .max_bytes = 1}).status()));
  ASSERT_TRUE(Write(storage, Appending({log_.Append(Epoch(2))})).ok());
  Storage& reopened = Open();
  EXPECT_EQ(recovered_.log_start_offset, Offset(3));
  EXPECT_EQ(recovered_.epoch_at_start, Epoch(1));
  EXPECT_EQ(recovered_.chain_at_start, log_.batches()[1].chain_hash);
  ASSERT_EQ(recovered_.batch_ends.size(), 3u);
  EXPECT_EQ(recovered_.batch_ends[0], EndOf(log_.batches()[2]));
  EXPECT_TRUE(absl::IsNotFound(
      ReadLog(reopened, {.from = Offset(0), .to = Offset(10), .max_bytes = 1}).status()));
}

TEST_P(SnapshotContractTest, TheWholeLogMayGoAndGrowAgain) {
  Storage& storage = OpenWithFourBatches();
  ASSERT_TRUE(WriteSnapshot(storage, SnapshotBehind(log_.batches()[3]), {"state"}).ok());
  ASSERT_TRUE(Write(storage, StartingAt(10)).ok());
  ASSERT_TRUE(Write(storage, StartingAt(10)).ok());  // again: nothing happens
  Storage& reopened = Open();
  EXPECT_TRUE(recovered_.batch_ends.empty());
  EXPECT_EQ(recovered_.log_start_offset, Offset(10));
  ASSERT_TRUE(Write(reopened, Appending({log_.Append(Epoch(2), 5)})).ok());
  Open();
  ASSERT_EQ(recovered_.batch_ends.size(), 1u);
  EXPECT_EQ(recovered_.batch_ends[0].end_offset, Offset(15));
}

TEST_P(SnapshotContractTest, TruncationDownToTheStartOfTheLogKeepsItsChain) {
  Storage& storage = OpenWithFourBatches();
  ASSERT_TRUE(WriteSnapshot(storage, SnapshotBehind(log_.batches()[1]), {"state"}).ok());
  ASSERT_TRUE(Write(storage, StartingAt(3)).ok());
  log_.TruncateTo(Offset(3));
  StorageWrite write = Entering(Epoch(3), {log_.Append(Epoch(3), 2)});
  write.truncate_to = Offset(3);
  ASSERT_TRUE(Write(storage, write).ok());
  Open();
  ASSERT_EQ(recovered_.batch_ends.size(), 1u);
  EXPECT_EQ(recovered_.batch_ends[0], EndOf(log_.batches().back()));
}

TEST_P(SnapshotContractTest, TheLogMayNotStartAboveTheNewestSnapshot) {
  Storage& storage = OpenWithFourBatches();
  ASSERT_TRUE(WriteSnapshot(storage, SnapshotBehind(log_.batches()[1]), {"state"}).ok());
  const absl::Status status = Write(storage, StartingAt(6));
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  Open();
  EXPECT_EQ(recovered_.log_start_offset, Offset(0));
  EXPECT_EQ(recovered_.batch_ends.size(), 4u);
}

TEST_P(SnapshotContractTest, TheSnapshotThatHoldsTheBeginningCantBeRemoved) {
  Storage& storage = OpenWithFourBatches();
  const SnapshotManifest older = SnapshotBehind(log_.batches()[1]);
  const SnapshotManifest newer = SnapshotBehind(log_.batches()[2]);
  ASSERT_TRUE(WriteSnapshot(storage, older, {"older"}).ok());
  ASSERT_TRUE(WriteSnapshot(storage, newer, {"newer"}).ok());
  ASSERT_TRUE(Write(storage, StartingAt(3)).ok());
  ASSERT_TRUE(DeleteSnapshot(storage, older.id).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(DeleteSnapshot(storage, newer.id)));
  EXPECT_EQ(*ReadChunk(storage, newer.id, 0), "newer");  // and nothing else was disturbed
  EXPECT_TRUE(Write(storage, Appending({log_.Append(Epoch(2))})).ok());
}

TEST_P(SnapshotContractTest, AnInstalledSnapshotReplacesTheLog) {
  Storage& storage = OpenWithFourBatches();
  // The log of the others: longer, and other from the start.
  LogBuilder theirs;
  theirs.Append(Epoch(2), 20);
  const SnapshotManifest snapshot =
      Counted(SnapshotBehind(theirs.Append(Epoch(3), 30)), {"their state"});
  ASSERT_TRUE(WriteSnapshotChunk(storage, snapshot.id, 0, "their state").ok());
  ASSERT_TRUE(FreezeSnapshot(storage, snapshot).ok());
  StorageWrite install = Installing(snapshot);
  install.quorum_state = testing::InEpoch(Epoch(3));
  install.append = {theirs.Append(Epoch(3), 5)};
  ASSERT_TRUE(Write(storage, install).ok());
  EXPECT_TRUE(absl::IsNotFound(
      ReadLog(storage, {.from = Offset(0), .to = Offset(60), .max_bytes = 1}).status()));
  Open();
  EXPECT_EQ(recovered_.log_start_offset, Offset(50));
  EXPECT_EQ(recovered_.chain_at_start, snapshot.chain_hash);
  EXPECT_EQ(recovered_.epoch_at_start, Epoch(3));
  ASSERT_EQ(recovered_.batch_ends.size(), 1u);
  EXPECT_EQ(recovered_.batch_ends[0], EndOf(theirs.batches().back()));
}

// A longer log of an older epoch must not show again behind the snapshot.
TEST_P(SnapshotContractTest, AnInstalledSnapshotReplacesALongerLogToo) {
  Storage& storage = OpenWithFourBatches();
  LogBuilder theirs;
  theirs.Append(Epoch(1), 1);
  const SnapshotManifest snapshot = SnapshotBehind(theirs.Append(Epoch(3), 2));
  ASSERT_TRUE(WriteSnapshot(storage, snapshot, {"their state"}).ok());
  StorageWrite install = Installing(snapshot);
  install.quorum_state = testing::InEpoch(Epoch(3));
  ASSERT_TRUE(Write(storage, install).ok());
  Storage& reopened = Open();
  EXPECT_EQ(recovered_.log_start_offset, Offset(3));
  EXPECT_TRUE(recovered_.batch_ends.empty());
  ASSERT_TRUE(Write(reopened, Appending({theirs.Append(Epoch(3), 3)})).ok());
  Open();
  ASSERT_EQ(recovered_.batch_ends.size(), 1u);
  EXPECT_EQ(recovered_.batch_ends[0].end_offset, Offset(6));
}

TEST_P(SnapshotContractTest, OnlyAFrozenSnapshotCanBeInstalled) {
  Storage& storage = OpenWithFourBatches();
  ASSERT_TRUE(WriteSnapshotChunk(storage, SnapshotAt(20, 2).id, 0, "a").ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(Write(storage, Installing(SnapshotAt(20, 2)))));
  Open();
  EXPECT_EQ(recovered_.batch_ends.size(), 4u);
}

INSTANTIATE_TEST_SUITE_P(Both, SnapshotContractTest,
                         ::testing::Values(Kind::kRocksDb, Kind::kMemory),
                         [](const ::testing::TestParamInfo<Kind>& param) {
                           return param.param == Kind::kRocksDb ? "RocksDb" : "Memory";
                         });

}  // namespace
}  // namespace kvorum
