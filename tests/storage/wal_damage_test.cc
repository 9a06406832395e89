// What a damaged write-ahead log does to a start. The rule: refused, quarantined, or everything is
// there; never shortened in silence.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/base/random.h"
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
using testing::OptionsFor;
using testing::ReadFile;
using testing::TempDir;
using testing::Write;
using testing::WriteFile;

constexpr size_t kBatches = 100;
constexpr size_t kPayloadBytes = 1000;
constexpr int kRefused = -1;
constexpr int kQuarantined = -2;

// RocksDB's write-ahead log: 32 KiB blocks of fragments {crc u32, length u16, type u8, bytes}.
constexpr size_t kBlockBytes = 32 << 10;
constexpr size_t kFragmentHeaderBytes = 7;

struct Fragment {
  size_t at = 0;
  size_t length = 0;  // without the header
};

std::vector<Fragment> FragmentsOf(const std::string& wal) {
  std::vector<Fragment> fragments;
  size_t at = 0;
  while (at + kFragmentHeaderBytes <= wal.size()) {
    const size_t left_in_block = kBlockBytes - at % kBlockBytes;
    if (left_in_block < kFragmentHeaderBytes) {
      at += left_in_block;
      continue;
    }
    const size_t length = static_cast<unsigned char>(wal[at + 4]) +
                          (size_t{static_cast<unsigned char>(wal[at + 5])} << 8);
    fragments.push_back({.at = at, .length = length});
    at += kFragmentHeaderBytes + length;
  }
  return fragments;
}

// A directory whose log has kBatches batches, each synced by itself, in its write-ahead log.
class WalDamageTest : public ::testing::Test {
 protected:
  void SetUp() override { Fill(RocksDbStorageOptions().memtable_bytes); }

  void Fill(size_t memtable_bytes) {
    original_ = std::make_unique<TempDir>();
    RocksDbStorageOptions options = OptionsFor(original_->path());
    options.memtable_bytes = memtable_bytes;
    FormatOrDie(options);
    auto opened = OpenAndRecover(options);
    ASSERT_TRUE(opened.ok()) << opened.status();
    LogBuilder log;
    ASSERT_TRUE(Write(*opened->storage, Entering(Epoch(1))).ok());
    for (int slot = 0; slot < kGuardSlots; ++slot) {
      early_guard_.push_back(ReadFile(GuardPath(original_->path(), slot)));
    }
    for (size_t i = 0; i < kBatches; ++i) {
      ASSERT_TRUE(
          Write(*opened->storage, Appending({log.Append(Epoch(1), 1, kPayloadBytes)})).ok());
    }
  }

  std::vector<std::filesystem::path> Wals(const std::string& directory) const {
    return FilesEndingIn(LogDirectory(directory), ".log");
  }
  std::string NewestWal() const { return ReadFile(Wals(original_->path()).back()); }

  // The number of batches a start finds after `damage` to a copy of the directory, kRefused or
  // kQuarantined.
  int OpenAfter(const std::function<void(const std::string& directory)>& damage) const {
    TempDir copy;
    std::filesystem::copy(original_->path(), copy.path(), std::filesystem::copy_options::recursive);
    damage(copy.path());
    const auto opened = OpenAndRecover(OptionsFor(copy.path()));
    if (!opened.ok()) {
      return kRefused;
    }
    return opened->recovered.quarantine.has_value()
               ? kQuarantined
               : static_cast<int>(opened->recovered.batch_ends.size());
  }

  int OpenWithNewestWal(const std::string& bytes) const {
    return OpenAfter([&](const std::string& dir) { WriteFile(Wals(dir).back(), bytes); });
  }

  // The guard as it was before the records, as a crash may leave it.
  int OpenWithNewestWalAndEarlyGuard(const std::string& bytes) const {
    return OpenAfter([&](const std::string& dir) {
      WriteFile(Wals(dir).back(), bytes);
      for (int slot = 0; slot < kGuardSlots; ++slot) {
        WriteFile(GuardPath(dir, slot), early_guard_[static_cast<size_t>(slot)]);
      }
    });
  }

  std::unique_ptr<TempDir> original_;
  std::vector<std::string> early_guard_;
};

std::string Flipped(std::string bytes, size_t at) {
  bytes[at] = static_cast<char>(bytes[at] ^ 0x04);
  return bytes;
}

TEST_F(WalDamageTest, ACrashCopyOpens) { EXPECT_EQ(OpenWithNewestWal(NewestWal()), kBatches); }

TEST_F(WalDamageTest, ZerosBehindTheLastRecordAreTolerated) {
  EXPECT_EQ(OpenWithNewestWal(NewestWal() + std::string(4096, '\0')), kBatches);
}

TEST_F(WalDamageTest, GarbageBehindTheLastRecordLosesNothing) {
  Random random(1);
  for (int round = 0; round < 5; ++round) {
    std::string wal = NewestWal();
    for (int i = 0; i < 4096; ++i) {
      wal += static_cast<char>(random.Next());
    }
    EXPECT_THAT(OpenWithNewestWal(wal), ::testing::AnyOf(kBatches, kRefused));
  }
}

// The write was never acknowledged, or it would have been synced whole; so the guard does not know
// it either.
TEST_F(WalDamageTest, ATornLastRecordIsDroppedIfTheGuardDoesNotKnowIt) {
  const std::string wal = NewestWal();
  for (const size_t missing : {size_t{1}, size_t{500}, kPayloadBytes}) {
    const std::string torn = wal.substr(0, wal.size() - missing);
    EXPECT_EQ(OpenWithNewestWalAndEarlyGuard(torn), kBatches - 1) << missing;
    EXPECT_EQ(OpenWithNewestWal(torn), kQuarantined) << missing;
  }
}

TEST_F(WalDamageTest, AFlipInTheLastSyncedRecordIsRefused) {
  const std::string wal = NewestWal();
  EXPECT_EQ(OpenWithNewestWal(Flipped(wal, wal.size() - 1)), kRefused);
  EXPECT_EQ(OpenWithNewestWal(Flipped(wal, wal.size() - 500)), kRefused);
}

TEST_F(WalDamageTest, AFlipOfAnyByteOrChecksumIsRefused) {
  Random random(2);
  const std::string wal = NewestWal();
  const std::vector<Fragment> fragments = FragmentsOf(wal);
  ASSERT_GE(fragments.size(), kBatches);
  for (int i = 0; i < 40; ++i) {
    const Fragment& fragment = fragments[random.Below(fragments.size())];
    const size_t in_fragment = random.Below(4 + fragment.length);
    const size_t at = fragment.at + in_fragment + (in_fragment < 4 ? 0 : 3);
    EXPECT_EQ(OpenWithNewestWal(Flipped(wal, at)), kRefused) << at;
  }
}

TEST_F(WalDamageTest, AnyFlippedBitOfALengthOrTypeInTheMiddleIsRefused) {
  Random random(4);
  const std::string wal = NewestWal();
  const std::vector<Fragment> fragments = FragmentsOf(wal);
  for (int bit = 0; bit < 24; ++bit) {  // length, length, type
    const Fragment& fragment = fragments[random.Below(fragments.size() - 1)];
    const size_t at = fragment.at + 4 + static_cast<size_t>(bit) / 8;
    std::string damaged = wal;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << (bit % 8)));
    EXPECT_EQ(OpenWithNewestWal(damaged), kRefused) << "byte " << at << " bit " << bit;
  }
}

TEST_F(WalDamageTest, AZeroedSectorInTheMiddleIsRefused) {
  std::string wal = NewestWal();
  wal.replace(wal.size() / 2 / 512 * 512, 512, 512, '\0');
  EXPECT_EQ(OpenWithNewestWal(wal), kRefused);
}

TEST_F(WalDamageTest, ABadLengthInTheLastBlockIsRefused) {
  std::string wal = NewestWal();
  const std::vector<Fragment> fragments = FragmentsOf(wal);
  wal[fragments[fragments.size() - 3].at + 5] = static_cast<char>(0x7f);  // behind the file's end
  EXPECT_EQ(OpenWithNewestWal(wal), kRefused);
}

// It looks like a write that never finished; only the guard knows better.
TEST_F(WalDamageTest, ABadLengthOrTypeOfTheLastRecordIsQuarantined) {
  const std::string wal = NewestWal();
  const Fragment last = FragmentsOf(wal).back();
  std::string longer = wal;
  longer[last.at + 5] = static_cast<char>(0x7f);
  EXPECT_EQ(OpenWithNewestWal(longer), kQuarantined);
  EXPECT_EQ(OpenWithNewestWal(Flipped(wal, last.at + 6)), kQuarantined);
}

TEST_F(WalDamageTest, ALostNewestWalIsQuarantinedEvenByAnEarlyGuard) {
  EXPECT_EQ(OpenWithNewestWal(""), kQuarantined);
  EXPECT_EQ(OpenWithNewestWalAndEarlyGuard(""), kQuarantined);
  EXPECT_EQ(OpenAfter([&](const std::string& dir) { std::filesystem::remove(Wals(dir).back()); }),
            kQuarantined);
}

class ManyWalsDamageTest : public WalDamageTest {
 protected:
  // Table files hold most rows, but the quorum state keeps the first log alive.
  void SetUp() override { Fill(/*memtable_bytes=*/64 << 10); }
};

TEST_F(ManyWalsDamageTest, AnOlderLiveWalThatIsShorterOrMissingIsRefused) {
  ASSERT_GE(Wals(original_->path()).size(), 2u);
  EXPECT_EQ(OpenAfter([](const std::string&) {}), kBatches);
  EXPECT_EQ(OpenAfter([&](const std::string& dir) {
              const std::string wal = ReadFile(Wals(dir).front());
              WriteFile(Wals(dir).front(), wal.substr(0, wal.size() / 2));
            }),
            kRefused);
  EXPECT_EQ(OpenAfter([&](const std::string& dir) { std::filesystem::remove(Wals(dir).front()); }),
            kRefused);
}

TEST_F(ManyWalsDamageTest, AFlipInATableFileIsRefused) {
  Random random(3);
  const auto tables = FilesEndingIn(LogDirectory(original_->path()), ".sst");
  ASSERT_FALSE(tables.empty());
  const std::string name = tables.back().filename().string();
  const std::string table = ReadFile(tables.back());
  for (int i = 0; i < 12; ++i) {
    const size_t at = random.Below(table.size());
    EXPECT_THAT(OpenAfter([&](const std::string& dir) {
                  WriteFile(LogDirectory(dir) + "/" + name, Flipped(table, at));
                }),
                ::testing::AnyOf(kRefused, static_cast<int>(kBatches)))
        << at;
  }
}

TEST_F(ManyWalsDamageTest, AMissingTableFileIsRefused) {
  EXPECT_EQ(OpenAfter([&](const std::string& dir) {
              std::filesystem::remove(FilesEndingIn(LogDirectory(dir), ".sst").back());
            }),
            kRefused);
}

}  // namespace
}  // namespace kvorum
