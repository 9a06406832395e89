#include "server/cmd/recover.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "server/cmd/daemon.h"
#include "server/cmd/exit_codes.h"
#include "server/cmd/format.h"
#include "server/cmd/offline_replica.h"
#include "storage/log_verifier.h"
#include "tests/storage/storage_test_util.h"

namespace kvorum {
namespace {

using ::testing::HasSubstr;
using testing::TempDir;

constexpr char kVoters[] =
    "1@c1:7401:8925d228-4b37-41b8-82ee-f18e72c957ed,"
    "2@c2:7401:71ca32b5-587d-4d1f-bc8f-aa6b4e085ee5,"
    "3@c3:7401:71ca32b5-587d-4d1f-bc8f-aa6b4e085ee6";

// The directories of a cluster of three whose logs are of chosen epochs and lengths.
class RecoverTest : public ::testing::Test {
 protected:
  // Node `node`'s directory, with one batch of a record per entry of `epochs`.
  std::string MakeReplica(int32_t node, const std::vector<int32_t>& epochs) {
    const std::string data_dir = dir_.path() + "/" + std::to_string(node);
    const auto properties = Format({.data_dir = data_dir,
                                    .cluster_id = testing::kCluster,
                                    .node_id = node,
                                    .initial_voters = *ParseInitialVoters(kVoters)});
    EXPECT_TRUE(properties.ok()) << properties.status();
    auto storage = RocksDbStorage::Open(StorageOptionsFor(data_dir, *properties));
    EXPECT_TRUE(storage.ok()) << storage.status();
    EXPECT_TRUE((*storage)->Recover().ok());
    testing::LogBuilder log;
    for (const int32_t epoch : epochs) {
      EXPECT_TRUE(
          testing::Write(**storage, testing::Entering(Epoch(epoch), {log.Append(Epoch(epoch))}))
              .ok());
    }
    return data_dir;
  }

  static bool HasFinding(const v1::RecoveryReport& report, std::string_view part) {
    return std::any_of(
        report.findings().begin(), report.findings().end(),
        [part](const std::string& text) { return text.find(part) != std::string::npos; });
  }

  TempDir dir_;
};

TEST_F(RecoverTest, TheLaterEpochIsBetterThanTheLongerLog) {
  const std::string longer = MakeReplica(1, {1, 1, 1, 1});
  const std::string later = MakeReplica(2, {1, 2});
  const v1::RecoveryReport report = InspectDirectories({longer, later});
  EXPECT_EQ(report.best_data_dir(), later);
  EXPECT_TRUE(report.has_quorum());
  EXPECT_TRUE(HasFinding(report, "best log does not hold")) << report.ShortDebugString();
}

TEST_F(RecoverTest, OfOneEpochTheLongerLogIsBetterAndHoldsTheOther) {
  const std::string shorter = MakeReplica(1, {1, 2});
  const std::string longer = MakeReplica(2, {1, 2, 2});
  const v1::RecoveryReport report = InspectDirectories({shorter, longer});
  EXPECT_EQ(report.best_data_dir(), longer);
  EXPECT_FALSE(HasFinding(report, "best log does not hold")) << report.ShortDebugString();
}

TEST_F(RecoverTest, AMissingMajorityMayHaveCommittedAlone) {
  const v1::RecoveryReport report = InspectDirectories({MakeReplica(3, {1})});
  EXPECT_FALSE(report.has_quorum());
  EXPECT_TRUE(report.may_lose_committed());
  EXPECT_THAT(report.missing_voters(), ::testing::ElementsAre(1, 2));
  EXPECT_TRUE(HasFinding(report, "at and above offset 1"));
}

TEST_F(RecoverTest, AQuarantinedDirectoryCountsAsMissingAndIsNeverTheBest) {
  const std::string damaged = MakeReplica(1, {1, 2, 2});
  const std::string whole = MakeReplica(2, {1});
  testing::WriteFile(testing::FilesEndingIn(LogDirectory(damaged), ".log").back(), "");
  const v1::RecoveryReport report = InspectDirectories({damaged, whole});
  EXPECT_EQ(report.best_data_dir(), whole);
  EXPECT_THAT(report.missing_voters(), ::testing::ElementsAre(1, 3));
  EXPECT_TRUE(HasFinding(report, "is quarantined"));

  RecoverApplyOptions apply{.data_dir = damaged, .yes_lose_data = true};
  const auto refused = ApplyRecovery(apply);
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("--accept-quarantine"));
  apply.accept_quarantine = true;
  ASSERT_TRUE(ApplyRecovery(apply).ok());
  const auto recovered = OfflineReplica::Open(damaged);
  ASSERT_TRUE(recovered.ok()) << recovered.status();
  EXPECT_FALSE(recovered->state().quarantine.has_value());
}

TEST_F(RecoverTest, DirectoriesOfTwoClustersAreNotCompared) {
  const std::string ours = MakeReplica(1, {1});
  const std::string recovered = MakeReplica(2, {1, 1});
  ASSERT_TRUE(ApplyRecovery({.data_dir = recovered, .yes_lose_data = true}).ok());
  EXPECT_TRUE(HasFinding(InspectDirectories({ours, recovered}), "leave it out"));
}

TEST_F(RecoverTest, ApplyLeavesOneVoterAHigherEpochAndAnotherGeneration) {
  const std::string data_dir = MakeReplica(3, {1, 4});
  const auto before = ReadMetaProperties(data_dir);
  const auto applied = ApplyRecovery({.data_dir = data_dir, .yes_lose_data = true});
  ASSERT_TRUE(applied.ok()) << applied.status();
  EXPECT_NE(applied->generation, before->generation);
  EXPECT_EQ(*ReadMetaProperties(data_dir), *applied);
  const auto replica = OfflineReplica::Open(data_dir);
  ASSERT_TRUE(replica.ok()) << replica.status();
  EXPECT_EQ(replica->Voters().size(), 1u);
  EXPECT_TRUE(replica->Voters().Contains({NodeId(3), applied->directory_id}));
  EXPECT_EQ(replica->state().quorum_state.epoch, Epoch(5));
  EXPECT_EQ(EndOf(replica->state()).end_offset, Offset(3)) << "what was there, and the voter set";
}

TEST_F(RecoverTest, WhatWasInterruptedDoesNotStartAndIsFinishedByRepeating) {
  const std::string data_dir = MakeReplica(3, {1, 1});
  // Up to here it came: the new generation is written, the voter set is not.
  MetaProperties begun = *ReadMetaProperties(data_dir);
  begun.recovering_from = begun.generation;
  begun.generation = 4711;
  begun.initial_voters = {begun.initial_voters[2]};
  ASSERT_TRUE(ReplaceMetaProperties(data_dir, begun).ok());

  ServerConfig config;
  config.data_dir = data_dir;
  const Daemon::StartResult started = Daemon::Start(config);
  EXPECT_EQ(started.exit_code, kExitBadDirectory);
  EXPECT_THAT(std::string(started.status.message()), HasSubstr("run it again"));
  EXPECT_TRUE(InspectDirectories({data_dir}).directories(0).recovery_is_pending());

  const auto applied = ApplyRecovery({.data_dir = data_dir, .yes_lose_data = true});
  ASSERT_TRUE(applied.ok()) << applied.status();
  EXPECT_EQ(applied->generation, 4711u) << "one that was begun keeps its generation";
  EXPECT_EQ(OfflineReplica::Open(data_dir)->Voters().size(), 1u);

  // Or up to here: all is written but the end.
  begun = *applied;
  begun.recovering_from = 1;
  ASSERT_TRUE(ReplaceMetaProperties(data_dir, begun).ok());
  const Offset end = EndOf(OfflineReplica::Open(data_dir)->state()).end_offset;
  ASSERT_TRUE(ApplyRecovery({.data_dir = data_dir, .yes_lose_data = true}).ok());
  EXPECT_EQ(EndOf(OfflineReplica::Open(data_dir)->state()).end_offset, end);
  EXPECT_FALSE(ReadMetaProperties(data_dir)->recovering_from.has_value());
}

TEST_F(RecoverTest, ASingleVoterHasNothingToRecover) {
  const std::string data_dir = MakeReplica(3, {1});
  ASSERT_TRUE(ApplyRecovery({.data_dir = data_dir, .yes_lose_data = true}).ok());
  const auto again = ApplyRecovery({.data_dir = data_dir, .yes_lose_data = true});
  EXPECT_THAT(std::string(again.status().message()), HasSubstr("only voter already"));
}

TEST(GenerationTest, IsSixteenDigits) {
  EXPECT_EQ(*ParseGeneration("00000000000000ff"), 255u);
  EXPECT_EQ(*ParseGeneration(""), std::nullopt);
  for (const char* text : {"ff", "0000000000000000", "000000000000000g", "0x000000000000ff"}) {
    EXPECT_FALSE(ParseGeneration(text).ok()) << text;
  }
}

}  // namespace
}  // namespace kvorum
