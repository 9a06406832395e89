// Creation of topics: validation in Kafka's order and with Kafka's names
// (ReplicationControlManager).

#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/metadata/metadata_world.h"

namespace kvorum {
namespace {

using testing::ElementsAre;

struct TopicSpec {
  std::string name;
  int32_t partition_count = -1;
  int32_t replication_factor = -1;
  std::vector<std::vector<int32_t>> assignments;
};

v1::CreateTopicsRequest Create(const std::vector<TopicSpec>& specs) {
  v1::CreateTopicsRequest request;
  for (const TopicSpec& spec : specs) {
    v1::NewTopic& topic = *request.add_topics();
    topic.set_name(spec.name);
    topic.set_partition_count(spec.partition_count);
    topic.set_replication_factor(spec.replication_factor);
    for (size_t i = 0; i < spec.assignments.size(); ++i) {
      v1::ReplicaAssignment& assignment = *topic.add_assignments();
      assignment.set_partition_index(static_cast<int32_t>(i));
      for (const int32_t id : spec.assignments[i]) {
        assignment.add_replicas(id);
      }
    }
  }
  return request;
}

class CreateTopicsTest : public testing::Test {
 protected:
  void SetUp() override { world_.AddBrokers({1, 2, 3, 4}); }

  // The status of the only item.
  v1::ItemStatus StatusOf(const TopicSpec& spec) {
    const auto response = world_.Run(Create({spec}));
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? response->results(0).status() : v1::ItemStatus();
  }

  World world_;
};

TEST_F(CreateTopicsTest, MakesATopicWithItsPartitions) {
  const auto response = world_.Run(Create({{"orders", 6, 3, {}}}));
  const v1::CreateTopicsResponse::Result& result = response->results(0);
  EXPECT_THAT(result.status(), ItemIsOk());
  EXPECT_EQ(result.name(), "orders");
  EXPECT_EQ(result.partition_count(), 6);
  EXPECT_EQ(result.replication_factor(), 3);
  EXPECT_EQ(result.assignments_size(), 6);
  const Topic& topic = world_.topic("orders");
  EXPECT_EQ(topic.id.ToString(), result.topic_id());
  EXPECT_EQ(topic.partition_count(), 6);
  for (const auto& [index, partition] : topic.partitions) {
    EXPECT_EQ(partition.isr, partition.replicas);
    EXPECT_EQ(partition.leader, partition.replicas.front());
    EXPECT_EQ(partition.leader_epoch, 0);
    EXPECT_EQ(partition.partition_epoch, 0);
  }
}

TEST_F(CreateTopicsTest, DefaultsAreOnePartitionAndThreeReplicas) {
  EXPECT_THAT(StatusOf({"a", -1, -1, {}}), ItemIsOk());
  EXPECT_THAT(StatusOf({"b", 0, 0, {}}), ItemIsOk());
  EXPECT_EQ(world_.topic("a").partition_count(), 1);
  EXPECT_EQ(world_.topic("a").replication_factor(), 3);
  EXPECT_EQ(world_.topic("b").replication_factor(), 3);
  for (const int32_t id : {1, 2, 3}) {
    world_.Fence(id);
  }
  EXPECT_THAT(StatusOf({"c", -1, -1, {}}), ItemIsOk());
  EXPECT_EQ(world_.topic("c").replication_factor(), 1);
}

TEST_F(CreateTopicsTest, NoTopicsIsAnInvalidRequest) {
  EXPECT_THAT(world_.Run(v1::CreateTopicsRequest()), HasReason(ErrorReason::kInvalidRequest));
}

TEST_F(CreateTopicsTest, MoreThan1000TopicsIsAPolicyViolation) {
  v1::CreateTopicsRequest request;
  for (int i = 0; i < 1'001; ++i) {
    request.add_topics()->set_name("t" + std::to_string(i));
  }
  EXPECT_THAT(world_.Run(request), HasReason(ErrorReason::kPolicyViolation));
}

TEST_F(CreateTopicsTest, MoreThan10000PartitionsIsAPolicyViolation) {
  EXPECT_THAT(world_.Run(Create({{"a", 5'000, 1, {}}, {"b", 5'001, 1, {}}})),
              HasReason(ErrorReason::kPolicyViolation));
  EXPECT_THAT(world_.Run(Create({{"a", 1'000'000'000, 1, {}}, {"b", 2'000'000'000, 1, {}}})),
              HasReason(ErrorReason::kPolicyViolation));
}

TEST_F(CreateTopicsTest, MoreThan10000RecordsIsAPolicyViolation) {
  // 10,000 partitions and the record of the topic itself.
  EXPECT_THAT(world_.Run(Create({{"a", 10'000, 1, {}}})), HasReason(ErrorReason::kPolicyViolation));
  EXPECT_EQ(StatusOf({"a", 9'999, 1, {}}).code(), 0);
}

TEST_F(CreateTopicsTest, ANameTwiceInOneRequestIsRefusedTwice) {
  const auto response = world_.Run(Create({{"a", 1, 1, {}}, {"b", 1, 1, {}}, {"a", 1, 1, {}}}));
  EXPECT_THAT(response->results(0).status(), ItemHasReason(ErrorReason::kInvalidRequest));
  EXPECT_THAT(response->results(1).status(), ItemIsOk());
  EXPECT_THAT(response->results(2).status(), ItemHasReason(ErrorReason::kInvalidRequest));
  EXPECT_EQ(world_.image().topics().Find("a"), nullptr);
}

TEST_F(CreateTopicsTest, NamesAre1To249OfTheAllowedCharacters) {
  for (const std::string& name :
       {std::string(), std::string(250, 'a'), std::string("."), std::string(".."),
        std::string("a/b"), std::string("a\0b", 3), std::string("a\n"), std::string("%n"),
        std::string("naïve"), std::string("🔑"), std::string("\xe2\x80\xae"), std::string("a b")}) {
    EXPECT_THAT(StatusOf({name, 1, 1, {}}), ItemHasReason(ErrorReason::kInvalidTopic)) << name;
  }
  for (const std::string& name : {std::string("a"), std::string(249, 'b'), std::string("..."),
                                  std::string("A-Z_0.9"), std::string("__internal")}) {
    EXPECT_THAT(StatusOf({name, 1, 1, {}}), ItemIsOk()) << name;
  }
}

TEST_F(CreateTopicsTest, NamesThatDifferInDotAndUnderscoreOnlyCollide) {
  EXPECT_THAT(StatusOf({"a.b_c", 1, 1, {}}), ItemIsOk());
  EXPECT_THAT(StatusOf({"a_b.c", 1, 1, {}}), ItemHasReason(ErrorReason::kInvalidTopic));
  EXPECT_THAT(StatusOf({"a-b-c", 1, 1, {}}), ItemIsOk());
  const auto response = world_.Run(Create({{"x.y", 1, 1, {}}, {"x_y", 1, 1, {}}}));
  EXPECT_THAT(response->results(0).status(), ItemIsOk());
  EXPECT_THAT(response->results(1).status(), ItemHasReason(ErrorReason::kInvalidTopic));
}

TEST_F(CreateTopicsTest, ADeletedTopicsNameIsFreeAgain) {
  ASSERT_THAT(StatusOf({"a.b", 1, 1, {}}), ItemIsOk());
  const Uuid first = world_.topic("a.b").id;
  v1::DeleteTopicsRequest request;
  request.add_topics()->set_name("a.b");
  ASSERT_TRUE(world_.Run(request).ok());
  ASSERT_THAT(StatusOf({"a_b", 1, 1, {}}), ItemIsOk());
  EXPECT_NE(world_.topic("a_b").id, first);
}

TEST_F(CreateTopicsTest, AnExistingNameIsRefused) {
  ASSERT_THAT(StatusOf({"a", 1, 1, {}}), ItemIsOk());
  EXPECT_THAT(StatusOf({"a", 1, 1, {}}), ItemHasReason(ErrorReason::kTopicAlreadyExists));
}

TEST_F(CreateTopicsTest, NegativeCountsAreRefused) {
  EXPECT_THAT(StatusOf({"a", -2, 1, {}}), ItemHasReason(ErrorReason::kInvalidPartitions));
  EXPECT_THAT(StatusOf({"a", 1, -2, {}}), ItemHasReason(ErrorReason::kInvalidReplicationFactor));
}

TEST_F(CreateTopicsTest, MoreReplicasThanBrokersIsAnInvalidReplicationFactor) {
  EXPECT_THAT(StatusOf({"a", 1, 5, {}}), ItemHasReason(ErrorReason::kInvalidReplicationFactor));
}

TEST_F(CreateTopicsTest, WithoutAnUnfencedBrokerNothingCanBePlaced) {
  for (const int32_t id : {1, 2, 3, 4}) {
    world_.Fence(id);
  }
  EXPECT_THAT(StatusOf({"a", 1, 1, {}}), ItemHasReason(ErrorReason::kInvalidReplicationFactor));
  EXPECT_THAT(StatusOf({"a", -1, -1, {}}), ItemHasReason(ErrorReason::kInvalidReplicationFactor));
}

TEST_F(CreateTopicsTest, AssignmentsArePlacedAsGiven) {
  EXPECT_THAT(StatusOf({"a", -1, 0, {{3, 1}, {1, 2}}}), ItemIsOk());
  EXPECT_THAT(Ids(world_.partition("a", 0).replicas), ElementsAre(3, 1));
  EXPECT_EQ(world_.partition("a", 0).leader, BrokerId{3});
  EXPECT_THAT(Ids(world_.partition("a", 1).replicas), ElementsAre(1, 2));
}

TEST_F(CreateTopicsTest, FencedBrokersOfAnAssignmentAreNotInSync) {
  world_.Fence(3);
  EXPECT_THAT(StatusOf({"a", -1, -1, {{3, 1, 2}}}), ItemIsOk());
  EXPECT_THAT(Ids(world_.partition("a", 0).isr), ElementsAre(1, 2));
  EXPECT_EQ(world_.partition("a", 0).leader, BrokerId{1});
}

TEST_F(CreateTopicsTest, BrokersThatShutDownAreNotInSyncAndCannotLeadAlone) {
  world_.Apply(BeginControlledShutdown(world_.image(), BrokerId{1}));
  EXPECT_THAT(StatusOf({"a", -1, -1, {{1}}}),
              ItemHasReason(ErrorReason::kInvalidReplicaAssignment));
  EXPECT_THAT(StatusOf({"a", -1, -1, {{1, 2}}}), ItemIsOk());
  EXPECT_THAT(Ids(world_.partition("a", 0).isr), ElementsAre(2));
  EXPECT_EQ(world_.partition("a", 0).leader, BrokerId{2});
}

TEST_F(CreateTopicsTest, RecordsAreTheTopicThenItsPartitionsThenItsConfigs) {
  world_.Apply(BootstrapRecords(kMaxMetadataLevel));
  v1::CreateTopicsRequest request = Create({{"a", 2, 1, {}}, {"b", 1, 1, {}}});
  v1::TopicConfig& config = *request.mutable_topics(0)->add_configs();
  config.set_name("retention.ms");
  config.set_value("1000");
  const auto plan = world_.Plan(request);
  ASSERT_EQ(plan->records.size(), 6u);
  EXPECT_EQ(plan->records[0].topic().name(), "a");
  EXPECT_EQ(plan->records[1].partition().partition_index(), 0);
  EXPECT_TRUE(plan->records[2].has_partition());
  EXPECT_EQ(plan->records[2].partition().partition_index(), 1);
  EXPECT_EQ(plan->records[3].config().name(), "retention.ms");
  EXPECT_EQ(plan->records[4].topic().name(), "b");
  EXPECT_TRUE(plan->records[5].has_partition());
}

TEST_F(CreateTopicsTest, AssignmentsAndCountsExcludeEachOther) {
  EXPECT_THAT(StatusOf({"a", 1, -1, {{1}}}), ItemHasReason(ErrorReason::kInvalidRequest));
  EXPECT_THAT(StatusOf({"a", -1, 1, {{1}}}), ItemHasReason(ErrorReason::kInvalidRequest));
}

TEST_F(CreateTopicsTest, BadAssignmentsAreRefused) {
  const auto reason = ItemHasReason(ErrorReason::kInvalidReplicaAssignment);
  EXPECT_THAT(StatusOf({"a", -1, -1, {{}}}), reason) << "no replicas";
  EXPECT_THAT(StatusOf({"a", -1, -1, {{1, 1}}}), reason) << "a broker twice";
  EXPECT_THAT(StatusOf({"a", -1, -1, {{1, 9}}}), reason) << "an unknown broker";
  EXPECT_THAT(StatusOf({"a", -1, -1, {{1, 2}, {1}}}), reason) << "unequal replication factors";
  world_.Fence(1);
  EXPECT_THAT(StatusOf({"a", -1, -1, {{1}}}), reason) << "no active broker";

  v1::CreateTopicsRequest request = Create({{"a", -1, -1, {{2}, {3}}}});
  request.mutable_topics(0)->mutable_assignments(1)->set_partition_index(2);
  EXPECT_THAT(world_.Run(request)->results(0).status(), reason) << "a gap";
  request.mutable_topics(0)->mutable_assignments(1)->set_partition_index(0);
  EXPECT_THAT(world_.Run(request)->results(0).status(), reason) << "an index twice";
  request.mutable_topics(0)->mutable_assignments(0)->set_partition_index(1);
  EXPECT_THAT(world_.Run(request)->results(0).status(), ItemIsOk()) << "any order";
  EXPECT_THAT(Ids(world_.partition("a", 0).replicas), ElementsAre(3));
}

TEST_F(CreateTopicsTest, SoundItemsCommitTogetherBesideRefusedOnes) {
  const auto plan = world_.Plan(Create({{"a", 1, 1, {}}, {"", 1, 1, {}}, {"b", 1, 1, {}}}));
  EXPECT_EQ(plan->records.size(), 4u);
  EXPECT_TRUE(plan->is_atomic);
  EXPECT_THAT(plan->response.results(1).status(), ItemHasReason(ErrorReason::kInvalidTopic));
}

TEST_F(CreateTopicsTest, AllOrNothingRefusesAll) {
  v1::CreateTopicsRequest request = Create({{"a", 1, 1, {}}, {"", 1, 1, {}}});
  request.set_all_or_nothing(true);
  const auto plan = world_.Plan(request);
  EXPECT_TRUE(plan->records.empty());
  EXPECT_THAT(plan->response.results(0).status(), ItemHasReason(ErrorReason::kInvalidRequest));
  EXPECT_EQ(plan->response.results(0).topic_id(), "");
  EXPECT_EQ(plan->response.results(0).assignments_size(), 0);
  EXPECT_THAT(plan->response.results(1).status(), ItemHasReason(ErrorReason::kInvalidTopic));
}

}  // namespace
}  // namespace kvorum
