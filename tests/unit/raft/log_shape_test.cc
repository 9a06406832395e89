#include "server/raft/log_shape.h"

#include <gtest/gtest.h>

#include "tests/protocol/raft_harness.h"

namespace kvorum::raft {
namespace {

constexpr uint64_t kGenesis = 77;

LogShape EmptyLog() { return LogShape(RecoveredState{}, kGenesis); }

void Append(LogShape& log, int epoch, int32_t records = 1) {
  log.Append(MakeBatch(log.end(), records, Epoch(epoch), /*is_control=*/false, 0,
                       std::make_shared<const std::string>("x"), log.chain()));
}

// Epochs 1, 1, 3, 3, 3, 6 at offsets 0..5.
LogShape ThreeEpochs() {
  LogShape log = EmptyLog();
  for (const int epoch : {1, 1, 3, 3, 3, 6}) {
    Append(log, epoch);
  }
  return log;
}

TEST(LogShapeTest, EmptyLogEndsAtZeroWithTheClustersChain) {
  const LogShape log = EmptyLog();
  EXPECT_EQ(log.end_position(), (OffsetAndEpoch{Offset(0), Epoch(0)}));
  EXPECT_EQ(log.chain(), kGenesis);
  EXPECT_EQ(log.EpochBelow(Offset(0)), Epoch(0));
  EXPECT_EQ(log.EpochBelow(Offset(1)), std::nullopt);
}

TEST(LogShapeTest, FindsTheEndOfTheLargestEpochAtOrBelow) {
  const LogShape log = ThreeEpochs();
  const auto end_of = [&](int epoch) { return log.EndOffsetForEpoch(Epoch(epoch)); };
  EXPECT_EQ(end_of(0), (EpochEnd{Epoch(0), Offset(0)}));  // none: itself, at the start
  EXPECT_EQ(end_of(1), (EpochEnd{Epoch(1), Offset(2)}));
  EXPECT_EQ(end_of(2), (EpochEnd{Epoch(1), Offset(2)}));
  EXPECT_EQ(end_of(3), (EpochEnd{Epoch(3), Offset(5)}));
  EXPECT_EQ(end_of(5), (EpochEnd{Epoch(3), Offset(5)}));
  EXPECT_EQ(end_of(6), (EpochEnd{Epoch(6), Offset(6)}));
  EXPECT_EQ(end_of(9), (EpochEnd{Epoch(6), Offset(6)}));
}

TEST(LogShapeTest, KnowsTheEpochBelowEachOffset) {
  const LogShape log = ThreeEpochs();
  const std::vector<int> epochs = {0, 1, 1, 3, 3, 3, 6};
  for (size_t i = 0; i < epochs.size(); ++i) {
    EXPECT_EQ(log.EpochBelow(Offset(static_cast<int64_t>(i))), Epoch(epochs[i])) << i;
  }
}

TEST(LogShapeTest, TruncationRestoresChainAndEpochs) {
  LogShape log = EmptyLog();
  Append(log, 1);
  Append(log, 1);
  const uint64_t chain = log.chain();
  Append(log, 2);
  Append(log, 4);
  log.SetDurableEnd(Offset(4));
  log.TruncateTo(Offset(2));
  EXPECT_EQ(log.end_position(), (OffsetAndEpoch{Offset(2), Epoch(1)}));
  EXPECT_EQ(log.chain(), chain);
  EXPECT_EQ(log.durable_end(), Offset(2));
  EXPECT_EQ(log.EndOffsetForEpoch(Epoch(9)), (EpochEnd{Epoch(1), Offset(2)}));
  Append(log, 3);
  EXPECT_EQ(log.EpochBelow(Offset(3)), Epoch(3));
  log.CheckConsistent();
}

// consensus.md §3.5 ⚠: an epoch that starts at the truncation point must go, else answers loop.
TEST(LogShapeTest, TruncationToTheStartOfAnEpochForgetsIt) {
  LogShape log = ThreeEpochs();
  log.TruncateTo(Offset(5));
  EXPECT_EQ(log.EndOffsetForEpoch(Epoch(6)), (EpochEnd{Epoch(3), Offset(5)}));
}

TEST(LogShapeTest, PruningKeepsTheLastEndAtOrBelowTheHighWatermark) {
  LogShape log = EmptyLog();
  Append(log, 1, 3);
  Append(log, 1, 3);
  Append(log, 1, 3);
  log.Prune(Offset(7));
  EXPECT_EQ(log.oldest_known_end(), Offset(6));
  EXPECT_FALSE(log.IsBatchEnd(Offset(3)));
  EXPECT_TRUE(log.IsBatchEnd(Offset(6)));
  EXPECT_FALSE(log.IsBatchEnd(Offset(7)));
  EXPECT_TRUE(log.ChainAt(Offset(9)).has_value());
  EXPECT_EQ(log.EpochBelow(Offset(2)), Epoch(1));  // epochs are kept for the whole log
  log.TruncateTo(Offset(6));
  log.CheckConsistent();
}

TEST(LogShapeTest, RecoversWhatStorageFound) {
  const TestDisk disk = DiskWith({1, 1, 2}, 2);
  const LogShape log(disk.Recover(), GenesisChainHash("test-cluster"));
  EXPECT_EQ(log.end_position(), (OffsetAndEpoch{Offset(3), Epoch(2)}));
  EXPECT_EQ(log.durable_end(), Offset(3));
  EXPECT_EQ(log.chain(), disk.log.back().chain_hash);
  log.CheckConsistent();
}

TEST(LogShapeDeathTest, RefusesHolesAndOlderEpochs) {
  LogShape log = ThreeEpochs();
  const auto batch = [&](int offset, int epoch) {
    return MakeBatch(Offset(offset), 1, Epoch(epoch), /*is_control=*/false, 0, nullptr,
                     log.chain());
  };
  EXPECT_EXIT(log.Append(batch(7, 6)), ::testing::ExitedWithCode(70), "log ends at 6");
  EXPECT_EXIT(log.Append(batch(6, 5)), ::testing::ExitedWithCode(70), "append of epoch 5");
  EXPECT_EXIT(log.TruncateTo(Offset(9)), ::testing::ExitedWithCode(70), "no batch ends");
  EXPECT_EXIT(log.SetDurableEnd(Offset(7)), ::testing::ExitedWithCode(70), "above log end");
}

}  // namespace
}  // namespace kvorum::raft
