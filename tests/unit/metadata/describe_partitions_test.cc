// Filters and pages of DescribePartitions, against a walk over everything.

#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/metadata/metadata_world.h"

namespace kvorum {
namespace {

class DescribePartitionsTest : public testing::Test {
 protected:
  void SetUp() override {
    world_.AddBrokers({1, 2, 3});
    world_.AddTopic("a", {{1, 2}, {2, 3}, {3, 1}}, 1);
    world_.AddTopic("b", {{1}, {2}}, 1);
    world_.AddTopic("c", {{1, 2, 3}}, 2);
    world_.Fence(1);
  }

  // All pages of one partition at most.
  std::vector<std::string> List(v1::DescribePartitionsRequest request) const {
    std::vector<std::string> names;
    request.mutable_page()->set_page_size(1);
    do {
      const auto response = world_.Read(request);
      EXPECT_TRUE(response.ok()) << response.status();
      EXPECT_LE(response->partitions_size(), 1);
      for (const v1::PartitionDescription& item : response->partitions()) {
        EXPECT_EQ(item.topic_id(), world_.topic(item.topic_name()).id.ToString());
        names.push_back(item.topic_name() + std::to_string(item.partition().partition_index()));
      }
      request.mutable_page()->set_page_token(response->page().next_page_token());
    } while (!request.page().page_token().empty());
    return names;
  }

  // The partitions that `admits` says yes to, by topic id and index.
  template <typename Predicate>
  std::vector<std::string> Expected(Predicate admits) const {
    std::vector<std::string> names;
    for (const auto& [id, topic] : world_.image().topics().by_id) {
      for (const auto& [index, partition] : topic.partitions) {
        if (admits(topic, partition)) {
          names.push_back(*topic.name + std::to_string(index));
        }
      }
    }
    return names;
  }

  World world_;
};

TEST_F(DescribePartitionsTest, WithoutFiltersListsAll) {
  EXPECT_EQ(List({}), Expected([](const Topic&, const Partition&) { return true; }));
  EXPECT_EQ(List({}).size(), 6u);
}

TEST_F(DescribePartitionsTest, OfflineMeansWithoutALeader) {
  v1::DescribePartitionsRequest request;
  request.set_offline(true);
  EXPECT_THAT(List(request), testing::ElementsAre("b0"));
}

TEST_F(DescribePartitionsTest, UnderReplicatedMeansFewerInSyncThanTheFactor) {
  v1::DescribePartitionsRequest request;
  request.set_under_replicated(true);
  EXPECT_EQ(List(request), Expected([](const Topic&, const Partition& partition) {
              return partition.isr.size() < partition.replicas.size();
            }));
  EXPECT_THAT(List(request), testing::UnorderedElementsAre("a0", "a2", "b0", "c0"));
}

TEST_F(DescribePartitionsTest, AtMinIsrMeansThatOneMoreLossStopsWrites) {
  v1::DescribePartitionsRequest request;
  request.set_at_min_isr(true);
  EXPECT_THAT(List(request), testing::UnorderedElementsAre("a0", "a2", "b0", "b1", "c0"));
}

TEST_F(DescribePartitionsTest, ByBrokerMeansWithAReplicaThere) {
  v1::DescribePartitionsRequest request;
  request.set_broker_id(1);
  EXPECT_THAT(List(request), testing::UnorderedElementsAre("a0", "a2", "b0", "c0"));
  request.set_broker_id(9);
  EXPECT_THAT(List(request), testing::IsEmpty());
  request.set_broker_id(-1);
  EXPECT_THAT(world_.Read(request), HasReason(ErrorReason::kInvalidRequest));
}

TEST_F(DescribePartitionsTest, FiltersAddUp) {
  v1::DescribePartitionsRequest request;
  request.mutable_topic()->set_name("a");
  request.set_broker_id(2);
  EXPECT_THAT(List(request), testing::ElementsAre("a0", "a1"));
  request.set_under_replicated(true);
  EXPECT_THAT(List(request), testing::ElementsAre("a0"));
  request.set_offline(true);
  EXPECT_THAT(List(request), testing::IsEmpty());
  request.mutable_topic()->set_name("nope");
  EXPECT_THAT(world_.Read(request), HasReason(ErrorReason::kUnknownTopicOrPartition));
}

TEST_F(DescribePartitionsTest, ATokenIsGoodForItsOwnFiltersOnly) {
  v1::DescribePartitionsRequest request;
  request.mutable_page()->set_page_size(1);
  const std::string token = world_.Read(request)->page().next_page_token();
  ASSERT_FALSE(token.empty());
  request.mutable_page()->set_page_token(token);
  EXPECT_TRUE(world_.Read(request).ok());
  request.set_offline(true);
  EXPECT_THAT(world_.Read(request), HasReason(ErrorReason::kInvalidRequest));
}

TEST_F(DescribePartitionsTest, APageLooksAtABoundedNumberOfPartitions) {
  // Sixty thousand partitions, of which the filter admits six.
  for (int i = 0; i < 6; ++i) {
    const std::string name = "big" + std::to_string(i);
    v1::CreateTopicsRequest create;
    create.add_topics()->set_name(name);
    create.mutable_topics(0)->set_partition_count(9'999);
    create.mutable_topics(0)->set_replication_factor(2);
    ASSERT_TRUE(world_.Run(create).ok());
    const Partition first = world_.partition(name, 0);
    world_.ReportIsr(name, 0, {first.leader.value()});
  }
  v1::DescribePartitionsRequest request;
  request.set_under_replicated(true);
  int pages = 0;
  int found = 0;
  do {
    const auto response = world_.Read(request);
    ++pages;
    found += response->partitions_size();
    request.mutable_page()->set_page_token(response->page().next_page_token());
  } while (!request.page().page_token().empty());
  EXPECT_EQ(pages, 2) << "the limit is 50,000";
  EXPECT_EQ(found, 6 + 4);
}

}  // namespace
}  // namespace kvorum
