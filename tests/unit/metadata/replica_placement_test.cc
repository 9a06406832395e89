#include "server/metadata/topics/replica_placement.h"

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/metadata/metadata_world.h"

namespace kvorum {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

std::vector<BrokerList> Place(World& world, int32_t partitions, int32_t replication_factor) {
  auto placed =
      PlaceReplicas({partitions, replication_factor}, world.image().brokers(), world.random());
  EXPECT_TRUE(placed.ok()) << placed.status();
  return placed.ok() ? *std::move(placed) : std::vector<BrokerList>();
}

std::set<BrokerId> LeadersOf(const std::vector<BrokerList>& partitions) {
  std::set<BrokerId> leaders;
  for (const BrokerList& replicas : partitions) {
    leaders.insert(replicas.front());
  }
  return leaders;
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

TEST(ReplicaPlacementTest, AStripeGoesOverTheBrokersInOrder) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    World world(seed);
    world.AddBrokers({0, 1, 2, 3, 4});
    const std::vector<BrokerList> placed = Place(world, 5, 3);
    const int32_t start = placed[0][0].value();
    for (int32_t i = 0; i < 5; ++i) {
      EXPECT_THAT(Ids(placed[static_cast<size_t>(i)]),
                  ElementsAre((start + i) % 5, (start + i + 1) % 5, (start + i + 2) % 5))
          << seed;
    }
  }
}

// Partitions whose leader is elsewhere must not pass a rack's brokers by.
TEST(ReplicaPlacementTest, EachBrokerLeadsBeforeOneLeadsTwice) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    World world(seed);
    world.AddBrokers({0, 1, 2, 3}, {"a", "b"});
    EXPECT_EQ(LeadersOf(Place(world, 4, 1)).size(), 4u) << seed;
    World third(seed);
    third.AddBrokers({0, 1, 2, 3, 4, 5}, {"a", "b", "c"});
    EXPECT_EQ(LeadersOf(Place(third, 6, 1)).size(), 6u) << seed;
    EXPECT_EQ(LeadersOf(Place(third, 6, 3)).size(), 6u) << seed;
  }
}

TEST(ReplicaPlacementTest, EachPartitionBeginsARackFurtherOn) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    World world(seed);
    world.AddBrokers({0, 1, 2, 3, 4, 5}, {"c", "a", "b"});
    const std::vector<BrokerList> placed = Place(world, 6, 3);
    const auto rack_of = [&](BrokerId id) {
      return world.image().brokers().Find(id)->rack[0] - 'a';
    };
    const int start = rack_of(placed[0][0]);
    for (int i = 0; i < 6; ++i) {
      for (int replica = 0; replica < 3; ++replica) {
        EXPECT_EQ(rack_of(placed[static_cast<size_t>(i)][static_cast<size_t>(replica)]),
                  (start + i + replica) % 3)
            << seed;
      }
    }
  }
}

TEST(ReplicaPlacementTest, AStripeIsShuffledWhenAllHaveLed) {
  World world;
  world.AddBrokers({0, 1, 2, 3, 4});
  const std::vector<BrokerList> placed = Place(world, 50, 1);
  std::set<std::vector<int32_t>> cycles;  // who follows whom, from 0 on
  for (auto block = placed.begin(); block != placed.end(); block += 5) {
    std::vector<int32_t> leaders;
    for (auto replicas = block; replicas != block + 5; ++replicas) {
      leaders.push_back(replicas->front().value());
    }
    ASSERT_THAT(leaders, UnorderedElementsAre(0, 1, 2, 3, 4));
    std::rotate(leaders.begin(), std::find(leaders.begin(), leaders.end(), 0), leaders.end());
    cycles.insert(leaders);
  }
  EXPECT_GT(cycles.size(), 1u) << "the same neighbours would share all their partitions";
}

TEST(ReplicaPlacementTest, BrokersWithoutARackAreOneRack) {
  World world;
  world.AddBrokers({0, 1});
  world.AddBrokers({2}, {"a"});
  for (const BrokerList& replicas : Place(world, 30, 2)) {
    EXPECT_TRUE(Contains(replicas, BrokerId{2}));
  }
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
    EXPECT_THAT(Ids(replicas), ElementsAre(0, 1));
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
