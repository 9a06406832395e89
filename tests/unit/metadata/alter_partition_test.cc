// A leader changes its in-sync replicas (KIP-497, KIP-704, KIP-841): one test per step of the
// validation, in order, and the rules of partition changes.

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/metadata/metadata_world.h"

namespace kvorum {
namespace {

using testing::ElementsAre;

class AlterPartitionTest : public testing::Test {
 protected:
  void SetUp() override {
    world_.AddBrokers({1, 2, 3, 4});
    world_.AddTopic("t", {{1, 2, 3}});
  }

  int64_t EpochOf(int32_t broker) const {
    return world_.image().brokers().Find(BrokerId{broker})->epoch.value();
  }

  // The request that broker 1, the leader, would send now.
  v1::AlterPartitionRequest Alter(const std::vector<int32_t>& new_isr) const {
    v1::AlterPartitionRequest request;
    request.set_broker_id(1);
    request.set_broker_epoch(EpochOf(1));
    v1::AlterPartitionRequest::Item& item = *request.add_partitions();
    item.set_topic_id(world_.topic("t").id.ToString());
    item.set_leader_epoch(world_.partition("t", 0).leader_epoch);
    item.set_partition_epoch(world_.partition("t", 0).partition_epoch);
    for (const int32_t id : new_isr) {
      v1::IsrMember& member = *item.add_new_isr();
      member.set_broker_id(id);
      member.set_broker_epoch(-1);
    }
    return request;
  }

  v1::ItemStatus StatusOf(const v1::AlterPartitionRequest& request) {
    const auto response = world_.Run(request);
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? response->results(0).status() : v1::ItemStatus();
  }

  v1::AlterPartitionRequest::Item& ItemOf(v1::AlterPartitionRequest& request) {
    return *request.mutable_partitions(0);
  }

  World world_;
};

TEST_F(AlterPartitionTest, ShrinksAndExpandsWithoutANewLeaderEpoch) {
  auto response = world_.Run(Alter({1, 2}));
  EXPECT_THAT(response->results(0).status(), ItemIsOk());
  EXPECT_EQ(response->results(0).partition().partition_epoch(), 1);
  EXPECT_EQ(response->results(0).partition().leader_epoch(), 0);
  EXPECT_THAT(response->results(0).partition().isr(), ElementsAre(1, 2));
  EXPECT_THAT(Ids(world_.partition("t", 0).isr), ElementsAre(1, 2));

  response = world_.Run(Alter({3, 2, 1}));
  EXPECT_THAT(response->results(0).partition().isr(), ElementsAre(1, 2, 3))
      << "in the order of the replicas";
  EXPECT_EQ(world_.partition("t", 0).partition_epoch, 2);
}

TEST_F(AlterPartitionTest, WhatChangesNothingWritesNothing) {
  const auto plan = world_.Plan(Alter({1, 2, 3}));
  EXPECT_TRUE(plan->records.empty());
  EXPECT_THAT(plan->response.results(0).status(), ItemIsOk());
  EXPECT_EQ(plan->response.results(0).partition().partition_epoch(), 0);
}

TEST_F(AlterPartitionTest, Step1AWrongBrokerEpochRefusesTheWholeRequest) {
  v1::AlterPartitionRequest request = Alter({1});
  request.set_broker_epoch(EpochOf(1) - 1);
  EXPECT_THAT(world_.Run(request), HasReason(ErrorReason::kStaleBrokerEpoch));
  request.set_broker_id(9);
  EXPECT_THAT(world_.Run(request), HasReason(ErrorReason::kBrokerIdNotRegistered));
}

TEST_F(AlterPartitionTest, Step2UnknownTopicId) {
  v1::AlterPartitionRequest request = Alter({1});
  ItemOf(request).set_topic_id("0123abcd-0123-4567-89ab-0123456789ab");
  EXPECT_THAT(StatusOf(request), ItemHasReason(ErrorReason::kUnknownTopicId));
  ItemOf(request).set_topic_id("t");
  EXPECT_THAT(StatusOf(request), ItemHasReason(ErrorReason::kInvalidRequest));
}

TEST_F(AlterPartitionTest, Step3UnknownPartition) {
  v1::AlterPartitionRequest request = Alter({1});
  for (const int32_t index : {1, -1}) {
    ItemOf(request).set_partition_index(index);
    EXPECT_THAT(StatusOf(request), ItemHasReason(ErrorReason::kUnknownTopicOrPartition));
  }
}

TEST_F(AlterPartitionTest, Steps4And5ALaterEpochMeansThisControllerIsStale) {
  v1::AlterPartitionRequest request = Alter({1});
  ItemOf(request).set_leader_epoch(1);
  EXPECT_THAT(StatusOf(request), ItemHasReason(ErrorReason::kNotController));
  request = Alter({1});
  ItemOf(request).set_partition_epoch(1);
  ItemOf(request).set_leader_epoch(-1);  // step 5 comes before step 6
  EXPECT_THAT(StatusOf(request), ItemHasReason(ErrorReason::kNotController));
}

TEST_F(AlterPartitionTest, Step6AnEarlierLeaderEpochIsFenced) {
  v1::AlterPartitionRequest request = Alter({1});
  ItemOf(request).set_leader_epoch(-1);
  request.set_broker_id(2);  // step 6 comes before step 7
  request.set_broker_epoch(EpochOf(2));
  EXPECT_THAT(StatusOf(request), ItemHasReason(ErrorReason::kFencedLeaderEpoch));
}

TEST_F(AlterPartitionTest, Step7OnlyTheLeaderMayAsk) {
  v1::AlterPartitionRequest request = Alter({1, 2});
  request.set_broker_id(2);
  request.set_broker_epoch(EpochOf(2));
  ItemOf(request).set_partition_epoch(-1);  // step 7 comes before step 8
  EXPECT_THAT(StatusOf(request), ItemHasReason(ErrorReason::kInvalidRequest));
}

TEST_F(AlterPartitionTest, Step8AnEarlierPartitionEpochIsRefused) {
  v1::AlterPartitionRequest request = Alter({1, 1});  // step 8 comes before step 9
  ItemOf(request).set_partition_epoch(-1);
  EXPECT_THAT(StatusOf(request), ItemHasReason(ErrorReason::kInvalidUpdateVersion));
}

TEST_F(AlterPartitionTest, Step9InSyncReplicasAreReplicasOnceEachAndTheLeaderIsOne) {
  EXPECT_THAT(StatusOf(Alter({1, 2, 2})), ItemHasReason(ErrorReason::kInvalidRequest));
  EXPECT_THAT(StatusOf(Alter({1, 4})), ItemHasReason(ErrorReason::kInvalidRequest));
  EXPECT_THAT(StatusOf(Alter({2, 3})), ItemHasReason(ErrorReason::kInvalidRequest));
  EXPECT_THAT(StatusOf(Alter({})), ItemHasReason(ErrorReason::kInvalidRequest));
}

TEST_F(AlterPartitionTest, Step10ARecoveringLeaderIsAloneAndARecoveredOneStaysSo) {
  v1::AlterPartitionRequest request = Alter({1, 2});
  ItemOf(request).set_leader_recovery_state(v1::LEADER_RECOVERY_STATE_RECOVERING);
  EXPECT_THAT(StatusOf(request), ItemHasReason(ErrorReason::kInvalidRequest));
  request = Alter({1});
  ItemOf(request).set_leader_recovery_state(v1::LEADER_RECOVERY_STATE_RECOVERING);
  EXPECT_THAT(StatusOf(request), ItemHasReason(ErrorReason::kInvalidRequest));
  ItemOf(request).set_leader_recovery_state(static_cast<v1::LeaderRecoveryState>(7));
  EXPECT_THAT(StatusOf(request), ItemHasReason(ErrorReason::kInvalidRequest));
}

// KIP-704.
TEST_F(AlterPartitionTest, Step10AnUncleanLeaderRecoversAloneAndSaysWhenItHas) {
  for (const int32_t id : {1, 3, 2}) {
    world_.Fence(id);
  }
  world_.Unfence(1);
  v1::ElectLeadersRequest elect;
  elect.set_election_type(v1::ELECTION_TYPE_UNCLEAN);
  elect.add_topics()->mutable_topic()->set_name("t");
  ASSERT_TRUE(world_.Run(elect).ok());
  ASSERT_EQ(world_.partition("t", 0).leader, BrokerId{1});
  ASSERT_EQ(world_.partition("t", 0).leader_recovery_state, v1::LEADER_RECOVERY_STATE_RECOVERING);
  world_.Unfence(3);
  v1::AlterPartitionRequest request = Alter({1, 3});
  ItemOf(request).set_leader_recovery_state(v1::LEADER_RECOVERY_STATE_RECOVERING);
  EXPECT_THAT(StatusOf(request), ItemHasReason(ErrorReason::kInvalidRequest));

  request = Alter({1});
  ItemOf(request).set_leader_recovery_state(v1::LEADER_RECOVERY_STATE_RECOVERING);
  const auto still = world_.Plan(request);
  EXPECT_TRUE(still->records.empty());
  EXPECT_THAT(still->response.results(0).status(), ItemIsOk());
  EXPECT_EQ(still->response.results(0).partition().leader_recovery_state(),
            v1::LEADER_RECOVERY_STATE_RECOVERING);

  const Partition before = world_.partition("t", 0);
  const auto response = world_.Run(Alter({1}));
  EXPECT_THAT(response->results(0).status(), ItemIsOk());
  const v1::PartitionInfo& after = response->results(0).partition();
  EXPECT_EQ(after.leader_recovery_state(), v1::LEADER_RECOVERY_STATE_RECOVERED);
  EXPECT_EQ(after.leader(), 1);
  EXPECT_EQ(after.leader_epoch(), before.leader_epoch);
  EXPECT_EQ(after.partition_epoch(), before.partition_epoch + 1);
  EXPECT_THAT(after.isr(), ElementsAre(1));
  EXPECT_EQ(world_.partition("t", 0).leader_recovery_state, v1::LEADER_RECOVERY_STATE_RECOVERED);
}

TEST_F(AlterPartitionTest, Steps9And10ComeBeforeStep11) {
  EXPECT_THAT(StatusOf(Alter({1, 9})), ItemHasReason(ErrorReason::kInvalidRequest))
      << "no replica, and not registered";
  world_.Fence(3);
  EXPECT_THAT(StatusOf(Alter({2, 3})), ItemHasReason(ErrorReason::kInvalidRequest))
      << "without the leader, and fenced";
  v1::AlterPartitionRequest request = Alter({1, 3});
  ItemOf(request).set_leader_recovery_state(v1::LEADER_RECOVERY_STATE_RECOVERING);
  EXPECT_THAT(StatusOf(request), ItemHasReason(ErrorReason::kInvalidRequest))
      << "recovering with two, and fenced";
}

TEST_F(AlterPartitionTest, Step11MembersAreRegisteredUnfencedAndOfTheirEpoch) {
  world_.Fence(3);
  EXPECT_THAT(StatusOf(Alter({1, 2, 3})), ItemHasReason(ErrorReason::kIneligibleReplica));
  world_.Unfence(3);
  world_.Apply(BeginControlledShutdown(world_.image(), BrokerId{3}));
  EXPECT_THAT(StatusOf(Alter({1, 2, 3})), ItemHasReason(ErrorReason::kIneligibleReplica));
  v1::UnregisterBrokerRequest unregister;
  unregister.set_broker_id(3);
  ASSERT_TRUE(world_.Run(unregister).ok());
  EXPECT_THAT(StatusOf(Alter({1, 2, 3})), ItemHasReason(ErrorReason::kIneligibleReplica));

  v1::AlterPartitionRequest request = Alter({1, 2});
  ItemOf(request).mutable_new_isr(1)->set_broker_epoch(EpochOf(2) + 1);
  EXPECT_THAT(StatusOf(request), ItemHasReason(ErrorReason::kIneligibleReplica));
  ItemOf(request).mutable_new_isr(1)->set_broker_epoch(EpochOf(2));
  EXPECT_THAT(StatusOf(request), ItemIsOk());
}

TEST_F(AlterPartitionTest, APartitionIsDecidedOnceEvenUnderTwoSpellingsOfItsTopic) {
  v1::AlterPartitionRequest request = Alter({1, 2});
  *request.add_partitions() = request.partitions(0);
  std::string& id = *request.mutable_partitions(1)->mutable_topic_id();
  std::transform(id.begin(), id.end(), id.begin(), [](unsigned char c) { return std::toupper(c); });
  const auto response = world_.Run(request);
  EXPECT_THAT(response->results(0).status(), ItemIsOk());
  EXPECT_THAT(response->results(1).status(), ItemHasReason(ErrorReason::kInvalidRequest));
}

TEST_F(AlterPartitionTest, NoPartitionsIsAnInvalidRequest) {
  v1::AlterPartitionRequest request = Alter({1});
  request.clear_partitions();
  EXPECT_THAT(world_.Run(request), HasReason(ErrorReason::kInvalidRequest));
}

// Partition changes, consensus rules of KIP-497 and the online election.

TEST_F(AlterPartitionTest, ANewLeaderRaisesBothEpochs) {
  world_.Fence(1);
  EXPECT_EQ(world_.partition("t", 0).leader, BrokerId{2});
  EXPECT_EQ(world_.partition("t", 0).leader_epoch, 1);
  EXPECT_EQ(world_.partition("t", 0).partition_epoch, 1);
}

TEST_F(AlterPartitionTest, LosingAFollowerRaisesThePartitionEpochOnly) {
  world_.Fence(3);
  EXPECT_EQ(world_.partition("t", 0).leader, BrokerId{1});
  EXPECT_EQ(world_.partition("t", 0).leader_epoch, 0);
  EXPECT_EQ(world_.partition("t", 0).partition_epoch, 1);
}

TEST_F(AlterPartitionTest, ElectionFollowsTheOrderOfTheReplicas) {
  world_.AddTopic("u", {{4, 3, 1, 2}});
  world_.Fence(4);
  EXPECT_EQ(world_.partition("u", 0).leader, BrokerId{3});
  world_.Unfence(4);
  EXPECT_EQ(world_.partition("u", 0).leader, BrokerId{3}) << "who leads goes on leading";
}

}  // namespace
}  // namespace kvorum
