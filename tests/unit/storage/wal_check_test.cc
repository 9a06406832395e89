#include "storage/rocksdb/wal_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/base/crc32c.h"
#include "server/base/errors.h"

namespace kvorum {
namespace {

enum Type : uint8_t { kWhole = 1, kFirst = 2, kMiddle = 3, kLast = 4 };

std::string Fragment(Type type, std::string_view bytes) {
  std::string covered(1, static_cast<char>(type));
  covered += bytes;
  const uint32_t crc = Crc32c(covered);
  const uint32_t masked = ((crc >> 15) | (crc << 17)) + 0xa282ead8U;
  std::string out;
  for (int i = 0; i < 4; ++i) {
    out += static_cast<char>((masked >> (8 * i)) & 0xff);
  }
  out += static_cast<char>(bytes.size() & 0xff);
  out += static_cast<char>(bytes.size() >> 8);
  return out + covered;
}

std::string Damaged(std::string bytes, size_t at) {
  bytes[at] = static_cast<char>(bytes[at] ^ 4);
  return bytes;
}

constexpr std::string_view kBytes = "some record of a write-ahead log";

TEST(WalCheckTest, AcceptsWholeAndTornLogs) {
  const std::string wal = Fragment(kWhole, kBytes) + Fragment(kWhole, kBytes);
  for (size_t size = 0; size <= wal.size(); ++size) {
    EXPECT_TRUE(CheckWal(wal.substr(0, size)).ok()) << size;
  }
  EXPECT_TRUE(CheckWal(wal + std::string(100000, '\0')).ok());
  EXPECT_TRUE(CheckWal(wal + std::string(100000, 'x')).ok());
}

TEST(WalCheckTest, RefusesEveryFlippedByteBeforeAnotherRecord) {
  const std::string first = Fragment(kWhole, kBytes);
  for (size_t at = 0; at < first.size(); ++at) {
    const absl::Status status = CheckWal(Damaged(first, at) + Fragment(kWhole, kBytes));
    EXPECT_EQ(GetErrorReason(status), ErrorReason::kCorruptLog) << at;
  }
  EXPECT_TRUE(CheckWal(Damaged(first, 20)).ok());  // the last write: RocksDB judges it
}

TEST(WalCheckTest, AcceptsALastWriteWhosePagesArrivedOutOfOrder) {
  const std::string sound = Fragment(kWhole, kBytes);
  const std::string first = Fragment(kFirst, kBytes);
  const std::string rest = Fragment(kMiddle, kBytes) + Fragment(kLast, kBytes);
  const std::string lost(first.size(), '\0');
  EXPECT_TRUE(CheckWal(sound + lost + rest).ok());
  EXPECT_FALSE(CheckWal(sound + lost + rest + Fragment(kFirst, kBytes)).ok());
}

TEST(WalCheckTest, FollowsFragmentsAcrossBlocks) {
  constexpr size_t kBlockBytes = 32 << 10;
  std::string wal = Fragment(kFirst, std::string(kBlockBytes - 7 - 5, 'a'));
  wal += std::string(5, '\0');  // too small for a header
  wal += Fragment(kLast, kBytes);
  const std::string next = Fragment(kWhole, kBytes);
  EXPECT_TRUE(CheckWal(wal + next).ok());
  EXPECT_FALSE(CheckWal(Damaged(wal, 10) + next).ok());
  EXPECT_FALSE(CheckWal(Damaged(wal, kBlockBytes + 10) + next).ok());
}

}  // namespace
}  // namespace kvorum
