// Every kind of damage to a real data directory, and what a start makes of it: everything is there,
// refused, or quarantined; never silently short.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "storage/meta_properties.h"
#include "tests/storage/storage_test_util.h"

namespace kvorum {
namespace {

using testing::Appending;
using testing::Entering;
using testing::FilesEndingIn;
using testing::FormatOrDie;
using testing::LogBuilder;
using testing::OpenAndRecover;
using testing::OpenedStorage;
using testing::OptionsFor;
using testing::ReadChunk;
using testing::ReadFile;
using testing::SnapshotBehind;
using testing::TempDir;
using testing::Write;
using testing::WriteFile;
using testing::WriteSnapshot;

constexpr size_t kBatches = 100;

enum class Verdict { kWhole, kRefused, kQuarantined };

std::string_view NameOf(Verdict verdict) {
  switch (verdict) {
    case Verdict::kWhole:
      return "whole";
    case Verdict::kRefused:
      return "refused";
    case Verdict::kQuarantined:
      return "quarantined";
  }
  return "?";
}

struct Damage {
  const char* name;
  std::vector<Verdict> allowed;
  std::function<void(const std::string& data_dir)> inflict;
  bool many_wals = false;  // on a directory with table files and several write-ahead logs
};

void PrintTo(const Damage& damage, std::ostream* out) { *out << damage.name; }

std::filesystem::path NewestWal(const std::string& dir) {
  return FilesEndingIn(LogDirectory(dir), ".log").back();
}
std::filesystem::path OldestWal(const std::string& dir) {
  return FilesEndingIn(LogDirectory(dir), ".log").front();
}

void Change(const std::filesystem::path& path,
            const std::function<void(std::string& bytes)>& change) {
  std::string bytes = ReadFile(path);
  change(bytes);
  WriteFile(path, bytes);
}

void Flip(const std::filesystem::path& path, double where) {
  Change(path, [&](std::string& bytes) {
    const auto at = static_cast<size_t>(where * static_cast<double>(bytes.size() - 1));
    bytes[at] = static_cast<char>(bytes[at] ^ 0x04);
  });
}

void Halve(const std::filesystem::path& path) {
  Change(path, [](std::string& bytes) { bytes.resize(bytes.size() / 2); });
}

// Puts back what was saved under `name` by the fixture.
void RestoreSaved(const std::string& dir, const std::string& name) {
  std::filesystem::remove_all(dir + "/" + name);
  std::filesystem::copy(dir + "/early/" + name, dir + "/" + name,
                        std::filesystem::copy_options::recursive);
}

const std::vector<Verdict> kMustBeWhole = {Verdict::kWhole};
const std::vector<Verdict> kMustRefuse = {Verdict::kRefused};
const std::vector<Verdict> kMustQuarantine = {Verdict::kQuarantined};

// The manifest holds which table files and write-ahead logs there are.
std::filesystem::path Manifest(const std::string& dir) {
  std::filesystem::path newest;
  for (const auto& file : std::filesystem::directory_iterator(LogDirectory(dir))) {
    if (file.path().filename().string().starts_with("MANIFEST-") && file.path() > newest) {
      newest = file.path();
    }
  }
  return newest;
}

// A write-ahead log is made of blocks that each begin with a fragment {crc u32, length u16, …}.
constexpr size_t kWalBlockBytes = 32 << 10;
constexpr size_t kLengthAt = 4;

// On a log that begins behind a snapshot.
std::vector<Damage> SnapshotMatrix() {
  return {
      {"SnapshotTableFlipped", kMustRefuse,
       [](const std::string& dir) {
         Flip(FilesEndingIn(SnapshotDirectory(dir), ".sst").back(), 0.1);
       }},
      {"SnapshotTableDeleted", kMustRefuse,
       [](const std::string& dir) {
         std::filesystem::remove(FilesEndingIn(SnapshotDirectory(dir), ".sst").back());
       }},
      {"SnapshotDirectoryDeleted", kMustRefuse,
       [](const std::string& dir) { std::filesystem::remove_all(SnapshotDirectory(dir)); }},
      {"SnapshotCurrentDeleted", kMustRefuse,
       [](const std::string& dir) {
         std::filesystem::remove(SnapshotDirectory(dir) + "/CURRENT");
       }},
      {"SnapshotDirectoryRolledBack", kMustRefuse,
       [](const std::string& dir) { RestoreSaved(dir, "snapshots"); }},
      {"LogDirectoryRolledBackBehindTheSnapshot", kMustQuarantine,
       [](const std::string& dir) { RestoreSaved(dir, "log"); }},
  };
}

std::vector<Damage> Matrix() {
  return {
      {"Nothing", kMustBeWhole, [](const std::string&) {}},
      {"ZerosBehindTheWal", kMustBeWhole,
       [](const std::string& dir) {
         Change(NewestWal(dir), [](std::string& bytes) { bytes.append(4096, '\0'); });
       }},
      {"GarbageBehindTheWal",
       {Verdict::kWhole, Verdict::kRefused},
       [](const std::string& dir) {
         Change(NewestWal(dir), [](std::string& bytes) {
           for (int i = 0; i < 4096; ++i) {
             bytes += static_cast<char>(i * 7919 >> 3);
           }
         });
       }},
      {"TornLastRecordOfTheWal", kMustQuarantine,
       [](const std::string& dir) {
         Change(NewestWal(dir), [](std::string& bytes) { bytes.resize(bytes.size() - 500); });
       }},
      {"FlipInTheLastRecordOfTheWal", kMustRefuse,
       [](const std::string& dir) { Flip(NewestWal(dir), 1.0); }},
      {"FlipInTheMiddleOfTheWal", kMustRefuse,
       [](const std::string& dir) { Flip(NewestWal(dir), 0.5); }},
      {"ZeroedSectorInTheWal", kMustRefuse,
       [](const std::string& dir) {
         Change(NewestWal(dir), [](std::string& bytes) {
           bytes.replace(bytes.size() / 2 / 512 * 512, 512, 512, '\0');
         });
       }},
      {"NewestWalHalved", kMustQuarantine, [](const std::string& dir) { Halve(NewestWal(dir)); }},
      {"NewestWalEmptied", kMustQuarantine,
       [](const std::string& dir) { WriteFile(NewestWal(dir), ""); }},
      {"NewestWalDeleted", kMustQuarantine,
       [](const std::string& dir) { std::filesystem::remove(NewestWal(dir)); }},
      {"NewestOfManyWalsEmptied", kMustQuarantine,
       [](const std::string& dir) { WriteFile(NewestWal(dir), ""); }, true},
      {"NewestOfManyWalsDeleted", kMustQuarantine,
       [](const std::string& dir) { std::filesystem::remove(NewestWal(dir)); }, true},
      {"OlderLiveWalHalved", kMustRefuse, [](const std::string& dir) { Halve(OldestWal(dir)); },
       true},
      {"OlderLiveWalDeleted", kMustRefuse,
       [](const std::string& dir) { std::filesystem::remove(OldestWal(dir)); }, true},
      {"FlipInATable", kMustRefuse,
       [](const std::string& dir) { Flip(FilesEndingIn(LogDirectory(dir), ".sst").back(), 0.3); },
       true},
      {"TableDeleted", kMustRefuse,
       [](const std::string& dir) {
         std::filesystem::remove(FilesEndingIn(LogDirectory(dir), ".sst").back());
       },
       true},
      {"LengthInTheMiddleOfTheWal", kMustRefuse,
       [](const std::string& dir) {
         Change(NewestWal(dir), [](std::string& bytes) {
           ASSERT_GT(bytes.size(), kWalBlockBytes + kLengthAt);
           bytes[kWalBlockBytes + kLengthAt] = static_cast<char>(0xff);
         });
       }},
      {"NewestWalZeroed", kMustQuarantine,
       [](const std::string& dir) {
         Change(NewestWal(dir), [](std::string& bytes) { bytes.assign(bytes.size(), '\0'); });
       }},
      {"TwoWalsSwapped", kMustRefuse,
       [](const std::string& dir) {
         const std::string oldest = ReadFile(OldestWal(dir));
         WriteFile(OldestWal(dir), ReadFile(NewestWal(dir)));
         WriteFile(NewestWal(dir), oldest);
       },
       true},
      {"FlipInTheManifest", kMustRefuse, [](const std::string& dir) { Flip(Manifest(dir), 0.5); },
       true},
      // Whole, if a flush fell where the second half says nothing that matters; all must be there.
      {"ManifestHalved",
       {Verdict::kWhole, Verdict::kRefused, Verdict::kQuarantined},
       [](const std::string& dir) { Halve(Manifest(dir)); },
       true},
      {"ManifestDeleted", kMustRefuse,
       [](const std::string& dir) { std::filesystem::remove(Manifest(dir)); }},
      {"CurrentDeleted", kMustRefuse,
       [](const std::string& dir) { std::filesystem::remove(LogDirectory(dir) + "/CURRENT"); }},
      {"LogDirectoryDeleted", kMustRefuse,
       [](const std::string& dir) { std::filesystem::remove_all(LogDirectory(dir)); }},
      {"LogDirectoryRolledBack", kMustQuarantine,
       [](const std::string& dir) { RestoreSaved(dir, "log"); }},
      {"LogDirectoryOfAFreshFormat", kMustQuarantine,
       [](const std::string& dir) {
         TempDir fresh;
         FormatOrDie(OptionsFor(fresh.path()));
         std::filesystem::remove_all(LogDirectory(dir));
         std::filesystem::copy(LogDirectory(fresh.path()), LogDirectory(dir),
                               std::filesystem::copy_options::recursive);
       }},
      {"OneGuardSlotDamaged", kMustBeWhole,
       [](const std::string& dir) { WriteFile(GuardPath(dir, 0), "damage"); }},
      {"OtherGuardSlotDeleted", kMustBeWhole,
       [](const std::string& dir) { std::filesystem::remove(GuardPath(dir, 1)); }},
      {"BothGuardSlotsTheSame", kMustBeWhole,
       [](const std::string& dir) { WriteFile(GuardPath(dir, 0), ReadFile(GuardPath(dir, 1))); }},
      {"GuardSlotsSwapped", kMustBeWhole,
       [](const std::string& dir) {
         const std::string first = ReadFile(GuardPath(dir, 0));
         WriteFile(GuardPath(dir, 0), ReadFile(GuardPath(dir, 1)));
         WriteFile(GuardPath(dir, 1), first);
       }},
      {"OneGuardSlotCutShort", kMustBeWhole,
       [](const std::string& dir) { Halve(GuardPath(dir, 1)); }},
      {"BothGuardSlotsZeroed", kMustRefuse,
       [](const std::string& dir) {
         for (int slot = 0; slot < kGuardSlots; ++slot) {
           WriteFile(GuardPath(dir, slot), std::string(kGuardSlotBytes, '\0'));
         }
       }},
      {"GuardOfAnotherReplica", kMustRefuse,
       [](const std::string& dir) {
         TempDir other;
         RocksDbStorageOptions options = OptionsFor(other.path());
         options.replica = {.node_id = NodeId(9), .directory_id = {}};
         FormatOrDie(options);
         for (int slot = 0; slot < kGuardSlots; ++slot) {
           WriteFile(GuardPath(dir, slot), ReadFile(GuardPath(other.path(), slot)));
         }
       }},
      {"GuardOfAnotherCluster", kMustRefuse,
       [](const std::string& dir) {
         TempDir other;
         RocksDbStorageOptions options = OptionsFor(other.path());
         options.cluster_id = "another";
         FormatOrDie(options);
         for (int slot = 0; slot < kGuardSlots; ++slot) {
           WriteFile(GuardPath(dir, slot), ReadFile(GuardPath(other.path(), slot)));
         }
       }},
      {"OneGuardSlotDamagedAndTheNewestWalDeleted", kMustQuarantine,
       [](const std::string& dir) {
         WriteFile(GuardPath(dir, 0), "damage");
         std::filesystem::remove(NewestWal(dir));
       }},
      {"OtherGuardSlotDamagedAndTheNewestWalDeleted", kMustQuarantine,
       [](const std::string& dir) {
         WriteFile(GuardPath(dir, 1), "damage");
         std::filesystem::remove(NewestWal(dir));
       }},
      {"DatabaseOfAnotherCluster", kMustRefuse,
       [](const std::string& dir) {
         TempDir other;
         RocksDbStorageOptions options = OptionsFor(other.path());
         options.cluster_id = "another";
         FormatOrDie(options);
         {
           LogBuilder log("another");
           auto opened = OpenAndRecover(options);
           ASSERT_TRUE(Write(*opened->storage, Entering(Epoch(1), {log.Append(Epoch(1))})).ok());
         }
         std::filesystem::remove_all(LogDirectory(dir));
         std::filesystem::copy(LogDirectory(other.path()), LogDirectory(dir),
                               std::filesystem::copy_options::recursive);
       }},
      {"BothGuardSlotsDamaged", kMustRefuse,
       [](const std::string& dir) {
         Flip(GuardPath(dir, 0), 0.002);
         Flip(GuardPath(dir, 1), 0.002);
       }},
      {"BothGuardSlotsDeleted", kMustRefuse,
       [](const std::string& dir) {
         std::filesystem::remove(GuardPath(dir, 0));
         std::filesystem::remove(GuardPath(dir, 1));
       }},
      {"GuardOfAnEarlierTime", kMustBeWhole,  // it only knows less
       [](const std::string& dir) {
         RestoreSaved(dir, "guard.0");
         RestoreSaved(dir, "guard.1");
       }},
  };
}

class DamageMatrixTest : public ::testing::TestWithParam<Damage> {
 protected:
  void SetUp() override {
    RocksDbStorageOptions options = OptionsFor(dir_.path());
    if (GetParam().many_wals) {
      options.memtable_bytes = 64 << 10;
    }
    FormatOrDie(options);
    LogBuilder log;
    Append(options, log, kBatches / 2);
    std::filesystem::create_directory(dir_.path() + "/early");
    for (const char* name : {"log", "guard.0", "guard.1"}) {
      std::filesystem::copy(dir_.path() + "/" + name, dir_.path() + "/early/" + name,
                            std::filesystem::copy_options::recursive);
    }
    Append(options, log, kBatches / 2);
  }

  void Append(const RocksDbStorageOptions& options, LogBuilder& log, size_t batches) {
    auto opened = OpenAndRecover(options);
    ASSERT_TRUE(opened.ok()) << opened.status();
    ASSERT_TRUE(Write(*opened->storage, Entering(Epoch(1))).ok());
    for (size_t i = 0; i < batches; ++i) {
      ASSERT_TRUE(Write(*opened->storage,
                        Appending({log.Append(Epoch(1), 1, GetParam().many_wals ? 4000 : 1000)}))
                      .ok());
    }
  }

  TempDir dir_;
};

TEST_P(DamageMatrixTest, IsNeverSilentlyShort) {
  GetParam().inflict(dir_.path());
  // Twice: what the first start finds must not be forgotten by the second.
  for (int start = 0; start < 2; ++start) {
    const auto opened = OpenAndRecover(OptionsFor(dir_.path()));
    Verdict verdict = Verdict::kRefused;
    if (opened.ok()) {
      verdict = opened->recovered.quarantine.has_value() ? Verdict::kQuarantined : Verdict::kWhole;
    }
    EXPECT_THAT(GetParam().allowed, ::testing::Contains(verdict))
        << NameOf(verdict) << " " << opened.status();
    if (verdict == Verdict::kWhole) {
      EXPECT_EQ(opened->recovered.batch_ends.size(), kBatches);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Every, DamageMatrixTest, ::testing::ValuesIn(Matrix()),
                         [](const ::testing::TestParamInfo<Damage>& damage) {
                           return std::string(damage.param.name);
                         });

// A log that begins behind its only snapshot: what is damaged there is damaged for good.
class SnapshotDamageMatrixTest : public ::testing::TestWithParam<Damage> {
 protected:
  void SetUp() override {
    const RocksDbStorageOptions options = OptionsFor(dir_.path());
    FormatOrDie(options);
    std::filesystem::create_directory(dir_.path() + "/early");
    for (const char* name : {"log", "snapshots"}) {
      std::filesystem::copy(dir_.path() + "/" + name, dir_.path() + "/early/" + name,
                            std::filesystem::copy_options::recursive);
    }
    auto opened = OpenAndRecover(options);
    ASSERT_TRUE(opened.ok()) << opened.status();
    LogBuilder log;
    ASSERT_TRUE(Write(*opened->storage, Entering(Epoch(1), {log.Append(Epoch(1), 10)})).ok());
    id_ = SnapshotBehind(log.batches().back()).id;
    ASSERT_TRUE(
        WriteSnapshot(*opened->storage, SnapshotBehind(log.batches().back()), chunks_).ok());
    StorageWrite start = Appending({log.Append(Epoch(1), 5)});
    start.log_start = Offset(10);
    ASSERT_TRUE(Write(*opened->storage, start).ok());
  }

  // A node reads its snapshot before it serves: until then it has not started.
  absl::StatusOr<OpenedStorage> OpenAndLoad() {
    auto opened = OpenAndRecover(OptionsFor(dir_.path()));
    for (size_t i = 0;
         opened.ok() && !opened->recovered.quarantine.has_value() && i < chunks_.size(); ++i) {
      const auto chunk = ReadChunk(*opened->storage, id_, static_cast<int64_t>(i));
      if (!chunk.ok()) {
        return chunk.status();
      }
      EXPECT_EQ(*chunk, chunks_[i]);
    }
    return opened;
  }

  TempDir dir_;
  const std::vector<std::string> chunks_ = {std::string(100'000, 'a'), std::string(100'000, 'b')};
  SnapshotId id_;
};

TEST_P(SnapshotDamageMatrixTest, IsNeverSilentlyShort) {
  GetParam().inflict(dir_.path());
  for (int start = 0; start < 2; ++start) {
    const auto opened = OpenAndLoad();
    Verdict verdict = Verdict::kRefused;
    if (opened.ok()) {
      verdict = opened->recovered.quarantine.has_value() ? Verdict::kQuarantined : Verdict::kWhole;
    }
    EXPECT_THAT(GetParam().allowed, ::testing::Contains(verdict))
        << NameOf(verdict) << " " << opened.status();
  }
}

INSTANTIATE_TEST_SUITE_P(Every, SnapshotDamageMatrixTest, ::testing::ValuesIn(SnapshotMatrix()),
                         [](const ::testing::TestParamInfo<Damage>& damage) {
                           return std::string(damage.param.name);
                         });

// Nothing is written by whoever only looks, and nobody looks while somebody writes.
TEST(ReadOnlyTest, SeesWhatIsThereAndChangesNothing) {
  TempDir dir;
  const RocksDbStorageOptions options = OptionsFor(dir.path());
  RocksDbStorageOptions read_only = options;
  read_only.read_only = true;
  FormatOrDie(options);
  LogBuilder log;
  {
    auto opened = OpenAndRecover(options);
    ASSERT_TRUE(Write(*opened->storage, Entering(Epoch(3), {log.Append(Epoch(3), 4)})).ok());
  }
  const auto bytes = [&dir] {
    std::map<std::string, std::string> files;
    for (const auto& file : std::filesystem::recursive_directory_iterator(dir.path())) {
      files[file.path().string()] = file.is_regular_file() ? ReadFile(file.path()) : "";
    }
    return files;
  };
  WriteFile(GuardPath(dir.path(), 0), "damage");
  const auto before = bytes();
  {
    const auto opened = OpenAndRecover(read_only);
    ASSERT_TRUE(opened.ok()) << opened.status();
    EXPECT_EQ(opened->recovered.quorum_state.epoch, Epoch(3));
    EXPECT_EQ(opened->recovered.batch_ends.size(), 1u);
    EXPECT_TRUE(opened->storage->VerifyFiles().ok());
  }
  EXPECT_EQ(bytes(), before);
  std::filesystem::remove(NewestWal(dir.path()));
  const auto behind = OpenAndRecover(read_only);
  ASSERT_TRUE(behind.ok()) << behind.status();
  EXPECT_TRUE(behind->recovered.quarantine.has_value()) << "told, but not remembered";
}

// The way out of a quarantine, and that nothing else is one.
TEST(QuarantineTest, StaysOverRestartsAndWritesUntilItIsLeft) {
  TempDir dir;
  const RocksDbStorageOptions options = OptionsFor(dir.path());
  FormatOrDie(options);
  LogBuilder log;
  {
    auto opened = OpenAndRecover(options);
    ASSERT_TRUE(
        Write(*opened->storage, Entering(Epoch(3), {log.Append(Epoch(3)), log.Append(Epoch(3))}))
            .ok());
  }
  WriteFile(NewestWal(dir.path()), "");
  log.TruncateTo(Offset(0));
  {
    auto opened = OpenAndRecover(options);
    ASSERT_TRUE(opened.ok()) << opened.status();
    ASSERT_TRUE(opened->recovered.quarantine.has_value());
    EXPECT_EQ(opened->recovered.quorum_state.epoch, Epoch(3));  // of the guard
    // It fetches again what it has lost.
    ASSERT_TRUE(Write(*opened->storage, Appending({log.Append(Epoch(3), 5)})).ok());
  }
  StorageWrite leave;
  leave.leave_quarantine = true;
  {
    auto opened = OpenAndRecover(options);
    ASSERT_TRUE(opened.ok()) << opened.status();
    ASSERT_TRUE(opened->recovered.quarantine.has_value());
    EXPECT_EQ(opened->recovered.batch_ends.size(), 1u);
    EXPECT_THAT(opened->recovered.quarantine->reason, ::testing::HasSubstr("had reached"));
    ASSERT_TRUE(Write(*opened->storage, leave).ok());
  }
  const auto opened = OpenAndRecover(options);
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_FALSE(opened->recovered.quarantine.has_value());
}

TEST(GuardBoundTest, FollowsTruncationsAndInstallsBothWays) {
  TempDir dir;
  const RocksDbStorageOptions options = OptionsFor(dir.path());
  FormatOrDie(options);
  LogBuilder log;
  for (int round = 0; round < 3; ++round) {
    auto opened = OpenAndRecover(options);
    ASSERT_TRUE(opened.ok()) << opened.status();
    EXPECT_FALSE(opened->recovered.quarantine.has_value());
    const Epoch epoch(round + 1);
    StorageWrite write = Entering(epoch);
    if (log.end_offset() > Offset(5)) {
      log.TruncateTo(Offset(5));
      write.truncate_to = Offset(5);
    }
    write.append = {log.Append(epoch, 5), log.Append(epoch, 5)};
    ASSERT_TRUE(Write(*opened->storage, write).ok());
  }
  auto opened = OpenAndRecover(options);
  LogBuilder theirs;
  const SnapshotManifest snapshot = testing::SnapshotBehind(theirs.Append(Epoch(2), 3));
  ASSERT_TRUE(testing::WriteSnapshot(*opened->storage, snapshot, {"state"}).ok());
  StorageWrite install;
  install.install = snapshot;
  ASSERT_TRUE(Write(*opened->storage, install).ok());
  opened->storage.reset();
  const auto reopened = OpenAndRecover(options);
  ASSERT_TRUE(reopened.ok()) << reopened.status();
  EXPECT_FALSE(reopened->recovered.quarantine.has_value());
  EXPECT_EQ(reopened->recovered.log_start_offset, Offset(3));
}

}  // namespace
}  // namespace kvorum
