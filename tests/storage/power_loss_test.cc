#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>

#include "server/base/check.h"
#include "server/base/random.h"
#include "tests/storage/power_loss_fs.h"
#include "tests/storage/storage_test_util.h"

namespace kvorum {
namespace {

using testing::Appending;
using testing::Entering;
using testing::FormatOrDie;
using testing::InEpoch;
using testing::LogBuilder;
using testing::OpenAndRecover;
using testing::OptionsFor;
using testing::PowerLossFs;
using testing::ReadChunk;
using testing::TempDir;

// A guard on the modelled disk.
class PowerLossGuardSlots : public GuardSlots {
 public:
  PowerLossGuardSlots(PowerLossFs& fs, std::string directory)
      : fs_(fs), directory_(std::move(directory)) {}

  absl::StatusOr<std::string> Read(int slot) override {
    return testing::ReadFile(GuardPath(directory_, slot));
  }

  absl::Status Write(int slot, std::string_view bytes) override {
    std::unique_ptr<rocksdb::FSWritableFile> file;
    std::unique_ptr<rocksdb::FSDirectory> directory;
    rocksdb::IOStatus status = fs_.NewWritableFile(GuardPath(directory_, slot), {}, &file, nullptr);
    status = status.ok() ? file->Append(ToSlice(bytes), {}, nullptr) : status;
    status = status.ok() ? file->Fsync({}, nullptr) : status;
    status = status.ok() ? file->Close({}, nullptr) : status;
    status = status.ok() ? fs_.NewDirectory(directory_, {}, &directory, nullptr) : status;
    status = status.ok() ? directory->FsyncWithDirOptions({}, nullptr, {}) : status;
    return status.ok() ? absl::OkStatus() : absl::InternalError(status.ToString());
  }

 private:
  PowerLossFs& fs_;
  const std::string directory_;
};

// What a disk must hold after some prefix of the writes.
struct DiskState {
  LogBuilder log;
  QuorumState quorum_state;
};

// One replica that writes, loses its power, and starts again, over and over. Follows what was
// submitted and what was completed.
class PowerLossRun {
 public:
  explicit PowerLossRun(uint64_t seed) : random_(seed) {
    directory_ = NewDirectory();
    RocksDbStorageOptions options = OptionsFor(directory_);
    FormatOrDie(options);
  }

  // Writes until the power goes off at a random change of the disk.
  void WriteUntilPowerLoss(bool lying_disk = false) {
    auto fs = std::make_shared<PowerLossFs>(directory_);
    RocksDbStorageOptions options = OptionsFor(directory_);
    options.file_system = fs;
    options.guard_slots = [fs, directory = directory_] {
      return std::make_unique<PowerLossGuardSlots>(*fs, directory);
    };
    options.memtable_bytes = 64 << 10;  // many table files and write-ahead logs
    states_ = {current_};
    completed_ = 0;
    if (lying_disk) {
      fs->Lie();
    }
    if (random_.OneIn(1, 5)) {
      fs->CutPowerAfter(random_.Below(60) + 1);  // the recovery itself may be struck
    }
    {
      auto opened = OpenAndRecover(options);
      ASSERT_TRUE(opened.ok()) << opened.status();
      if (!lying_disk && !fs->power_is_off()) {
        fs->CutPowerAfter(random_.Below(400) + 1);
      }
      for (int i = 0; i < 60; ++i) {
        SubmitOne(*opened->storage, *fs);
      }
    }
    fs->CutPower();
    const std::string survivors = NewDirectory();
    fs->WriteSurvivors(survivors, random_);
    directory_ = survivors;
  }

  // The verdict on the surviving disk; continues from what it holds.
  ::testing::AssertionResult DiskHoldsAPrefixWithAllThatCompleted() {
    auto opened = OpenAndRecover(OptionsFor(directory_));
    if (!opened.ok()) {
      return ::testing::AssertionFailure() << opened.status();
    }
    if (auto result = SnapshotsAreWhole(*opened); !result) {
      return result;
    }
    const RecoveredState& recovered = opened->recovered;
    if (recovered.quarantine.has_value()) {
      return ::testing::AssertionFailure() << "quarantined: " << recovered.quarantine->reason;
    }
    for (size_t i = completed_; i < states_.size(); ++i) {
      if (Matches(recovered, states_[i])) {
        current_ = states_[i];
        return ::testing::AssertionSuccess();
      }
    }
    return ::testing::AssertionFailure()
           << "of " << states_.size() - 1 << " writes " << completed_
           << " had completed; the disk holds a log of " << recovered.batch_ends.size()
           << " batches in epoch " << recovered.quorum_state.epoch;
  }

  size_t completed() const { return completed_; }

 private:
  static bool Matches(const RecoveredState& recovered, const DiskState& state) {
    const std::vector<RecordBatch>& batches = state.log.batches();
    if (recovered.quorum_state != state.quorum_state ||
        recovered.batch_ends.size() != batches.size()) {
      return false;
    }
    // The chain hash of the last covers all below it.
    return batches.empty() || recovered.batch_ends.back() == EndOf(batches.back());
  }

  std::string NewDirectory() {
    directories_.push_back(std::make_unique<TempDir>());
    return directories_.back()->path();
  }

  StorageWrite NextWrite() {
    StorageWrite write;
    if (current_.quorum_state.epoch == Epoch(0) || random_.OneIn(1, 6)) {
      current_.quorum_state = InEpoch(current_.quorum_state.epoch + 1);
      write.quorum_state = current_.quorum_state;
    }
    const std::vector<RecordBatch>& batches = current_.log.batches();
    if (!batches.empty() && random_.OneIn(1, 8)) {
      const size_t kept = batches.size() - random_.Below(std::min<size_t>(batches.size(), 5));
      write.truncate_to = batches[kept - 1].end_offset();
      current_.log.TruncateTo(*write.truncate_to);
    }
    for (uint64_t i = random_.Below(4); i > 0; --i) {
      write.append.push_back(current_.log.Append(current_.quorum_state.epoch,
                                                 static_cast<int32_t>(random_.Below(3) + 1),
                                                 random_.Below(6000)));
    }
    return write;
  }

  void SubmitOne(Storage& storage, const PowerLossFs& fs) {
    if (random_.OneIn(1, 20)) {
      SubmitSnapshot(storage, fs);
      return;
    }
    StorageWrite write = NextWrite();
    states_.push_back(current_);
    const size_t index = states_.size() - 1;
    storage.Submit(std::move(write), [this, index, &fs](const absl::Status& status) {
      // After the power loss nobody learns of it any more.
      if (status.ok() && !fs.power_is_off()) {
        completed_ = index;
      }
    });
  }

  static std::string ChunkOf(const SnapshotId& id, int64_t index) {
    return fmt::format("snapshot {} chunk {} ", id, index) + std::string(3000, '#');
  }

  void SubmitSnapshot(Storage& storage, const PowerLossFs& fs) {
    const SnapshotId id{.offset = Offset(++snapshots_), .epoch = Epoch(1)};
    SnapshotManifest manifest;
    manifest.id = id;
    storage.WriteSnapshot(
        manifest,
        [id, next = int64_t{0}]() mutable -> std::optional<std::string> {
          return next < 5 ? std::optional(ChunkOf(id, next++)) : std::nullopt;
        },
        [this, id, &fs](const absl::StatusOr<SnapshotManifest>& frozen) {
          const std::lock_guard lock(mutex_);
          if (frozen.ok() && !fs.power_is_off()) {
            latest_snapshot_ = std::max(latest_snapshot_, id.offset);
          }
        });
  }

  ::testing::AssertionResult SnapshotsAreWhole(const testing::OpenedStorage& opened) {
    const std::vector<SnapshotManifest>& frozen = opened.recovered.snapshots;
    const SnapshotId latest = frozen.empty() ? SnapshotId() : frozen.back().id;
    if (latest.offset < latest_snapshot_) {
      return ::testing::AssertionFailure() << "snapshot " << latest_snapshot_ << " is lost";
    }
    latest_snapshot_ = latest.offset;
    for (size_t i = 0; i + 2 < frozen.size(); ++i) {
      if (const auto status = testing::DeleteSnapshot(*opened.storage, frozen[i].id);
          !status.ok()) {
        return ::testing::AssertionFailure() << status;
      }
    }
    for (int64_t i = 0; latest.offset > Offset(0) && i < 5; ++i) {
      const auto chunk = ReadChunk(*opened.storage, latest, i);
      if (!chunk.ok() || *chunk != ChunkOf(latest, i)) {
        return ::testing::AssertionFailure() << "chunk " << i << ": " << chunk.status();
      }
    }
    return ::testing::AssertionSuccess();
  }

  Random random_;
  std::vector<std::unique_ptr<TempDir>> directories_;
  std::string directory_;
  DiskState current_;              // after all that was submitted
  std::vector<DiskState> states_;  // after each write of this incarnation, from before the first
  std::mutex mutex_;
  size_t completed_ = 0;    // index into states_; of the commit thread while it runs
  Offset latest_snapshot_;  // frozen for sure
  int64_t snapshots_ = 0;
};

TEST(PowerLossTest, KeepsAllThatCompletedAndNothingButAPrefix) {
  size_t completed = 0;
  for (uint64_t seed = 1; seed <= 16; ++seed) {
    PowerLossRun run(seed);
    for (int cycle = 0; cycle < 8; ++cycle) {
      SCOPED_TRACE(fmt::format("seed {} cycle {}", seed, cycle));
      ASSERT_NO_FATAL_FAILURE(run.WriteUntilPowerLoss());
      ASSERT_TRUE(run.DiskHoldsAPrefixWithAllThatCompleted());
      completed += run.completed();
    }
  }
  EXPECT_GT(completed, 1000u);  // else the power went off too early to prove anything
}

// The check above must be able to fail.
TEST(PowerLossTest, NoticesADiskThatLiesAboutSyncs) {
  int noticed = 0;
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    PowerLossRun run(seed);
    ASSERT_NO_FATAL_FAILURE(run.WriteUntilPowerLoss(/*lying_disk=*/true));
    noticed += run.DiskHoldsAPrefixWithAllThatCompleted() ? 0 : 1;
  }
  EXPECT_GE(noticed, 3);
}

// A storage on a disk with injected faults, with two completed batches.
class DiskFaultTest : public ::testing::Test {
 protected:
  DiskFaultTest() {
    FormatOrDie(OptionsFor(dir_.path()));
    fs_ = std::make_shared<PowerLossFs>(dir_.path());
    options_ = OptionsFor(dir_.path());
    options_.file_system = fs_;
    options_.on_fatal = [this](const absl::Status& status) {
      const std::lock_guard lock(mutex_);
      fatal_.push_back(status);
    };
  }

  Storage& Open() {
    auto opened = OpenAndRecover(options_);
    KVORUM_CHECK(opened.ok(), "{}", opened.status().ToString());
    storage_ = std::move(opened->storage);
    KVORUM_CHECK(testing::Write(*storage_,
                                Entering(Epoch(1), {log_.Append(Epoch(1)), log_.Append(Epoch(1))}))
                     .ok(),
                 "first write");
    return *storage_;
  }

  TempDir dir_;
  std::shared_ptr<PowerLossFs> fs_;
  RocksDbStorageOptions options_;
  LogBuilder log_;
  std::mutex mutex_;
  std::vector<absl::Status> fatal_;
  std::unique_ptr<RocksDbStorage> storage_;
};

TEST_F(DiskFaultTest, AFailedSyncFailsTheWriteAndAllLaterOnesForEver) {
  Storage& storage = Open();
  fs_->FailSyncsOf(".log");
  EXPECT_FALSE(testing::Write(storage, Appending({log_.Append(Epoch(1))})).ok());
  fs_->FailSyncsOf("");  // the disk recovers; we must not
  EXPECT_FALSE(testing::Write(storage, Appending({log_.Append(Epoch(1))})).ok());
  EXPECT_FALSE(testing::Write(storage, Entering(Epoch(2))).ok());
  EXPECT_FALSE(testing::WriteSnapshot(storage, testing::SnapshotAt(1, 1), {}).ok());
  // What had completed can still be read.
  EXPECT_EQ(
      testing::ReadLog(storage, {.from = Offset(0), .to = Offset(2), .max_bytes = 1 << 20})->size(),
      2u);
  storage_.reset();
  EXPECT_EQ(fatal_.size(), 1u);
  options_.file_system = nullptr;
  const auto reopened = OpenAndRecover(options_);
  ASSERT_TRUE(reopened.ok()) << reopened.status();
  // The failed write is indeterminate: absent, or there as a whole.
  EXPECT_GE(reopened->recovered.batch_ends.size(), 2u);
  EXPECT_LE(reopened->recovered.batch_ends.size(), 3u);
}

TEST_F(DiskFaultTest, AFailedFlushIsFatal) {
  options_.memtable_bytes = 64 << 10;
  Storage& storage = Open();
  fs_->FailSyncsOf(".sst");
  absl::Status status;
  for (int i = 0; i < 200 && status.ok(); ++i) {
    status = testing::Write(storage, Appending({log_.Append(Epoch(1), 1, 4000)}));
  }
  EXPECT_FALSE(status.ok());
  storage_.reset();
  EXPECT_EQ(fatal_.size(), 1u);
}

// Debian's RocksDB is built with assertions and aborts on a failed append to its write-ahead log;
// other builds return the error. Either way the process does not go on.
TEST_F(DiskFaultTest, AFailedAppendEndsTheProcess) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto write_on_a_failing_disk = [this] {
    options_.on_fatal = [](const absl::Status&) { std::_Exit(kExitStorageFailed); };
    Storage& storage = Open();
    fs_->FailAppendsTo(".log");
    std::filesystem::remove_all(dir_.path());  // nobody will after the end; open files go on
    (void)testing::Write(storage, Appending({log_.Append(Epoch(1))}));
  };
  const auto stopped = [](int status) {
    return (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) ||
           (WIFEXITED(status) && WEXITSTATUS(status) == kExitStorageFailed);
  };
  EXPECT_EXIT(write_on_a_failing_disk(), stopped, "");
}

}  // namespace
}  // namespace kvorum
