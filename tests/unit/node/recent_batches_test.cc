#include "server/node/recent_batches.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace kvorum {
namespace {

RecordBatch Batch(int64_t base_offset, int32_t count, size_t payload_bytes = 52) {
  return MakeBatch(Offset(base_offset), count, Epoch(1), false, 0,
                   std::make_shared<const std::string>(payload_bytes, 'x'), 0);
}

std::vector<int64_t> Bases(const std::optional<std::vector<RecordBatch>>& batches) {
  std::vector<int64_t> bases;
  for (const RecordBatch& batch : batches.value_or(std::vector<RecordBatch>())) {
    bases.push_back(batch.base_offset.value());
  }
  return bases;
}

using Bases64 = std::vector<int64_t>;

class RecentBatchesTest : public testing::Test {
 protected:
  RecentBatchesTest() {
    for (const int64_t base : {0, 2, 4, 6}) {
      recent.Append(Batch(base, 2));  // of 100 bytes
    }
  }
  RecentBatches recent{250};
};

TEST_F(RecentBatchesTest, ReadsWholeBatchesInRange) {
  EXPECT_EQ(Bases(recent.Read(Offset(2), Offset(6), 1000)), (Bases64{2, 4}));
  EXPECT_EQ(Bases(recent.Read(Offset(0), Offset(100), 1000)), (Bases64{0, 2, 4, 6}));
  EXPECT_EQ(Bases(recent.Read(Offset(0), Offset(5), 1000)), (Bases64{0, 2, 4}));
}

TEST_F(RecentBatchesTest, LimitsBytesButGivesAtLeastOne) {
  EXPECT_EQ(Bases(recent.Read(Offset(0), Offset(8), 200)), (Bases64{0, 2}));
  EXPECT_EQ(Bases(recent.Read(Offset(0), Offset(8), 199)), (Bases64{0}));
  EXPECT_EQ(Bases(recent.Read(Offset(0), Offset(8), 0)), (Bases64{0}));
}

TEST_F(RecentBatchesTest, HasNothingForAnOffsetThatBeginsNoBatch) {
  EXPECT_EQ(recent.Read(Offset(1), Offset(8), 1000), std::nullopt);
  EXPECT_EQ(recent.Read(Offset(8), Offset(9), 1000), std::nullopt);
  EXPECT_EQ(RecentBatches(10).Read(Offset(0), Offset(9), 1000), std::nullopt);
}

TEST_F(RecentBatchesTest, EvictsOnlyWhatIsDurable) {
  recent.Evict(Offset(1));
  EXPECT_EQ(recent.bytes(), 400u);
  recent.Evict(Offset(2));
  EXPECT_EQ(recent.bytes(), 300u);
  recent.Evict(Offset(8));
  EXPECT_EQ(recent.bytes(), 200u) << "what fits stays";
  EXPECT_EQ(recent.Read(Offset(2), Offset(8), 1000), std::nullopt);
  EXPECT_EQ(Bases(recent.Read(Offset(4), Offset(8), 1000)), (Bases64{4, 6}));
}

TEST_F(RecentBatchesTest, TruncatesAndGoesOnFromThere) {
  recent.TruncateTo(Offset(4));
  EXPECT_EQ(recent.bytes(), 200u);
  recent.Append(Batch(4, 1));
  EXPECT_EQ(Bases(recent.Read(Offset(2), Offset(9), 1000)), (Bases64{2, 4}));
  recent.TruncateTo(Offset(0));
  EXPECT_EQ(recent.bytes(), 0u);
  recent.Append(Batch(0, 3));
  EXPECT_EQ(Bases(recent.Read(Offset(0), Offset(9), 1000)), (Bases64{0}));
}

using RecentBatchesDeathTest = RecentBatchesTest;

TEST_F(RecentBatchesDeathTest, RefusesAGap) {
  EXPECT_DEATH(recent.Append(Batch(9, 1)), "batch at 9 after one that ends at 8");
}

}  // namespace
}  // namespace kvorum
