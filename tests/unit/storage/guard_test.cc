#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "storage/guard_file.h"
#include "storage/log_verifier.h"
#include "tests/storage/storage_test_util.h"

namespace kvorum {
namespace {

using ::testing::HasSubstr;
using testing::InEpoch;
using testing::kCluster;
using testing::LogBuilder;
using testing::TempDir;

ReplicaKey Replica(int32_t node) {
  return {.node_id = NodeId(node),
          .directory_id = *Uuid::Parse("01234567-89ab-4def-8123-456789abcdef")};
}

GuardState Example() {
  GuardState guard = NewGuard(kCluster, Replica(1));
  guard.epoch = Epoch(7);
  guard.voted_key = Replica(3);
  guard.log_end = Offset(12345);
  guard.chain_hash = 0xfedcba9876543210;
  guard.latest_snapshot = SnapshotId{.offset = Offset(12000), .epoch = Epoch(6)};
  guard.quarantine = Quarantine{.reason = "the log ends at 5"};
  return guard;
}

TEST(GuardStateTest, SurvivesItsEncoding) {
  const auto decoded = DecodeGuard(EncodeGuard(Example()));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(*decoded, Example());
  EXPECT_EQ(decoded->quarantine->reason, "the log ends at 5");
  EXPECT_EQ(*DecodeGuard(EncodeGuard(NewGuard(kCluster, Replica(1)))),
            NewGuard(kCluster, Replica(1)));
}

TEST(GuardStateTest, RefusesEveryOtherLength) {
  const std::string bytes = EncodeGuard(Example());
  for (size_t i = 0; i < bytes.size(); ++i) {
    EXPECT_FALSE(DecodeGuard(bytes.substr(0, i)).ok()) << i;
  }
  EXPECT_FALSE(DecodeGuard(bytes + "x").ok());
}

class GuardFileTest : public ::testing::Test {
 protected:
  GuardFileTest() {
    const auto slots = MakeGuardSlots(dir_.path());
    EXPECT_TRUE(GuardFile::Create(*slots, NewGuard(kCluster, Replica(1))).ok());
  }

  absl::StatusOr<std::unique_ptr<GuardFile>> Open() {
    return GuardFile::Open(MakeGuardSlots(dir_.path()), kCluster, Replica(1));
  }

  void WriteEpoch(int32_t epoch) {
    auto file = Open();
    ASSERT_TRUE(file.ok()) << file.status();
    GuardState guard = (*file)->state();
    guard.epoch = Epoch(epoch);
    ASSERT_TRUE((*file)->Write(guard).ok());
  }

  TempDir dir_;
};

TEST_F(GuardFileTest, RemembersTheLastOfManyWrites) {
  for (int32_t epoch = 1; epoch <= 5; ++epoch) {
    WriteEpoch(epoch);
    EXPECT_EQ((*Open())->state().epoch, Epoch(epoch));
  }
}

TEST_F(GuardFileTest, OneDamagedSlotLeavesTheOther) {
  WriteEpoch(1);
  WriteEpoch(2);
  for (int slot = 0; slot < kGuardSlots; ++slot) {
    const std::string good = testing::ReadFile(GuardPath(dir_.path(), slot));
    for (size_t at = 0; at < 150; at += 7) {
      std::string damaged = good;
      damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
      testing::WriteFile(GuardPath(dir_.path(), slot), damaged);
      const auto file = Open();
      ASSERT_TRUE(file.ok()) << file.status();
      EXPECT_THAT((*file)->state().epoch, ::testing::AnyOf(Epoch(1), Epoch(2))) << at;
    }
    testing::WriteFile(GuardPath(dir_.path(), slot), good);
  }
}

TEST_F(GuardFileTest, BothSlotsLostIsRefusedAndSaysWhatToDo) {
  testing::WriteFile(GuardPath(dir_.path(), 0), "");
  std::filesystem::remove(GuardPath(dir_.path(), 1));
  const absl::Status status = Open().status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(status.ToString(), HasSubstr("remove the old voter"));
}

TEST_F(GuardFileTest, AGuardOfAnotherReplicaIsRefused) {
  const absl::Status other_node =
      GuardFile::Open(MakeGuardSlots(dir_.path()), kCluster, Replica(2)).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(other_node)) << other_node;
  const absl::Status other_cluster =
      GuardFile::Open(MakeGuardSlots(dir_.path()), "other", Replica(1)).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(other_cluster)) << other_cluster;
}

TEST_F(GuardFileTest, IsNeverCreatedOverPromises) {
  const auto create = [this] {
    return GuardFile::Create(*MakeGuardSlots(dir_.path()), NewGuard(kCluster, Replica(1)));
  };
  EXPECT_TRUE(create().ok());  // an interrupted format may be repeated
  WriteEpoch(1);
  EXPECT_TRUE(absl::IsAlreadyExists(create()));
}

// A recovered log of three batches that end at 2, 3 and 8, in epoch 2.
RecoveredState Recovered() {
  LogBuilder log;
  LogVerifier verifier(EmptyLogEnd(kCluster));
  for (const RecordBatch& batch :
       {log.Append(Epoch(1), 2), log.Append(Epoch(2), 1), log.Append(Epoch(2), 5)}) {
    EXPECT_TRUE(verifier.AddBatch(batch.base_offset, batch).ok());
  }
  return *std::move(verifier).Finish(InEpoch(Epoch(2)), {});
}

GuardState GuardOf(const RecoveredState& recovered) {
  GuardState guard = NewGuard(kCluster, Replica(1));
  SetVote(recovered.quorum_state, guard);
  SetLogEnd(EndOf(recovered), guard);
  return guard;
}

TEST(ReconcileTest, AWholeLogIsAccepted) {
  RecoveredState recovered = Recovered();
  for (const size_t known : {0, 1, 2}) {  // the bound follows late
    GuardState guard = GuardOf(recovered);
    SetLogEnd(recovered.batch_ends[known], guard);
    Reconcile(recovered, guard);
    EXPECT_EQ(recovered.quarantine.has_value(), false) << known;
  }
}

TEST(ReconcileTest, AShorterLogIsQuarantinedAndStaysSo) {
  RecoveredState recovered = Recovered();
  GuardState guard = GuardOf(recovered);
  recovered.batch_ends.pop_back();
  Reconcile(recovered, guard);
  ASSERT_TRUE(recovered.quarantine.has_value());
  EXPECT_EQ(recovered.quarantine->reason, "the log ends at offset 3, but it had reached 8");
  RecoveredState again = Recovered();
  again.batch_ends.pop_back();
  Reconcile(again, guard);
  ASSERT_TRUE(again.quarantine.has_value());
  EXPECT_EQ(again.quarantine->reason, recovered.quarantine->reason);
}

TEST(ReconcileTest, AnotherLogIsQuarantined) {
  RecoveredState recovered = Recovered();
  GuardState guard = GuardOf(recovered);
  guard.chain_hash ^= 1;
  Reconcile(recovered, guard);
  EXPECT_TRUE(recovered.quarantine.has_value());
  GuardState between = GuardOf(recovered);
  between.log_end = Offset(4);  // inside of a batch
  RecoveredState same = Recovered();
  Reconcile(same, between);
  EXPECT_TRUE(same.quarantine.has_value());
}

TEST(ReconcileTest, AForgottenVoteComesBackAndIsQuarantined) {
  RecoveredState recovered = Recovered();
  GuardState guard = GuardOf(recovered);
  guard.voted_key = Replica(3);
  Reconcile(recovered, guard);
  ASSERT_TRUE(recovered.quarantine.has_value());
  EXPECT_EQ(recovered.quorum_state.voted_key, Replica(3));
  RecoveredState older = Recovered();
  guard = GuardOf(older);
  guard.epoch = Epoch(9);
  Reconcile(older, guard);
  EXPECT_TRUE(older.quarantine.has_value());
  EXPECT_EQ(older.quorum_state.epoch, Epoch(9));
}

// The guard is written after the database: a crash between the two is none of its business.
TEST(ReconcileTest, ANewerVoteOfTheDatabaseIsTaken) {
  RecoveredState recovered = Recovered();
  GuardState guard = GuardOf(recovered);
  recovered.quorum_state.epoch = Epoch(3);
  recovered.quorum_state.voted_key = Replica(2);
  Reconcile(recovered, guard);
  EXPECT_FALSE(recovered.quarantine.has_value());
  EXPECT_EQ(guard.epoch, Epoch(3));
  EXPECT_EQ(guard.voted_key, Replica(2));
}

TEST(ReconcileTest, ALostSnapshotIsQuarantinedUnlessANewerOneIsThere) {
  RecoveredState recovered = Recovered();
  GuardState guard = GuardOf(recovered);
  guard.latest_snapshot = SnapshotId{.offset = Offset(3), .epoch = Epoch(2)};
  recovered.snapshots = {testing::SnapshotAt(8, 2)};
  Reconcile(recovered, guard);
  EXPECT_FALSE(recovered.quarantine.has_value());
  recovered.snapshots = {testing::SnapshotAt(2, 1)};
  Reconcile(recovered, guard);
  EXPECT_TRUE(recovered.quarantine.has_value());
}

}  // namespace
}  // namespace kvorum
