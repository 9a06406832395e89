#include "storage/memory/memory_storage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/base/errors.h"
#include "tests/storage/storage_test_util.h"

namespace kvorum {
namespace {

using testing::Appending;
using ::testing::ElementsAre;
using testing::Entering;
using ::testing::IsEmpty;
using testing::kCluster;
using testing::LogBuilder;

class MemoryStorageTest : public ::testing::Test {
 protected:
  void Submit(StorageWrite write) {
    const int id = next_id_++;
    storage_->Submit(std::move(write), [this, id](const absl::Status& status) {
      completed_.push_back(status.ok() ? id : -id);
    });
  }
  // Begins the next incarnation.
  absl::StatusOr<RecoveredState> Restart() {
    storage_ = std::make_unique<MemoryStorage>(disk_);
    return storage_->Recover();
  }

  MemoryDisk disk_{kCluster};
  std::unique_ptr<MemoryStorage> storage_ = std::make_unique<MemoryStorage>(disk_);
  LogBuilder log_;
  int next_id_ = 1;
  std::vector<int> completed_;  // ids in order, negative if failed
};

TEST_F(MemoryStorageTest, NothingIsDurableBeforeItCompletes) {
  Submit(Entering(Epoch(1), {log_.Append(Epoch(1))}));
  EXPECT_THAT(completed_, IsEmpty());
  EXPECT_EQ(disk_.end_offset(), Offset(0));
  EXPECT_TRUE(storage_->CompleteNextWrite());
  EXPECT_THAT(completed_, ElementsAre(1));
  EXPECT_EQ(disk_.end_offset(), Offset(1));
  EXPECT_EQ(disk_.quorum_state()->epoch, Epoch(1));
  EXPECT_FALSE(storage_->CompleteNextWrite());
}

TEST_F(MemoryStorageTest, CrashKeepsAPrefixAndCallsNothing) {
  Submit(Entering(Epoch(1)));
  for (int i = 0; i < 3; ++i) {
    Submit(Appending({log_.Append(Epoch(1), 2)}));
  }
  storage_->CompleteNextWrite();
  storage_->Crash(/*survivors=*/2);
  EXPECT_THAT(completed_, ElementsAre(1));
  const auto state = Restart();
  ASSERT_TRUE(state.ok()) << state.status();
  ASSERT_EQ(state->batch_ends.size(), 2u);
  EXPECT_EQ(state->batch_ends.back().end_offset, Offset(4));
}

TEST_F(MemoryStorageTest, TruncatesThenAppends) {
  Submit(Entering(Epoch(1), {log_.Append(Epoch(1), 2), log_.Append(Epoch(1), 2)}));
  log_.TruncateTo(Offset(2));
  StorageWrite write = Entering(Epoch(2), {log_.Append(Epoch(2), 1)});
  write.truncate_to = Offset(2);
  Submit(std::move(write));
  storage_->CompleteAll();
  EXPECT_EQ(disk_.end_offset(), Offset(3));
  EXPECT_EQ(disk_.batches().at(Offset(2)).epoch, Epoch(2));
  EXPECT_TRUE(Restart().ok());
}

TEST_F(MemoryStorageTest, FailsEveryWriteAfterAFailedOne) {
  Submit(Entering(Epoch(1), {log_.Append(Epoch(1))}));
  storage_->CompleteNextWrite();
  storage_->FailNextWrite(absl::InternalError("fsync"));
  Submit(Appending({log_.Append(Epoch(1))}));
  Submit(Appending({log_.Append(Epoch(1))}));
  storage_->CompleteAll();
  EXPECT_THAT(completed_, ElementsAre(1, -2, -3));
  EXPECT_EQ(disk_.end_offset(), Offset(1));
  storage_->Crash(/*survivors=*/1);  // a failed write may be on the disk all the same
  EXPECT_EQ(disk_.end_offset(), Offset(2));
  EXPECT_TRUE(Restart().ok());
}

TEST_F(MemoryStorageTest, ReadsWholeBatchesUpToTheLimit) {
  Submit(Entering(Epoch(1),
                  {log_.Append(Epoch(1), 2), log_.Append(Epoch(1), 2), log_.Append(Epoch(1), 2)}));
  storage_->CompleteAll();
  const auto read = [&](int64_t from, int64_t to, size_t max_bytes) {
    absl::StatusOr<std::vector<RecordBatch>> result;
    storage_->Read({.from = Offset(from), .to = Offset(to), .max_bytes = max_bytes},
                   [&](absl::StatusOr<std::vector<RecordBatch>> r) { result = std::move(r); });
    EXPECT_TRUE(storage_->CompleteNextRead());
    return result;
  };
  EXPECT_EQ(read(0, 6, 1 << 20)->size(), 3u);
  EXPECT_EQ(read(2, 4, 1 << 20)->size(), 1u);
  EXPECT_EQ(read(0, 6, 1)->size(), 1u);
  EXPECT_TRUE(absl::IsNotFound(read(1, 6, 1).status()));
  EXPECT_TRUE(absl::IsNotFound(read(6, 9, 1).status()));
}

TEST_F(MemoryStorageTest, ASnapshotIsFrozenByAWriteOfItsOwn) {
  bool frozen = false;
  const SnapshotManifest manifest = testing::SnapshotAt(9, 2);
  const auto begin = [&] {
    storage_->WriteSnapshot(
        manifest,
        [chunks = 0]() mutable -> std::optional<std::string> {
          return chunks < 2 ? std::optional("chunk " + std::to_string(chunks++)) : std::nullopt;
        },
        [&](const absl::StatusOr<SnapshotManifest>& done) { frozen = done.ok(); });
  };
  begin();
  EXPECT_TRUE(storage_->CompleteNextSnapshotStep());
  EXPECT_FALSE(frozen);
  storage_->Crash();
  EXPECT_TRUE(Restart()->snapshots.empty());
  begin();
  EXPECT_TRUE(storage_->CompleteNextSnapshotStep());
  storage_->Crash(/*survivors=*/1);  // the row was on its way
  EXPECT_FALSE(frozen);
  EXPECT_EQ(Restart()->snapshots.size(), 1u);
}

TEST_F(MemoryStorageTest, ReceivedChunksAreLostInACrash) {
  storage_->WriteSnapshotChunk({.offset = Offset(9), .epoch = Epoch(2)}, 0, "chunk",
                               [](const absl::Status& status) { EXPECT_TRUE(status.ok()); });
  storage_->CompleteAll();
  storage_->Crash();
  EXPECT_TRUE(Restart().ok());
  absl::Status frozen;
  storage_->FreezeSnapshot(testing::Counted(testing::SnapshotAt(9, 2), {"chunk"}),
                           [&](absl::Status status) { frozen = std::move(status); });
  storage_->CompleteAll();
  EXPECT_TRUE(absl::IsDataLoss(frozen)) << frozen;
}

TEST_F(MemoryStorageTest, RefusesADamagedDisk) {
  Submit(Entering(Epoch(1), {log_.Append(Epoch(1)), log_.Append(Epoch(1))}));
  storage_->CompleteAll();
  disk_.mutable_batches().erase(Offset(0));
  EXPECT_EQ(GetErrorReason(Restart().status()), ErrorReason::kCorruptLog);
}

TEST_F(MemoryStorageTest, RefusesALostQuorumState) {
  Submit(Entering(Epoch(1), {log_.Append(Epoch(1))}));
  storage_->CompleteAll();
  disk_.mutable_quorum_state().reset();
  EXPECT_EQ(GetErrorReason(Restart().status()), ErrorReason::kCorruptLog);
}

TEST_F(MemoryStorageTest, FaultsAreNoticed) {
  Submit(Entering(Epoch(1), {log_.Append(Epoch(1)), log_.Append(Epoch(1))}));
  storage_->CompleteAll();
  const MemoryDisk earlier = disk_;
  Submit(Appending({log_.Append(Epoch(1))}));
  storage_->CompleteAll();
  const MemoryDisk whole = disk_;
  disk_.LoseSuffix(1);
  EXPECT_TRUE(Restart()->quarantine.has_value());
  EXPECT_TRUE(Restart()->quarantine.has_value());  // and it is remembered
  disk_ = whole;
  disk_.RollBack(earlier);
  EXPECT_TRUE(Restart()->quarantine.has_value());
  disk_ = whole;
  disk_.FlipBatch(Offset(1));
  EXPECT_TRUE(absl::IsDataLoss(Restart().status()));
  disk_ = whole;
  disk_.LoseGuard();
  EXPECT_TRUE(absl::IsFailedPrecondition(Restart().status()));
  disk_ = whole;
  EXPECT_FALSE(Restart()->quarantine.has_value());
}

TEST_F(MemoryStorageTest, ADamagedGuardSlotLeavesTheOther) {
  Submit(Entering(Epoch(1), {log_.Append(Epoch(1))}));
  storage_->CompleteAll();
  Submit(Entering(Epoch(2), {log_.Append(Epoch(2))}));
  storage_->CompleteAll();
  disk_.LoseGuardSlot();
  const auto state = Restart();
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_FALSE(state->quarantine.has_value()) << state->quarantine->reason;
  EXPECT_EQ(disk_.guard()->epoch, Epoch(2));  // of the database, which is newer
}

// The log is shorter than the older slot says, and the newer one was the only witness.
TEST_F(MemoryStorageTest, ADamagedGuardSlotAfterATruncationIsQuarantined) {
  Submit(Entering(Epoch(1), {log_.Append(Epoch(1)), log_.Append(Epoch(1))}));
  storage_->CompleteAll();
  StorageWrite shorter;
  shorter.truncate_to = Offset(1);
  Submit(std::move(shorter));
  storage_->CompleteAll();
  disk_.LoseGuardSlot();
  EXPECT_TRUE(Restart()->quarantine.has_value());
}

TEST_F(MemoryStorageTest, ADamagedOrMissingSnapshotIsNoticed) {
  const SnapshotManifest manifest = testing::Counted(testing::SnapshotAt(9, 2), {"one", "two"});
  storage_->WriteSnapshotChunk(manifest.id, 0, "one", [](const absl::Status&) {});
  storage_->WriteSnapshotChunk(manifest.id, 1, "two", [](const absl::Status&) {});
  storage_->FreezeSnapshot(manifest, [](const absl::Status& done) { EXPECT_TRUE(done.ok()); });
  storage_->CompleteAll();
  disk_.FlipChunk(manifest.id, 1);
  const auto read = [this, &manifest](int64_t index) {
    absl::Status status;
    storage_->ReadSnapshotChunk(manifest.id, index, [&](const absl::StatusOr<std::string>& chunk) {
      status = chunk.status();
    });
    storage_->CompleteAll();
    return status;
  };
  EXPECT_TRUE(read(0).ok());
  EXPECT_TRUE(absl::IsDataLoss(read(1)));
  disk_.LoseSnapshot(manifest.id);
  EXPECT_TRUE(Restart()->quarantine.has_value());
}

TEST_F(MemoryStorageTest, AQuarantineEndsByAWrite) {
  Submit(Entering(Epoch(1), {log_.Append(Epoch(1)), log_.Append(Epoch(1))}));
  storage_->CompleteAll();
  disk_.LoseSuffix(2);
  EXPECT_TRUE(Restart()->quarantine.has_value());
  StorageWrite leave;
  leave.leave_quarantine = true;
  Submit(leave);
  storage_->CompleteAll();
  EXPECT_FALSE(Restart()->quarantine.has_value());
}

TEST_F(MemoryStorageTest, TellsWhenSomethingIsQueued) {
  int writes = 0;
  int reads = 0;
  storage_->SetOnQueued([&](MemoryStorage::Queue queue) {
    ++(queue == MemoryStorage::Queue::kWrites ? writes : reads);
  });
  Submit(Entering(Epoch(1)));
  storage_->Read({.from = Offset(0), .to = Offset(1), .max_bytes = 1}, [](auto) {});
  EXPECT_EQ(writes, 1);
  EXPECT_EQ(reads, 1);
}

using MemoryStorageDeathTest = MemoryStorageTest;

TEST_F(MemoryStorageDeathTest, AWriteThatLeavesAHoleIsABug) {
  log_.Append(Epoch(1));
  Submit(Entering(Epoch(1), {log_.Append(Epoch(1))}));
  EXPECT_DEATH(storage_->CompleteNextWrite(), "the log ends at offset 0");
}

}  // namespace
}  // namespace kvorum
