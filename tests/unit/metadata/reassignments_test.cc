// Moves of replicas: consensus.md §6.6 "Reassignment", KIP-455, KIP-860.

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/requests.h"
#include "tests/unit/metadata/metadata_world.h"

namespace kvorum {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class ReassignmentsTest : public testing::Test {
 protected:
  void SetUp() override {
    world_.AddBrokers({1, 2, 3, 4, 5, 6});
    world_.AddTopic("t", {{1, 2, 3}});
  }

  static v1::AlterPartitionReassignmentsRequest Move(const std::vector<int32_t>& target) {
    v1::AlterPartitionReassignmentsRequest request;
    v1::AlterPartitionReassignmentsRequest::Item& item = *request.add_partitions();
    item.mutable_topic()->set_name("t");
    item.mutable_replicas()->Assign(target.begin(), target.end());
    return request;
  }
  static v1::AlterPartitionReassignmentsRequest Cancel() {
    v1::AlterPartitionReassignmentsRequest request = Move({});
    request.mutable_partitions(0)->set_cancel(true);
    return request;
  }
  v1::ItemStatus StatusOf(const v1::AlterPartitionReassignmentsRequest& request) {
    const auto response = world_.Run(request);
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? response->results(0).status() : v1::ItemStatus();
  }
  Partition Now() const { return world_.partition("t", 0); }
  int Reassigning() const { return world_.topic("t").count(PartitionTrait::kReassigning); }

  World world_;
};

TEST_F(ReassignmentsTest, AMoveKeepsTheOldReplicasUntilItIsDone) {
  EXPECT_THAT(StatusOf(Move({4, 2, 5})), ItemIsOk());
  EXPECT_THAT(Ids(Now().replicas), ElementsAre(4, 2, 5, 1, 3));
  EXPECT_THAT(Ids(Now().adding), ElementsAre(4, 5));
  EXPECT_THAT(Ids(Now().removing), ElementsAre(1, 3));
  EXPECT_THAT(Ids(Now().isr), ElementsAre(2, 1, 3)) << "in the order of the replicas";
  EXPECT_EQ(Now().leader, BrokerId{1});
  EXPECT_EQ(Now().leader_epoch, 0) << "nothing was dropped, nobody elected";
  EXPECT_EQ(Now().partition_epoch, 1);
  EXPECT_EQ(Reassigning(), 1);
  EXPECT_EQ(world_.topic("t").replication_factor(), 3);
}

TEST_F(ReassignmentsTest, ItIsDoneWhenAllThatIsAddedIsInSyncAndTheNewLeaderIsTold) {
  ASSERT_THAT(StatusOf(Move({4, 2, 5})), ItemIsOk());
  EXPECT_THAT(world_.ReportIsr("t", 0, {1, 2, 3, 4}).status(), ItemIsOk());
  EXPECT_EQ(Reassigning(), 1) << "5 is missing";
  const auto result = world_.ReportIsr("t", 0, {1, 2, 3, 4, 5});
  EXPECT_THAT(result.status(), ItemHasReason(ErrorReason::kNewLeaderElected));
  EXPECT_THAT(Ids(Now().replicas), ElementsAre(4, 2, 5));
  EXPECT_THAT(Ids(Now().isr), ElementsAre(4, 2, 5));
  EXPECT_THAT(Ids(Now().adding), IsEmpty());
  EXPECT_THAT(Ids(Now().removing), IsEmpty());
  EXPECT_EQ(Now().leader, BrokerId{4});
  EXPECT_EQ(Now().leader_epoch, 1);
  EXPECT_EQ(Reassigning(), 0);
  EXPECT_EQ(world_.image().topics().LoadOf(BrokerId{1}), BrokerLoad());
}

TEST_F(ReassignmentsTest, ADroppedFollowerRaisesTheLeaderEpochAndTheLeaderStays) {
  ASSERT_THAT(StatusOf(Move({1, 2, 4})), ItemIsOk());
  EXPECT_THAT(world_.ReportIsr("t", 0, {1, 2, 3, 4}).status(), ItemIsOk());
  EXPECT_THAT(Ids(Now().replicas), ElementsAre(1, 2, 4));
  EXPECT_EQ(Now().leader, BrokerId{1});
  EXPECT_EQ(Now().leader_epoch, 1);
}

TEST_F(ReassignmentsTest, ItIsNotDoneWhileOnlyWhatGoesIsInSync) {
  ASSERT_THAT(StatusOf(Move({4})), ItemIsOk());
  world_.ReportIsr("t", 0, {1, 2});
  EXPECT_EQ(Reassigning(), 1);
  EXPECT_THAT(world_.ReportIsr("t", 0, {1, 2, 4}).status(),
              ItemHasReason(ErrorReason::kNewLeaderElected));
  EXPECT_THAT(Ids(Now().replicas), ElementsAre(4));
}

TEST_F(ReassignmentsTest, FewerReplicasWaitForEveryoneThatStays) {
  world_.ReportIsr("t", 0, {1, 3});
  ASSERT_THAT(StatusOf(Move({1, 2})), ItemIsOk());
  EXPECT_EQ(Reassigning(), 1) << "2 stays and is not in sync";
  EXPECT_THAT(world_.ReportIsr("t", 0, {1, 2, 3}).status(), ItemIsOk());
  EXPECT_THAT(Ids(Now().replicas), ElementsAre(1, 2));
  EXPECT_EQ(Reassigning(), 0);
}

TEST_F(ReassignmentsTest, WhatNeedsNoCopyIsDoneAtOnce) {
  EXPECT_THAT(StatusOf(Move({2, 1})), ItemIsOk());
  EXPECT_THAT(Ids(Now().replicas), ElementsAre(2, 1));
  EXPECT_EQ(Reassigning(), 0);
  EXPECT_EQ(Now().leader, BrokerId{1}) << "who leads goes on";
  EXPECT_EQ(Now().leader_epoch, 1) << "3 was dropped";
  EXPECT_THAT(StatusOf(Move({1, 2})), ItemIsOk());
  EXPECT_EQ(Now().leader_epoch, 1) << "only the order changed";
  EXPECT_EQ(Now().partition_epoch, 2);
}

TEST_F(ReassignmentsTest, WhatIsRemovedComesBehindTheTargetByNumber) {
  world_.AddTopic("u", {{3, 1, 2}});
  v1::AlterPartitionReassignmentsRequest request = Move({4});
  request.mutable_partitions(0)->mutable_topic()->set_name("u");
  ASSERT_THAT(StatusOf(request), ItemIsOk());
  EXPECT_THAT(Ids(world_.partition("u", 0).replicas), ElementsAre(4, 1, 2, 3));
  EXPECT_THAT(Ids(world_.partition("u", 0).removing), ElementsAre(1, 2, 3));
}

TEST_F(ReassignmentsTest, NoEffectiveChangeWritesNothing) {
  const auto plan = world_.Plan(Move({1, 2, 3}));
  EXPECT_THAT(plan->response.results(0).status(), ItemIsOk());
  EXPECT_TRUE(plan->records.empty());
}

TEST_F(ReassignmentsTest, ASecondMoveStartsFromWhatWasBeforeTheFirst) {
  ASSERT_THAT(StatusOf(Move({1, 2, 4})), ItemIsOk());
  ASSERT_THAT(StatusOf(Move({1, 5, 6})), ItemIsOk());
  EXPECT_THAT(Ids(Now().replicas), ElementsAre(1, 5, 6, 2, 3)) << "4 is forgotten";
  EXPECT_THAT(Ids(Now().adding), ElementsAre(5, 6));
  EXPECT_THAT(Ids(Now().removing), ElementsAre(2, 3));
  EXPECT_EQ(Now().leader_epoch, 1) << "4 was dropped";
  ASSERT_THAT(StatusOf(Move({1, 2, 3})), ItemIsOk());
  EXPECT_THAT(Ids(Now().replicas), ElementsAre(1, 2, 3));
  EXPECT_EQ(Reassigning(), 0) << "as a cancellation";
}

TEST_F(ReassignmentsTest, CancellingGoesBackToTheOldReplicas) {
  ASSERT_THAT(StatusOf(Move({4, 5})), ItemIsOk());
  world_.ReportIsr("t", 0, {1, 2, 3, 4});
  EXPECT_THAT(StatusOf(Cancel()), ItemIsOk());
  EXPECT_THAT(Ids(Now().replicas), ElementsAre(1, 2, 3));
  EXPECT_THAT(Ids(Now().isr), ElementsAre(1, 2, 3));
  EXPECT_EQ(Reassigning(), 0);
  EXPECT_THAT(StatusOf(Cancel()), ItemHasReason(ErrorReason::kNoReassignmentInProgress));
}

TEST_F(ReassignmentsTest, CancellingThatWouldLoseDataIsRefused) {
  ASSERT_THAT(StatusOf(Move({4, 5})), ItemIsOk());
  world_.ReportIsr("t", 0, {1, 4});
  world_.Fence(1);
  ASSERT_THAT(Ids(Now().isr), ElementsAre(4));
  EXPECT_THAT(StatusOf(Cancel()), ItemHasReason(ErrorReason::kInvalidReplicaAssignment));
  EXPECT_THAT(StatusOf(Move({1, 5})), ItemHasReason(ErrorReason::kInvalidReplicaAssignment))
      << "4 alone has everything";
  EXPECT_EQ(Reassigning(), 1);
}

TEST_F(ReassignmentsTest, CancellingWhileNobodyLeadsKeepsWhoIsEligible) {
  ASSERT_THAT(StatusOf(Move({4, 5})), ItemIsOk());
  world_.ReportIsr("t", 0, {1});
  world_.Fence(1);
  ASSERT_THAT(Ids(Now().elr), ElementsAre(1));
  EXPECT_THAT(StatusOf(Cancel()), ItemIsOk());
  EXPECT_THAT(Ids(Now().replicas), ElementsAre(1, 2, 3));
  EXPECT_THAT(Ids(Now().elr), ElementsAre(1));
  EXPECT_EQ(Now().leader, kNoLeader);

  world_.Unfence(1);
  ASSERT_THAT(StatusOf(Move({4, 5})), ItemIsOk());
  world_.ReportIsr("t", 0, {1, 4});
  world_.Fence(1);
  world_.Fence(4);
  ASSERT_THAT(Ids(Now().elr), ElementsAre(4));
  EXPECT_THAT(StatusOf(Cancel()), ItemHasReason(ErrorReason::kInvalidReplicaAssignment))
      << "4 alone has everything";
  EXPECT_THAT(Ids(Now().elr), ElementsAre(4));
}

// consensus.md §6.6: only where the topic allows it.
TEST_F(ReassignmentsTest, CancellingMayLoseDataWhereUncleanElectionsAreAllowed) {
  const v1::AlterConfigsRequest allow =
      SetTopicConfig("t", "unclean.leader.election.enable", "true");
  ASSERT_TRUE(world_.Run(allow).ok());
  ASSERT_THAT(StatusOf(Move({4, 5})), ItemIsOk());
  world_.ReportIsr("t", 0, {1, 4});
  world_.Fence(1);
  ASSERT_THAT(Ids(Now().isr), ElementsAre(4));
  EXPECT_THAT(StatusOf(Cancel()), ItemIsOk());
  EXPECT_THAT(Ids(Now().replicas), ElementsAre(1, 2, 3));
  EXPECT_EQ(Now().leader_recovery_state, v1::LEADER_RECOVERY_STATE_RECOVERING);
  EXPECT_EQ(Now().leader, BrokerId{2});
}

// Nothing else would ever change the partition: who was added is in sync already.
TEST_F(ReassignmentsTest, AnElectionOfWhoIsAddedEndsIt) {
  ASSERT_THAT(StatusOf(Move({4, 2, 3})), ItemIsOk());
  world_.ReportIsr("t", 0, {1});
  world_.Fence(1);
  ASSERT_EQ(Now().leader, kNoLeader);
  v1::ElectLeadersRequest elect;
  elect.set_election_type(v1::ELECTION_TYPE_UNCLEAN);
  elect.add_topics()->mutable_topic()->set_name("t");
  const auto response = world_.Run(elect);
  ASSERT_TRUE(response.ok());
  EXPECT_THAT(response->results(0).status(), ItemIsOk());
  EXPECT_EQ(Now().leader, BrokerId{4});
  EXPECT_EQ(Reassigning(), 0);
  EXPECT_THAT(Ids(Now().replicas), ElementsAre(4, 2, 3));
  EXPECT_THAT(Ids(Now().isr), ElementsAre(4));
  EXPECT_THAT(Ids(Now().elr), IsEmpty());
}

TEST_F(ReassignmentsTest, TargetsAreChecked) {
  EXPECT_THAT(StatusOf(Move({})), ItemHasReason(ErrorReason::kInvalidReplicaAssignment));
  EXPECT_THAT(StatusOf(Move({1, 1})), ItemHasReason(ErrorReason::kInvalidReplicaAssignment));
  EXPECT_THAT(StatusOf(Move({1, 9})), ItemHasReason(ErrorReason::kInvalidReplicaAssignment));
  EXPECT_THAT(StatusOf(Move({-1})), ItemHasReason(ErrorReason::kInvalidReplicaAssignment));
  world_.Apply(DrainBroker(world_.image(), BrokerId{4}));
  EXPECT_THAT(StatusOf(Move({1, 4})), ItemHasReason(ErrorReason::kInvalidReplicaAssignment));
  world_.Fence(5);
  EXPECT_THAT(StatusOf(Move({1, 2, 5})), ItemIsOk()) << "it just does not finish";
  EXPECT_EQ(Reassigning(), 1);
}

TEST_F(ReassignmentsTest, TheReplicationFactorCanBeHeld) {
  v1::AlterPartitionReassignmentsRequest request = Move({1, 2});
  request.set_allow_replication_factor_change(false);
  EXPECT_THAT(StatusOf(request), ItemHasReason(ErrorReason::kInvalidReplicationFactor));
  ASSERT_THAT(StatusOf(Move({1, 4, 5, 6})), ItemIsOk());
  request = Move({1, 2, 4, 5});
  request.set_allow_replication_factor_change(false);
  EXPECT_THAT(StatusOf(request), ItemHasReason(ErrorReason::kInvalidReplicationFactor))
      << "that before any move counts";
  request = Move({1, 2, 6});
  request.set_allow_replication_factor_change(false);
  EXPECT_THAT(StatusOf(request), ItemIsOk());
}

TEST_F(ReassignmentsTest, ReplicasOnTheMoveAreLimited) {
  std::vector<int32_t> many;
  for (int32_t id = 100; id < 164; ++id) {
    world_.AddBrokers({id});
    many.push_back(id);
  }
  EXPECT_THAT(StatusOf(Move(many)), ItemHasReason(ErrorReason::kInvalidReplicaAssignment));
  many.resize(61);
  EXPECT_THAT(StatusOf(Move(many)), ItemIsOk());
  EXPECT_EQ(Now().replicas.size(), kMaxReplicas);
}

TEST_F(ReassignmentsTest, RequestsAreChecked) {
  v1::AlterPartitionReassignmentsRequest request;
  EXPECT_THAT(world_.Run(request), HasReason(ErrorReason::kInvalidRequest));
  request = Move({1, 2});
  *request.add_partitions() = request.partitions(0);
  request.add_partitions()->mutable_topic()->set_name("nope");
  const auto response = world_.Run(request);
  EXPECT_THAT(response->results(0).status(), ItemIsOk());
  EXPECT_THAT(response->results(1).status(), ItemHasReason(ErrorReason::kInvalidRequest));
  EXPECT_THAT(response->results(2).status(), ItemHasReason(ErrorReason::kUnknownTopicOrPartition));
  request = Cancel();
  request.mutable_partitions(0)->add_replicas(1);
  EXPECT_THAT(StatusOf(request), ItemHasReason(ErrorReason::kInvalidRequest));
}

TEST_F(ReassignmentsTest, ListingShowsWhatIsUnderWayAndHowFar) {
  world_.AddTopic("u", {{1, 2}, {2, 3}});
  EXPECT_EQ(world_.Read(v1::ListPartitionReassignmentsRequest())->reassignments_size(), 0);
  ASSERT_THAT(StatusOf(Move({4, 5, 6})), ItemIsOk());
  world_.ReportIsr("t", 0, {1, 2, 3, 5});
  auto listed = world_.Read(v1::ListPartitionReassignmentsRequest());
  ASSERT_EQ(listed->reassignments_size(), 1);
  EXPECT_EQ(listed->reassignments(0).topic_name(), "t");
  EXPECT_THAT(listed->reassignments(0).partition().adding_replicas(), ElementsAre(4, 5, 6));
  EXPECT_THAT(listed->reassignments(0).partition().removing_replicas(), ElementsAre(1, 2, 3));
  EXPECT_EQ(listed->reassignments(0).caught_up_count(), 1);
  v1::ListPartitionReassignmentsRequest of_u;
  of_u.mutable_topic()->set_name("u");
  EXPECT_EQ(world_.Read(of_u)->reassignments_size(), 0);
  of_u.mutable_topic()->set_name("nope");
  EXPECT_THAT(world_.Read(of_u), HasReason(ErrorReason::kUnknownTopicOrPartition));
}

}  // namespace
}  // namespace kvorum
