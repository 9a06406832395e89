// Deletion, growth and reading of topics.

#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/metadata/metadata_world.h"

namespace kvorum {
namespace {

using testing::ElementsAre;

class TopicsTest : public testing::Test {
 protected:
  void SetUp() override {
    world_.AddBrokers({1, 2, 3});
    world_.AddTopic("t", {{1, 2}, {2, 3}});
  }

  v1::CreatePartitionsRequest Grow(const std::string& name, int32_t count) {
    v1::CreatePartitionsRequest request;
    v1::CreatePartitionsRequest::Item& item = *request.add_topics();
    item.set_name(name);
    item.set_new_partition_count(count);
    return request;
  }

  v1::ItemStatus GrowStatus(const v1::CreatePartitionsRequest& request) {
    const auto response = world_.Run(request);
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? response->results(0).status() : v1::ItemStatus();
  }

  World world_;
};

TEST_F(TopicsTest, DeleteByNameOrIdRemovesAllPartitions) {
  world_.AddTopic("u", {{1}});
  const std::string id = world_.topic("u").id.ToString();
  v1::DeleteTopicsRequest request;
  request.add_topics()->set_name("t");
  request.add_topics()->set_topic_id(id);
  const auto response = world_.Run(request);
  EXPECT_THAT(response->results(0).status(), ItemIsOk());
  EXPECT_THAT(response->results(1).status(), ItemIsOk());
  EXPECT_EQ(response->results(1).name(), "u");
  const TopicsImage& topics = world_.image().topics();
  EXPECT_TRUE(topics.by_id.empty());
  EXPECT_TRUE(topics.by_name.empty());
  EXPECT_TRUE(topics.hosted.empty());
  EXPECT_TRUE(topics.loads.empty());
  for (const auto& with : topics.with_trait) {
    EXPECT_TRUE(with.empty());
  }
  EXPECT_EQ(topics.partition_count, 0u);
  EXPECT_EQ(topics.state_hash, 0u);
}

TEST_F(TopicsTest, DeleteOfWhatIsNotThereIsRefusedByItem) {
  v1::DeleteTopicsRequest request;
  request.add_topics()->set_name("nope");
  request.add_topics()->set_topic_id("0123abcd-0123-4567-89ab-0123456789ab");
  request.add_topics()->set_topic_id("no uuid");
  request.add_topics();
  request.add_topics()->set_name("t");
  request.add_topics()->set_topic_id(world_.topic("t").id.ToString());
  const auto plan = world_.Plan(request);
  const auto& results = plan->response.results();
  EXPECT_THAT(results[0].status(), ItemHasReason(ErrorReason::kUnknownTopicOrPartition));
  EXPECT_THAT(results[1].status(), ItemHasReason(ErrorReason::kUnknownTopicId));
  EXPECT_THAT(results[2].status(), ItemHasReason(ErrorReason::kInvalidRequest));
  EXPECT_THAT(results[3].status(), ItemHasReason(ErrorReason::kInvalidRequest));
  EXPECT_THAT(results[4].status(), ItemIsOk());
  EXPECT_THAT(results[5].status(), ItemHasReason(ErrorReason::kInvalidRequest)) << "twice";
  EXPECT_EQ(plan->records.size(), 1u);
  request.set_all_or_nothing(true);
  EXPECT_TRUE(world_.Plan(request)->records.empty());
}

TEST_F(TopicsTest, GrowthKeepsTheReplicationFactorAndStartsAtEpochZero) {
  EXPECT_THAT(GrowStatus(Grow("t", 5)), ItemIsOk());
  EXPECT_EQ(world_.topic("t").partition_count(), 5);
  EXPECT_EQ(world_.partition("t", 4).replicas.size(), 2u);
  EXPECT_EQ(world_.partition("t", 4).leader_epoch, 0);
}

TEST_F(TopicsTest, NewPartitionsAreInSyncAsPlaced) {
  world_.Fence(3);
  ASSERT_THAT(GrowStatus(Grow("t", 5)), ItemIsOk());
  for (int32_t index = 2; index < 5; ++index) {
    const Partition partition = world_.partition("t", index);
    EXPECT_EQ(partition.partition_epoch, 0);
    EXPECT_EQ(partition.leader_epoch, 0);
    EXPECT_EQ(partition.isr, partition.replicas);
    EXPECT_EQ(partition.leader, partition.replicas.front());
  }
  v1::CreatePartitionsRequest by_hand = Grow("t", 6);
  by_hand.mutable_topics(0)->add_assignments()->set_partition_index(5);
  for (const int32_t id : {3, 1}) {
    by_hand.mutable_topics(0)->mutable_assignments(0)->add_replicas(id);
  }
  ASSERT_THAT(GrowStatus(by_hand), ItemIsOk());
  EXPECT_THAT(Ids(world_.partition("t", 5).isr), ElementsAre(1)) << "3 is fenced";
  EXPECT_EQ(world_.partition("t", 5).leader, BrokerId{1});
}

// KIP-195.
TEST_F(TopicsTest, GrowthTakesTheReplicationFactorOfPartitionZero) {
  const auto shrink = [this](int32_t index) {
    v1::AlterPartitionReassignmentsRequest move;
    v1::AlterPartitionReassignmentsRequest::Item& item = *move.add_partitions();
    item.mutable_topic()->set_name("t");
    item.set_partition_index(index);
    item.add_replicas(2);
    ASSERT_TRUE(world_.Run(move).ok());
    ASSERT_EQ(world_.partition("t", index).replicas.size(), 1u);
  };
  shrink(1);
  ASSERT_THAT(GrowStatus(Grow("t", 3)), ItemIsOk());
  EXPECT_EQ(world_.partition("t", 2).replicas.size(), 2u) << "1 counts for nothing";
  shrink(0);
  ASSERT_THAT(GrowStatus(Grow("t", 4)), ItemIsOk());
  EXPECT_EQ(world_.partition("t", 3).replicas.size(), 1u) << "2 and 3 count for nothing";
  v1::CreatePartitionsRequest by_hand = Grow("t", 5);
  v1::ReplicaAssignment& assignment = *by_hand.mutable_topics(0)->add_assignments();
  assignment.set_partition_index(4);
  assignment.add_replicas(3);
  assignment.add_replicas(1);
  EXPECT_THAT(GrowStatus(by_hand), ItemHasReason(ErrorReason::kInvalidReplicaAssignment));
  assignment.mutable_replicas()->RemoveLast();
  EXPECT_THAT(GrowStatus(by_hand), ItemIsOk());
}

// One by one, each broker leads before one leads twice, as if they had been made together.
TEST_F(TopicsTest, GrowthGoesOnWhereThePlacementLeftOff) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    for (const std::vector<std::string>& racks :
         {std::vector<std::string>{}, std::vector<std::string>{"a", "b"},
          std::vector<std::string>{"a", "b", "c"}}) {
      for (const int32_t replication_factor : {1, 3}) {
        world_ = World(seed);
        world_.AddBrokers({1, 2, 3, 4, 5, 6}, racks);
        v1::CreateTopicsRequest create;
        create.add_topics()->set_name("g");
        create.mutable_topics(0)->set_partition_count(1);
        create.mutable_topics(0)->set_replication_factor(replication_factor);
        ASSERT_TRUE(world_.Run(create).ok());
        std::set<BrokerId> leaders = {world_.partition("g", 0).leader};
        for (int32_t count = 2; count <= 6; ++count) {
          ASSERT_THAT(GrowStatus(Grow("g", count)), ItemIsOk());
          leaders.insert(world_.partition("g", count - 1).leader);
        }
        EXPECT_EQ(leaders.size(), 6u) << racks.size() << " racks, factor " << replication_factor;
      }
    }
  }
}

TEST_F(TopicsTest, PartitionsCanOnlyBeAdded) {
  for (const int32_t count : {2, 1, 0, -1, INT32_MIN}) {
    EXPECT_THAT(GrowStatus(Grow("t", count)), ItemHasReason(ErrorReason::kInvalidPartitions))
        << count;
  }
  EXPECT_THAT(GrowStatus(Grow("nope", 5)), ItemHasReason(ErrorReason::kUnknownTopicOrPartition));
}

TEST_F(TopicsTest, GrowthOverTheLimitIsAPolicyViolation) {
  EXPECT_THAT(world_.Run(Grow("t", 10'003)), HasReason(ErrorReason::kPolicyViolation));
  EXPECT_THAT(world_.Run(Grow("t", INT32_MAX)), HasReason(ErrorReason::kPolicyViolation));
}

TEST_F(TopicsTest, GrowthTakesAssignmentsOfTheNewPartitions) {
  v1::CreatePartitionsRequest request = Grow("t", 3);
  v1::ReplicaAssignment& assignment = *request.mutable_topics(0)->add_assignments();
  assignment.set_partition_index(2);
  assignment.add_replicas(3);
  EXPECT_THAT(GrowStatus(request), ItemHasReason(ErrorReason::kInvalidReplicaAssignment))
      << "another replication factor";
  assignment.add_replicas(1);
  assignment.set_partition_index(0);
  EXPECT_THAT(GrowStatus(request), ItemHasReason(ErrorReason::kInvalidReplicaAssignment))
      << "an old partition";
  assignment.set_partition_index(2);
  request.mutable_topics(0)->set_new_partition_count(4);
  EXPECT_THAT(GrowStatus(request), ItemHasReason(ErrorReason::kInvalidReplicaAssignment))
      << "one of two";
  request.mutable_topics(0)->set_new_partition_count(3);
  EXPECT_THAT(GrowStatus(request), ItemIsOk());
  EXPECT_THAT(Ids(world_.partition("t", 2).replicas), ElementsAre(3, 1));
}

TEST_F(TopicsTest, GrowthNeedsNobodyThatThePartitionsSoFarAreOn) {
  world_.AddBrokers({4}, {"gone"});
  world_.AddBrokers({5}, {"drained"});
  world_.AddTopic("g", {{4, 5}, {5, 4}});
  v1::UnregisterBrokerRequest unregister;
  unregister.set_broker_id(4);
  ASSERT_TRUE(world_.Run(unregister).ok());
  world_.Apply(DrainBroker(world_.image(), BrokerId{5}));
  ASSERT_THAT(GrowStatus(Grow("g", 8)), ItemIsOk());
  for (int32_t index = 2; index < 8; ++index) {
    for (const BrokerId id : world_.partition("g", index).replicas) {
      EXPECT_LE(id, BrokerId{3});
    }
  }
}

TEST_F(TopicsTest, ListGivesTopicsByNameWithCounts) {
  world_.AddTopic("a1", {{1}});
  world_.AddTopic("a2", {{2}});
  world_.Fence(1);
  v1::ListTopicsRequest request;
  request.set_name_prefix("a");
  request.mutable_page()->set_page_size(1);
  const auto first = world_.Read(request);
  ASSERT_EQ(first->topics_size(), 1);
  EXPECT_EQ(first->topics(0).name(), "a1");
  EXPECT_EQ(first->topics(0).leaderless_partition_count(), 1);
  request.mutable_page()->set_page_token(first->page().next_page_token());
  const auto second = world_.Read(request);
  ASSERT_EQ(second->topics_size(), 1);
  EXPECT_EQ(second->topics(0).name(), "a2");
  EXPECT_EQ(second->topics(0).leaderless_partition_count(), 0);
  EXPECT_EQ(second->page().next_page_token(), "");
}

TEST_F(TopicsTest, GetGivesPartitionsByIndexInPages) {
  v1::GetTopicRequest request;
  request.mutable_topic()->set_topic_id(world_.topic("t").id.ToString());
  request.mutable_page()->set_page_size(1);
  const auto first = world_.Read(request);
  EXPECT_EQ(first->topic().name(), "t");
  EXPECT_EQ(first->topic().partition_count(), 2);
  ASSERT_EQ(first->partitions_size(), 1);
  EXPECT_EQ(first->partitions(0).leader(), 1);
  EXPECT_THAT(first->partitions(0).replicas(), ElementsAre(1, 2));
  request.mutable_page()->set_page_token(first->page().next_page_token());
  const auto second = world_.Read(request);
  ASSERT_EQ(second->partitions_size(), 1);
  EXPECT_EQ(second->partitions(0).partition_index(), 1);
  EXPECT_EQ(second->page().next_page_token(), "");
  request.clear_topic();
  EXPECT_THAT(world_.Read(request), HasReason(ErrorReason::kInvalidRequest));
}

TEST_F(TopicsTest, TheIndexFindsThePartitionsOfABroker) {
  EXPECT_EQ(PartitionsInSyncOn(world_.image().topics(), BrokerId{2}).size(), 2u);
  EXPECT_EQ(PartitionsInSyncOn(world_.image().topics(), BrokerId{3}).size(), 1u);
  world_.Fence(2);
  EXPECT_EQ(PartitionsInSyncOn(world_.image().topics(), BrokerId{2}).size(), 0u);
}

TEST(TopicsDeltaDeathTest, RefusesRecordsThatCannotApply) {
  World world;
  world.AddBrokers({1, 2});
  world.AddTopic("t", {{1, 2}});
  const std::string id = world.topic("t").id.ToBytes();
  const auto exits = testing::ExitedWithCode(70);

  v1::MetadataRecord change;
  change.mutable_partition_change()->set_topic_id(id);
  change.mutable_partition_change()->add_isr(1);
  change.mutable_partition_change()->set_leader(1);
  change.mutable_partition_change()->set_partition_epoch(2);
  EXPECT_EXIT(world.Apply({change}), exits, "partition epoch is 0");
  change.mutable_partition_change()->set_partition_epoch(1);
  change.mutable_partition_change()->set_leader(2);
  EXPECT_EXIT(world.Apply({change}), exits, "leader is 1 of epoch 0");
  change.mutable_partition_change()->set_leader_epoch(1);
  EXPECT_EXIT(world.Apply({change}), exits, "check failed") << "the leader is not in sync";

  v1::MetadataRecord gap;
  *gap.mutable_partition() = world.partition("t", 0).ToRecord(world.topic("t").id, 2);
  EXPECT_EXIT(world.Apply({gap}), exits, "the topic has 1 partitions");
  v1::MetadataRecord twin;
  *twin.mutable_topic() = world.topic("t").ToRecord();
  EXPECT_EXIT(world.Apply({twin}), exits, "id exists");
}

}  // namespace
}  // namespace kvorum
