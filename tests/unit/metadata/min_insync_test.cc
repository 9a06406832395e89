// min.insync.replicas as a config decides who stays eligible to lead (KIP-966; consensus.md §6.6):
// the topic's, else what it was created with, else that of all brokers. Where it changes, nobody is
// eligible any more.
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/metadata/record_codec.h"
#include "tests/unit/metadata/metadata_world.h"

namespace kvorum {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class MinInsyncTest : public testing::Test {
 protected:
  MinInsyncTest() { world_.AddBrokers({1, 2, 3}); }

  static v1::AlterConfigsRequest Set(v1::ConfigResourceType type, const std::string& resource,
                                     const std::string& value) {
    v1::AlterConfigsRequest request;
    auto& item = *request.add_resources();
    item.mutable_resource()->set_type(type);
    item.mutable_resource()->set_name(resource);
    auto& operation = *item.add_operations();
    operation.set_name("min.insync.replicas");
    operation.set_operation(value.empty() ? v1::CONFIG_OPERATION_DELETE : v1::CONFIG_OPERATION_SET);
    operation.set_value(value);
    return request;
  }
  void SetTopic(const std::string& topic, const std::string& value) {
    const auto response = world_.Run(Set(v1::CONFIG_RESOURCE_TYPE_TOPIC, topic, value));
    ASSERT_TRUE(response.ok()) << response.status();
    ASSERT_THAT(response->results(0).status(), ItemIsOk());
  }
  void SetDefault(const std::string& value) {
    const auto response = world_.Run(Set(v1::CONFIG_RESOURCE_TYPE_BROKER, "", value));
    ASSERT_TRUE(response.ok()) << response.status();
    ASSERT_THAT(response->results(0).status(), ItemIsOk());
  }
  int32_t InEffect(const std::string& topic) const {
    return world_.topic(topic).min_insync_replicas;
  }

  World world_;
};

TEST_F(MinInsyncTest, TheTopicsConfigGoesBeforeWhatItWasCreatedWithBeforeTheDefault) {
  world_.AddTopic("plain", {{1, 2, 3}});
  world_.AddTopic("own", {{1, 2, 3}}, 2);
  EXPECT_EQ(InEffect("plain"), 1);
  EXPECT_EQ(InEffect("own"), 2);
  SetDefault("3");
  EXPECT_EQ(InEffect("plain"), 3);
  EXPECT_EQ(InEffect("own"), 2);
  SetTopic("own", "1");
  SetTopic("plain", "2");
  EXPECT_EQ(InEffect("own"), 1);
  EXPECT_EQ(InEffect("plain"), 2);
  SetTopic("own", "");
  SetTopic("plain", "");
  EXPECT_EQ(InEffect("own"), 2);
  EXPECT_EQ(InEffect("plain"), 3);
  world_.AddTopic("later", {{1, 2, 3}});
  EXPECT_EQ(InEffect("later"), 3);
  SetDefault("");
  EXPECT_EQ(InEffect("plain"), 1);
  EXPECT_EQ(InEffect("later"), 1);
}

TEST_F(MinInsyncTest, AConfigThatATopicIsCreatedWithCounts) {
  v1::CreateTopicsRequest request;
  v1::NewTopic& topic = *request.add_topics();
  topic.set_name("t");
  topic.set_replication_factor(3);
  topic.set_min_insync_replicas(3);
  v1::TopicConfig& config = *topic.add_configs();
  config.set_name("min.insync.replicas");
  config.set_value("2");
  const auto response = world_.Run(request);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->results(0).min_insync_replicas(), 2);
  EXPECT_EQ(InEffect("t"), 2);
}

TEST_F(MinInsyncTest, WhoLeavesStaysEligibleByTheConfig) {
  world_.AddTopic("t", {{1, 2, 3}});
  SetTopic("t", "2");
  world_.Fence(3);
  EXPECT_THAT(Ids(world_.partition("t", 0).elr), IsEmpty());
  world_.Fence(2);
  EXPECT_THAT(Ids(world_.partition("t", 0).elr), ElementsAre(2));
}

TEST_F(MinInsyncTest, PartitionsAtTheMinimumAreCountedAnew) {
  world_.AddTopic("t", {{1, 2}, {3, 1}});
  const auto at_min = [&] { return world_.topic("t").count(PartitionTrait::kAtMinIsr); };
  EXPECT_EQ(at_min(), 0);
  world_.Fence(3);
  EXPECT_EQ(at_min(), 1);
  SetTopic("t", "2");
  EXPECT_EQ(at_min(), 2) << "two of two, and one";
  EXPECT_TRUE(
      world_.image().topics().With(PartitionTrait::kAtMinIsr).Contains(world_.topic("t").id));
  SetTopic("t", "");
  EXPECT_EQ(at_min(), 1);
  world_.Unfence(3);
  world_.ReportIsr("t", 1, {3, 1});
  EXPECT_EQ(at_min(), 0);
  EXPECT_TRUE(world_.image().topics().With(PartitionTrait::kAtMinIsr).empty());
  SetDefault("3");
  EXPECT_EQ(at_min(), 2);
}

// KIP-966: eligible means that nothing was acknowledged without it, by the minimum of then.
TEST_F(MinInsyncTest, AChangeClearsEligibleLeadersAndTheLastKnownOne) {
  world_.AddTopic("t", {{1, 2, 3}, {1, 3, 2}}, 2);
  world_.AddTopic("other", {{1, 2}}, 2);
  world_.Fence(3);
  world_.Fence(2);
  ASSERT_THAT(Ids(world_.partition("t", 0).elr), ElementsAre(2));
  const Partition before = world_.partition("t", 0);
  SetTopic("t", "1");
  const Partition after = world_.partition("t", 0);
  EXPECT_THAT(Ids(after.elr), IsEmpty());
  EXPECT_EQ(after.partition_epoch, before.partition_epoch + 1);
  EXPECT_EQ(after.leader_epoch, before.leader_epoch) << "the leader is not touched";
  EXPECT_THAT(Ids(world_.partition("other", 0).elr), ElementsAre(2)) << "another topic";

  world_.Fence(1);
  ASSERT_EQ(world_.partition("t", 1).leader, kNoLeader);
  ASSERT_EQ(world_.partition("t", 1).last_known_leader, BrokerId{1});
  SetTopic("t", "2");
  EXPECT_THAT(Ids(world_.partition("t", 1).elr), IsEmpty());
  EXPECT_EQ(world_.partition("t", 1).last_known_leader, kNoLeader);
  EXPECT_EQ(world_.partition("t", 1).leader, kNoLeader) << "nobody is elected by it";
}

TEST_F(MinInsyncTest, AChangeOfTheDefaultClearsWhereItIsInEffect) {
  world_.AddTopic("plain", {{1, 2}});
  world_.AddTopic("own", {{1, 2}}, 2);
  SetDefault("2");
  world_.Fence(2);
  ASSERT_THAT(Ids(world_.partition("plain", 0).elr), ElementsAre(2));
  SetDefault("3");
  EXPECT_THAT(Ids(world_.partition("plain", 0).elr), IsEmpty());
  EXPECT_THAT(Ids(world_.partition("own", 0).elr), ElementsAre(2));
}

TEST_F(MinInsyncTest, WhatStaysInEffectClearsNothing) {
  world_.AddTopic("t", {{1, 2}}, 2);
  world_.Fence(2);
  SetTopic("t", "2");
  EXPECT_THAT(Ids(world_.partition("t", 0).elr), ElementsAre(2));
  SetDefault("3");
  EXPECT_THAT(Ids(world_.partition("t", 0).elr), ElementsAre(2));
}

TEST_F(MinInsyncTest, ManyClearedPartitionsTakeMoreCommitsAndTheConfigIsInTheLast) {
  v1::CreateTopicsRequest create;
  for (const char* name : {"a", "b"}) {
    v1::NewTopic& topic = *create.add_topics();
    topic.set_name(name);
    topic.set_partition_count(4'000);
    topic.set_replication_factor(2);
  }
  SetDefault("2");
  ASSERT_TRUE(world_.Run(create).ok());
  create.mutable_topics(0)->set_name("c");
  create.mutable_topics(1)->set_name("d");
  ASSERT_TRUE(world_.Run(create).ok());
  world_.Fence(3);  // two thirds have a replica there
  const auto planned = world_.Plan(Set(v1::CONFIG_RESOURCE_TYPE_BROKER, "", "1"));
  ASSERT_TRUE(planned.ok()) << planned.status();
  EXPECT_FALSE(planned->is_atomic);
  ASSERT_GT(planned->records.size(), kMaxRecordsPerBatch);
  EXPECT_TRUE(planned->records.back().has_config());
  world_.Apply(planned->records);
  for (const char* name : {"a", "b", "c", "d"}) {
    for (const auto& [index, partition] : world_.topic(name).partitions) {
      ASSERT_TRUE(partition.elr.empty());
    }
  }
}

TEST_F(MinInsyncTest, BrokersMayNotDifferInIt) {
  const auto response = world_.Run(Set(v1::CONFIG_RESOURCE_TYPE_BROKER, "1", "2"));
  ASSERT_TRUE(response.ok());
  EXPECT_THAT(response->results(0).status(), ItemHasReason(ErrorReason::kInvalidConfig));
}

TEST_F(MinInsyncTest, DescribedTopicsSayWhatIsInEffect) {
  world_.AddTopic("t", {{1, 2, 3}});
  SetDefault("2");
  v1::GetTopicRequest request;
  request.mutable_topic()->set_name("t");
  EXPECT_EQ(world_.Read(request)->topic().min_insync_replicas(), 2);
}

}  // namespace
}  // namespace kvorum
