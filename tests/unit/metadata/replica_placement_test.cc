#include "server/metadata/topics/replica_placement.h"

#include <map>
#include <set>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/metadata/metadata_world.h"

namespace kvorum {
namespace {

std::vector<BrokerList> Place(World& world, int32_t partitions, int32_t replication_factor) {
  auto placed =
      PlaceReplicas({partitions, replication_factor}, world.image().brokers(), world.random());
  EXPECT_TRUE(placed.ok()) << placed.status();
  return placed.ok() ? *std::move(placed) : std::vector<BrokerList>();
}

TEST(ReplicaPlacementTest, NeverPutsTwoReplicasOnOneBroker) {
  World world;
  world.AddBrokers({0, 1, 2, 3, 4}, {"a", "b"});
  for (int32_t replication_factor = 1; replication_factor <= 5; ++replication_factor) {
    for (const BrokerList& replicas : Place(world, 40, replication_factor)) {
      EXPECT_EQ(replicas.size(), static_cast<size_t>(replication_factor));
      EXPECT_EQ(std::set<BrokerId>(replicas.begin(), replicas.end()).size(), replicas.size());
    }
  }
}

TEST(ReplicaPlacementTest, SpreadsAPartitionOverAllRacks) {
  World world;
  world.AddBrokers({0, 1, 2, 3, 4, 5, 6, 7, 8}, {"a", "b", "c"});
  for (const BrokerList& replicas : Place(world, 60, 3)) {
    std::set<std::string> racks;
    for (const BrokerId id : replicas) {
      racks.insert(world.image().brokers().Find(id)->rack);
    }
    EXPECT_EQ(racks.size(), 3u);
  }
}

TEST(ReplicaPlacementTest, SpreadsLeadersAndReplicasEvenly) {
  World world;
  world.AddBrokers({0, 1, 2, 3, 4, 5}, {"a", "b", "c"});
  std::map<BrokerId, int> leaders;
  std::map<BrokerId, int> replicas_of;
  for (const BrokerList& replicas : Place(world, 600, 3)) {
    ++leaders[replicas.front()];
    for (const BrokerId id : replicas) {
      ++replicas_of[id];
    }
  }
  for (const auto& [id, count] : leaders) {
    EXPECT_NEAR(count, 100, 15) << id;
  }
  for (const auto& [id, count] : replicas_of) {
    EXPECT_NEAR(count, 300, 45) << id;
  }
  EXPECT_EQ(leaders.size(), 6u);
}

TEST(ReplicaPlacementTest, LeadersAreUnfencedAndFencedBrokersComeLast) {
  World world;
  world.AddBrokers({0, 1, 2, 3});
  world.Fence(1);
  world.Fence(3);
  for (const BrokerList& replicas : Place(world, 30, 2)) {
    EXPECT_EQ(std::set<BrokerId>(replicas.begin(), replicas.end()),
              (std::set<BrokerId>{BrokerId{0}, BrokerId{2}}));
  }
  for (const BrokerList& replicas : Place(world, 30, 3)) {
    EXPECT_TRUE(world.image().brokers().IsActive(replicas[0]));
    EXPECT_TRUE(world.image().brokers().IsActive(replicas[1]));
    EXPECT_FALSE(world.image().brokers().IsActive(replicas[2]));
  }
}

TEST(ReplicaPlacementTest, WorksWithOneUnfencedBrokerAndARackThatIsAllFenced) {
  World world;
  world.AddBrokers({0, 1}, {"a", "b"});
  world.Fence(1);
  for (const BrokerList& replicas : Place(world, 10, 2)) {
    EXPECT_THAT(Ids(replicas), testing::ElementsAre(0, 1));
  }
}

TEST(ReplicaPlacementTest, RepeatsWithItsSeed) {
  World a(5);
  World b(5);
  a.AddBrokers({0, 1, 2, 3, 4}, {"a", "b"});
  b.AddBrokers({0, 1, 2, 3, 4}, {"a", "b"});
  EXPECT_EQ(Place(a, 50, 3), Place(b, 50, 3));
}

TEST(ReplicaPlacementTest, RefusesWhatCannotBeDone) {
  World world;
  world.AddBrokers({0, 1});
  const auto place = [&](int32_t replication_factor) {
    return PlaceReplicas({1, replication_factor}, world.image().brokers(), world.random());
  };
  EXPECT_THAT(place(0), HasReason(ErrorReason::kInvalidReplicationFactor));
  EXPECT_THAT(place(3), HasReason(ErrorReason::kInvalidReplicationFactor));
  world.Fence(0);
  world.Fence(1);
  EXPECT_THAT(place(1), HasReason(ErrorReason::kInvalidReplicationFactor));
}

}  // namespace
}  // namespace kvorum
