#include "storage/log_verifier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/base/errors.h"
#include "tests/storage/storage_test_util.h"

namespace kvorum {
namespace {

using ::testing::HasSubstr;
using testing::InEpoch;
using testing::kCluster;
using testing::LogBuilder;

// The verdict on a log of `batches` beside a quorum state of `epoch`.
absl::StatusOr<RecoveredState> Verify(const std::vector<RecordBatch>& batches, Epoch epoch) {
  LogVerifier verifier(EmptyLogEnd(kCluster));
  for (const RecordBatch& batch : batches) {
    if (const absl::Status status = verifier.AddBatch(batch.base_offset, batch); !status.ok()) {
      return status;
    }
  }
  return std::move(verifier).Finish(InEpoch(epoch), {});
}

std::vector<RecordBatch> ThreeBatches() {
  LogBuilder log;
  log.Append(Epoch(1), 2);
  log.AppendControl(Epoch(2));
  log.Append(Epoch(2), 5);
  return log.batches();
}

void ExpectRefused(const absl::StatusOr<RecoveredState>& verdict, const char* text) {
  ASSERT_FALSE(verdict.ok());
  EXPECT_EQ(GetErrorReason(verdict.status()), ErrorReason::kCorruptLog);
  EXPECT_THAT(verdict.status().ToString(), HasSubstr(text));
  EXPECT_THAT(verdict.status().ToString(), HasSubstr("remove this voter"));
}

TEST(LogVerifierTest, AcceptsAnEmptyDirectory) {
  const auto state = LogVerifier(EmptyLogEnd(kCluster)).Finish(std::nullopt, {});
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(state->quorum_state, QuorumState());
  EXPECT_EQ(state->log_start_offset, Offset(0));
  EXPECT_EQ(state->chain_at_start, GenesisChainHash(kCluster));
  EXPECT_TRUE(state->batch_ends.empty());
}

TEST(LogVerifierTest, CollectsEndsAndControlBatches) {
  const std::vector<RecordBatch> batches = ThreeBatches();
  const auto state = Verify(batches, Epoch(3));
  ASSERT_TRUE(state.ok()) << state.status();
  ASSERT_EQ(state->batch_ends.size(), 3u);
  EXPECT_EQ(state->batch_ends[0], EndOf(batches[0]));
  EXPECT_EQ(state->batch_ends[2].end_offset, Offset(8));
  ASSERT_EQ(state->control_batches.size(), 1u);
  EXPECT_EQ(*state->control_batches[0].payload, "control");
  EXPECT_EQ(state->quorum_state.epoch, Epoch(3));
}

TEST(LogVerifierTest, RefusesAHole) {
  std::vector<RecordBatch> batches = ThreeBatches();
  batches.erase(batches.begin() + 1);
  ExpectRefused(Verify(batches, Epoch(3)), "ends at offset 2, the next batch begins at 3");
}

TEST(LogVerifierTest, RefusesAMissingBeginning) {
  std::vector<RecordBatch> batches = ThreeBatches();
  batches.erase(batches.begin());
  ExpectRefused(Verify(batches, Epoch(3)), "ends at offset 0, the next batch begins at 2");
}

TEST(LogVerifierTest, RefusesAPayloadThatDoesNotMatchItsCrc) {
  std::vector<RecordBatch> batches = ThreeBatches();
  batches[2].payload = std::make_shared<const std::string>("other");
  ExpectRefused(Verify(batches, Epoch(3)), "offset 3: payload CRC");
}

TEST(LogVerifierTest, RefusesAWrongChain) {
  std::vector<RecordBatch> batches = ThreeBatches();
  batches[2] = MakeBatch(Offset(3), 5, Epoch(2), false, 1000, batches[2].payload, 12345);
  ExpectRefused(Verify(batches, Epoch(3)), "offset 3 carries chain hash");
}

TEST(LogVerifierTest, RefusesADecreasingEpoch) {
  std::vector<RecordBatch> batches = ThreeBatches();
  batches[2] =
      MakeBatch(Offset(3), 5, Epoch(1), false, 1000, batches[2].payload, batches[1].chain_hash);
  ExpectRefused(Verify(batches, Epoch(3)), "offset 3 is of epoch 1, the one before it of 2");
}

TEST(LogVerifierTest, RefusesAnotherClustersLog) {
  LogBuilder log("other-cluster");
  log.Append(Epoch(1));
  ExpectRefused(Verify(log.batches(), Epoch(1)), "offset 0 carries chain hash");
}

TEST(LogVerifierTest, RefusesALogNewerThanItsQuorumState) {
  ExpectRefused(Verify(ThreeBatches(), Epoch(1)), "quorum state is of epoch 1");
}

TEST(LogVerifierTest, RefusesALogWithoutQuorumState) {
  LogVerifier verifier(EmptyLogEnd(kCluster));
  const RecordBatch first = ThreeBatches()[0];
  ASSERT_TRUE(verifier.AddBatch(Offset(0), first).ok());
  ExpectRefused(std::move(verifier).Finish(std::nullopt, {}),
                "quorum state (epoch and vote) is missing");
}

SnapshotManifest SnapshotAt(int64_t offset) {
  SnapshotManifest manifest;
  manifest.id = {.offset = Offset(offset), .epoch = Epoch(2)};
  return manifest;
}

// The verdict on a log whose first two batches were removed.
absl::StatusOr<RecoveredState> VerifyTail(std::vector<SnapshotManifest> snapshots) {
  const std::vector<RecordBatch> batches = ThreeBatches();
  LogVerifier verifier(EndOf(batches[1]));
  EXPECT_TRUE(verifier.AddBatch(Offset(3), batches[2]).ok());
  return std::move(verifier).Finish(InEpoch(Epoch(2)), std::move(snapshots));
}

TEST(LogVerifierTest, AcceptsALogWithoutItsBeginningBesideItsSnapshot) {
  const auto state = VerifyTail({SnapshotAt(3), SnapshotAt(8)});
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(state->log_start_offset, Offset(3));
  EXPECT_EQ(state->epoch_at_start, Epoch(2));
  EXPECT_EQ(state->chain_at_start, ThreeBatches()[1].chain_hash);
  EXPECT_EQ(state->snapshots.size(), 2u);
  EXPECT_TRUE(VerifyTail({SnapshotAt(8)}).ok());  // a newer one holds it too
}

// KAFKA-14240
TEST(LogVerifierTest, RefusesALogWithoutItsBeginningAndNoSnapshotOfIt) {
  ExpectRefused(VerifyTail({}), "starts at offset 3, but of the 0 snapshots");
  ExpectRefused(VerifyTail({SnapshotAt(2)}), "starts at offset 3, but of the 1 snapshots");
}

TEST(LogVerifierTest, RefusesARowUnderAnothersKey) {
  const std::string frame = EncodeBatch(ThreeBatches()[0]);
  ExpectRefused(LogVerifier(EmptyLogEnd(kCluster)).AddFrame(Offset(5), frame),
                "row at offset 5 holds the batch of offset 0");
}

TEST(LogVerifierTest, RefusesARowWithMoreThanItsBatch) {
  const std::string frame = EncodeBatch(ThreeBatches()[0]) + "x";
  ExpectRefused(LogVerifier(EmptyLogEnd(kCluster)).AddFrame(Offset(0), frame),
                "1 bytes after its batch");
}

TEST(LogVerifierTest, RefusesEveryFlippedByteOfARow) {
  const std::string frame = EncodeBatch(ThreeBatches()[0]);
  for (size_t i = 0; i < frame.size(); ++i) {
    std::string damaged = frame;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    EXPECT_FALSE(LogVerifier(EmptyLogEnd(kCluster)).AddFrame(Offset(0), damaged).ok()) << i;
  }
}

}  // namespace
}  // namespace kvorum
