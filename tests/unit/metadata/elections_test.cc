// Who leads, who is in sync and who is eligible when brokers come and go: consensus.md §6.6,
// KIP-966, KIP-841.

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/metadata/metadata_world.h"

namespace kvorum {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class ElectionsTest : public testing::Test {
 protected:
  // Three replicas; `min_isr` of them are wanted in sync.
  void Start(int32_t min_isr) {
    world_.AddBrokers({1, 2, 3, 4});
    world_.AddTopic("t", {{1, 2, 3}}, min_isr);
  }
  Partition Now() const { return world_.partition("t", 0); }
  v1::ElectLeadersResponse::Result Elect(v1::ElectionType type) {
    v1::ElectLeadersRequest request;
    request.set_election_type(type);
    request.add_topics()->mutable_topic()->set_name("t");
    request.mutable_topics(0)->add_partition_indexes(0);
    const auto response = world_.Run(request);
    EXPECT_TRUE(response.ok()) << response.status();
    return response->results(0);
  }

  World world_;
};

TEST_F(ElectionsTest, EnoughInSyncReplicasMakeNobodyElseEligible) {
  Start(2);
  world_.Fence(3);
  EXPECT_THAT(Ids(Now().isr), ElementsAre(1, 2));
  EXPECT_THAT(Ids(Now().elr), IsEmpty());
}

TEST_F(ElectionsTest, TooFewInSyncReplicasMakeThoseThatLeaveEligible) {
  Start(2);
  world_.Fence(3);
  world_.Fence(2);
  EXPECT_THAT(Ids(Now().isr), ElementsAre(1));
  EXPECT_THAT(Ids(Now().elr), ElementsAre(2)) << "3 left while enough were in sync";
}

TEST_F(ElectionsTest, TheMinimumIsNeverMoreThanTheReplicas) {
  world_.AddBrokers({1, 2});
  world_.AddTopic("t", {{1, 2}}, 3);
  EXPECT_EQ(world_.topic("t").count(PartitionTrait::kAtMinIsr), 1);
  world_.Fence(2);
  EXPECT_THAT(Ids(Now().elr), ElementsAre(2));
  world_.Unfence(2);
  world_.ReportIsr("t", 0, {1, 2});
  EXPECT_THAT(Ids(Now().elr), IsEmpty());
}

TEST_F(ElectionsTest, WhoJoinsTheInSyncReplicasIsNoLongerMerelyEligible) {
  Start(3);
  world_.Fence(2);
  world_.Fence(3);
  EXPECT_THAT(Ids(Now().elr), ElementsAre(2, 3));
  world_.Unfence(3);
  world_.ReportIsr("t", 0, {1, 3});
  EXPECT_THAT(Ids(Now().isr), ElementsAre(1, 3));
  EXPECT_THAT(Ids(Now().elr), ElementsAre(2));
}

TEST_F(ElectionsTest, TheLastInSyncReplicaStaysEligibleAndIsKnownToHaveLed) {
  Start(1);
  for (const int32_t id : {1, 2, 3}) {
    world_.Fence(id);
  }
  EXPECT_THAT(Ids(Now().isr), IsEmpty());
  EXPECT_THAT(Ids(Now().elr), ElementsAre(3));
  EXPECT_EQ(Now().leader, kNoLeader);
  EXPECT_EQ(Now().last_known_leader, BrokerId{3});
  EXPECT_EQ(Now().leader_epoch, 3);
  EXPECT_EQ(world_.topic("t").count(PartitionTrait::kLeaderless), 1);
}

TEST_F(ElectionsTest, OnlyAnEligibleReplicaLeadsAgainAndDoesSoCleanly) {
  Start(1);
  for (const int32_t id : {1, 2, 3}) {
    world_.Fence(id);
  }
  world_.Unfence(1);
  EXPECT_EQ(Now().leader, kNoLeader) << "an unclean election would lose data";
  world_.Unfence(3);
  EXPECT_EQ(Now().leader, BrokerId{3});
  EXPECT_THAT(Ids(Now().isr), ElementsAre(3));
  EXPECT_THAT(Ids(Now().elr), IsEmpty());
  EXPECT_EQ(Now().last_known_leader, kNoLeader);
  EXPECT_EQ(Now().leader_recovery_state, v1::LEADER_RECOVERY_STATE_RECOVERED);
  EXPECT_EQ(Now().leader_epoch, 4);
  EXPECT_EQ(world_.topic("t").count(PartitionTrait::kLeaderless), 0);
}

TEST_F(ElectionsTest, ALeaderFromTheEligibleLeavesTheOthersEligible) {
  Start(2);
  for (const int32_t id : {3, 2, 1}) {
    world_.Fence(id);
  }
  EXPECT_THAT(Ids(Now().elr), ElementsAre(1, 2));
  world_.Unfence(2);
  EXPECT_EQ(Now().leader, BrokerId{2});
  EXPECT_THAT(Ids(Now().isr), ElementsAre(2));
  EXPECT_THAT(Ids(Now().elr), ElementsAre(1));
}

TEST_F(ElectionsTest, AnUncleanShutdownTakesEligibilityAway) {
  Start(2);
  for (const int32_t id : {3, 2, 1}) {
    world_.Fence(id);
  }
  world_.Restart(2, /*is_clean=*/false);
  EXPECT_THAT(Ids(Now().elr), ElementsAre(1));
  world_.Unfence(2);
  EXPECT_EQ(Now().leader, kNoLeader);
  world_.Restart(1, /*is_clean=*/true);
  EXPECT_THAT(Ids(Now().elr), ElementsAre(1)) << "it has everything it acknowledged";
  world_.Unfence(1);
  EXPECT_EQ(Now().leader, BrokerId{1});
}

TEST_F(ElectionsTest, AnUncleanShutdownTakesABrokerOutOfTheInSyncReplicasToo) {
  Start(2);
  world_.Restart(1, /*is_clean=*/false);
  EXPECT_THAT(Ids(Now().isr), ElementsAre(2, 3));
  world_.Restart(2, /*is_clean=*/false);
  EXPECT_THAT(Ids(Now().isr), ElementsAre(3));
  EXPECT_THAT(Ids(Now().elr), IsEmpty());
}

TEST_F(ElectionsTest, WithNobodyEligibleTheLastKnownLeaderLeadsAndMustRecover) {
  Start(1);
  for (const int32_t id : {1, 2, 3}) {
    world_.Fence(id);
  }
  world_.Restart(3, /*is_clean=*/false);
  EXPECT_THAT(Ids(Now().elr), IsEmpty());
  EXPECT_EQ(Now().last_known_leader, BrokerId{3});
  world_.Unfence(1);
  EXPECT_EQ(Now().leader, kNoLeader);
  world_.Unfence(3);
  EXPECT_EQ(Now().leader, BrokerId{3});
  EXPECT_THAT(Ids(Now().isr), ElementsAre(3));
  EXPECT_EQ(Now().leader_recovery_state, v1::LEADER_RECOVERY_STATE_RECOVERING);
  EXPECT_EQ(Now().last_known_leader, kNoLeader);
  // Until it says that it has recovered, nobody joins it.
  EXPECT_THAT(world_.ReportIsr("t", 0, {3}).status(), ItemIsOk());
  EXPECT_EQ(Now().leader_recovery_state, v1::LEADER_RECOVERY_STATE_RECOVERED);
}

TEST_F(ElectionsTest, WhileSomebodyIsEligibleTheLastKnownLeaderDoesNotCount) {
  Start(2);
  for (const int32_t id : {3, 2, 1}) {
    world_.Fence(id);
  }
  ASSERT_THAT(Ids(Now().elr), ElementsAre(1, 2));
  world_.Restart(1, /*is_clean=*/false);
  ASSERT_THAT(Ids(Now().elr), ElementsAre(2));
  ASSERT_EQ(Now().last_known_leader, BrokerId{1});
  world_.Unfence(1);
  EXPECT_EQ(Now().leader, kNoLeader) << "2 has everything acknowledged";
  world_.Unfence(2);
  EXPECT_EQ(Now().leader, BrokerId{2});
  EXPECT_EQ(Now().leader_recovery_state, v1::LEADER_RECOVERY_STATE_RECOVERED);
}

TEST_F(ElectionsTest, PreferredGivesTheFirstReplicaItsLeadershipBack) {
  Start(1);
  EXPECT_THAT(Elect(v1::ELECTION_TYPE_PREFERRED).status(),
              ItemHasReason(ErrorReason::kElectionNotNeeded));
  world_.Fence(1);
  EXPECT_THAT(Elect(v1::ELECTION_TYPE_PREFERRED).status(),
              ItemHasReason(ErrorReason::kPreferredLeaderNotAvailable));
  world_.Unfence(1);
  EXPECT_THAT(Elect(v1::ELECTION_TYPE_PREFERRED).status(),
              ItemHasReason(ErrorReason::kPreferredLeaderNotAvailable))
      << "it is not in sync";
  world_.ReportIsr("t", 0, {1, 2, 3});
  EXPECT_EQ(Now().leader, BrokerId{2});
  const auto result = Elect(v1::ELECTION_TYPE_PREFERRED);
  EXPECT_THAT(result.status(), ItemIsOk());
  EXPECT_EQ(result.partition().leader(), 1);
  EXPECT_EQ(Now().leader, BrokerId{1});
  EXPECT_EQ(Now().leader_epoch, 2);
}

TEST_F(ElectionsTest, UncleanTakesAnyActiveReplicaWhereNobodyLeads) {
  Start(1);
  EXPECT_THAT(Elect(v1::ELECTION_TYPE_UNCLEAN).status(),
              ItemHasReason(ErrorReason::kElectionNotNeeded));
  for (const int32_t id : {1, 2, 3}) {
    world_.Fence(id);
  }
  EXPECT_THAT(Elect(v1::ELECTION_TYPE_UNCLEAN).status(),
              ItemHasReason(ErrorReason::kEligibleLeadersNotAvailable));
  world_.Unfence(2);
  ASSERT_EQ(Now().leader, kNoLeader);
  EXPECT_THAT(Elect(v1::ELECTION_TYPE_UNCLEAN).status(), ItemIsOk());
  EXPECT_EQ(Now().leader, BrokerId{2});
  EXPECT_THAT(Ids(Now().isr), ElementsAre(2));
  EXPECT_THAT(Ids(Now().elr), IsEmpty());
  EXPECT_EQ(Now().leader_recovery_state, v1::LEADER_RECOVERY_STATE_RECOVERING);
}

TEST_F(ElectionsTest, ElectionsNameWhatTheyCannotFind) {
  Start(1);
  v1::ElectLeadersRequest request;
  request.add_topics()->mutable_topic()->set_name("t");
  EXPECT_THAT(world_.Run(request), HasReason(ErrorReason::kInvalidRequest)) << "no type";
  request.set_election_type(v1::ELECTION_TYPE_PREFERRED);
  request.mutable_topics(0)->add_partition_indexes(0);
  request.mutable_topics(0)->add_partition_indexes(0);
  request.mutable_topics(0)->add_partition_indexes(7);
  request.add_topics()->mutable_topic()->set_name("nope");
  const auto response = world_.Run(request);
  ASSERT_EQ(response->results_size(), 4);
  EXPECT_THAT(response->results(1).status(), ItemHasReason(ErrorReason::kInvalidRequest));
  EXPECT_THAT(response->results(2).status(), ItemHasReason(ErrorReason::kUnknownTopicOrPartition));
  EXPECT_THAT(response->results(3).status(), ItemHasReason(ErrorReason::kUnknownTopicOrPartition));
  EXPECT_EQ(response->results(3).partition_index(), -1);
  request.clear_topics();
  EXPECT_THAT(world_.Run(request), HasReason(ErrorReason::kInvalidRequest)) << "no topics";
}

TEST_F(ElectionsTest, ATopicNamedAsAWholeMeansThoseThatNeedIt) {
  world_.AddBrokers({1, 2});
  world_.AddTopic("t", {{1, 2}, {2, 1}, {1, 2}});
  world_.Fence(1);
  world_.Unfence(1);
  for (const int32_t index : {0, 1, 2}) {
    world_.ReportIsr("t", index, {1, 2});
  }
  v1::ElectLeadersRequest request;
  request.set_election_type(v1::ELECTION_TYPE_PREFERRED);
  request.add_topics()->mutable_topic()->set_name("t");
  const auto response = world_.Run(request);
  ASSERT_EQ(response->results_size(), 2);
  EXPECT_EQ(response->results(0).partition_index(), 0);
  EXPECT_EQ(response->results(1).partition_index(), 2);
  EXPECT_EQ(world_.topic("t").count(PartitionTrait::kNotPreferredLeader), 0);
}

TEST_F(ElectionsTest, ElectionsOverTheLimitAreAPolicyViolation) {
  world_.AddBrokers({1});
  v1::CreateTopicsRequest create;
  create.add_topics()->set_name("a");
  create.mutable_topics(0)->set_partition_count(6'000);
  ASSERT_TRUE(world_.Run(create).ok());
  create.mutable_topics(0)->set_name("b");
  ASSERT_TRUE(world_.Run(create).ok());
  v1::ElectLeadersRequest request;
  request.set_election_type(v1::ELECTION_TYPE_PREFERRED);
  request.add_topics()->mutable_topic()->set_name("a");
  EXPECT_TRUE(world_.Run(request).ok());
  request.add_topics()->mutable_topic()->set_name("b");
  EXPECT_THAT(world_.Run(request), HasReason(ErrorReason::kPolicyViolation));
}

TEST_F(ElectionsTest, BalancingGivesPreferredLeadersBackInBoundedSteps) {
  world_.AddBrokers({1, 2, 3});
  world_.AddTopic("t", {{1, 2}, {1, 3}, {1, 2}, {2, 1}});
  world_.AddTopic("u", {{1, 3}});
  world_.Fence(1);
  EXPECT_TRUE(BalanceLeaders(world_.image(), {}, 10).records.empty()) << "1 is away";
  world_.Unfence(1);
  EXPECT_TRUE(BalanceLeaders(world_.image(), {}, 10).records.empty()) << "1 is not in sync";
  world_.ReportIsr("t", 0, {1, 2});
  world_.ReportIsr("t", 1, {1, 3});
  world_.ReportIsr("t", 2, {1, 2});
  world_.ReportIsr("u", 0, {1, 3});
  SweepStep step = BalanceLeaders(world_.image(), {}, 3);
  EXPECT_EQ(step.records.size(), 3u);
  EXPECT_FALSE(step.is_done);
  world_.Apply(step.records);
  step = BalanceLeaders(world_.image(), step.next, 3);
  EXPECT_EQ(step.records.size(), 1u);
  EXPECT_TRUE(step.is_done);
  world_.Apply(step.records);
  EXPECT_EQ(world_.topic("t").count(PartitionTrait::kNotPreferredLeader), 0);
  EXPECT_EQ(world_.topic("u").count(PartitionTrait::kNotPreferredLeader), 0);
}

}  // namespace
}  // namespace kvorum
