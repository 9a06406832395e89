#include "storage/types/snapshot_manifest.h"

#include <gtest/gtest.h>

#include "server/base/errors.h"

namespace kvorum {
namespace {

SnapshotManifest Example() {
  return {.id = {.offset = Offset(1234567890123), .epoch = Epoch(7)},
          .chain_hash = 0xfedcba9876543210,
          .last_append_time_ms = 1700000000000,
          .state_hash = 42,
          .voters = std::string("voters\0record", 13),
          .chunk_count = 3,
          .size_bytes = 3000,
          .digest = 0x8000000000000001};
}

TEST(SnapshotManifestTest, SurvivesItsEncoding) {
  const auto decoded = DecodeManifest(EncodeManifest(Example()));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(*decoded, Example());
  EXPECT_EQ(*DecodeManifest(EncodeManifest(SnapshotManifest())), SnapshotManifest());
}

TEST(SnapshotManifestTest, RefusesEveryFlippedByteAndEveryOtherLength) {
  const std::string row = EncodeManifest(Example());
  for (size_t i = 0; i < row.size(); ++i) {
    std::string damaged = row;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    EXPECT_EQ(GetErrorReason(DecodeManifest(damaged).status()), ErrorReason::kCorruptLog) << i;
    EXPECT_FALSE(DecodeManifest(row.substr(0, i)).ok()) << i;
  }
  EXPECT_FALSE(DecodeManifest(row + "x").ok());
}

TEST(SnapshotManifestTest, TheDigestKnowsOrderAndBoundaries) {
  const auto digest = [](std::initializer_list<std::string_view> chunks) {
    uint64_t value = 0;
    for (const std::string_view chunk : chunks) {
      value = NextSnapshotDigest(value, chunk);
    }
    return value;
  };
  EXPECT_EQ(digest({"ab", "c"}), digest({"ab", "c"}));
  EXPECT_NE(digest({"ab", "c"}), digest({"c", "ab"}));
  EXPECT_NE(digest({"ab", "c"}), digest({"a", "bc"}));
  EXPECT_NE(digest({"ab", "c"}), digest({"ab"}));
}

}  // namespace
}  // namespace kvorum
