// Rows and blocks of partitions: what goes in comes out, and a copy is not touched by a change.

#include "server/metadata/topics/partition_list.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "server/base/random.h"

namespace kvorum {
namespace {

BrokerList AnyPart(const BrokerList& of, Random& random) {
  return Filter(of, [&random](BrokerId) { return random.OneIn(1, 2); });
}

Partition AnyPartition(Random& random) {
  Partition partition;
  const uint64_t count = random.OneIn(1, 20) ? kMaxReplicas : 1 + random.Below(5);
  int32_t id = -1;
  for (uint64_t i = 0; i < count; ++i) {
    id += 1 + static_cast<int32_t>(random.Below(random.OneIn(1, 5) ? 30'000'000 : 100));
    partition.replicas.push_back(BrokerId{id});
  }
  partition.isr = AnyPart(partition.replicas, random);
  partition.leader = partition.isr.empty() ? kNoLeader : partition.isr.back();
  if (random.OneIn(1, 2)) {
    partition.elr = AnyPart(partition.replicas, random);
    partition.adding = AnyPart(partition.replicas, random);
    partition.removing = AnyPart(partition.replicas, random);
    partition.last_known_leader = partition.replicas.back();
  }
  partition.leader_epoch = static_cast<int32_t>(random.Below(INT32_MAX));
  partition.partition_epoch = static_cast<int32_t>(random.Below(200));
  partition.leader_recovery_state = random.OneIn(1, 2) ? v1::LEADER_RECOVERY_STATE_RECOVERED
                                                       : v1::LEADER_RECOVERY_STATE_RECOVERING;
  return partition;
}

TEST(PartitionRowTest, ComesBackAsItWas) {
  Random random(1);
  for (int i = 0; i < 2'000; ++i) {
    const Partition partition = AnyPartition(random);
    const std::string row = EncodeRow(partition);
    ASSERT_EQ(DecodeRow(row), partition);
    for (const BrokerId id : partition.replicas) {
      ASSERT_TRUE(RowHasReplica(row, id));
    }
    ASSERT_FALSE(RowHasReplica(row, partition.replicas.back() + 1));
  }
}

TEST(PartitionRowTest, OfAnOrdinaryPartitionTakesADozenBytes) {
  Partition partition;
  partition.replicas = partition.isr = {BrokerId{17}, BrokerId{99}, BrokerId{3}};
  partition.leader = BrokerId{17};
  partition.leader_epoch = 3;
  partition.partition_epoch = 100;
  EXPECT_LE(EncodeRow(partition).size(), 12u);
}

TEST(PartitionListTest, IsTheListThatIsPutIn) {
  Random random(2);
  PartitionList list;
  std::vector<Partition> model;
  std::vector<std::pair<PartitionList, std::vector<Partition>>> old;
  for (int step = 0; step < 1'500; ++step) {
    const Partition partition = AnyPartition(random);
    if (model.empty() || random.OneIn(1, 3)) {
      list.Append(EncodeRow(partition));
      model.push_back(partition);
    } else {
      const auto index = static_cast<int32_t>(random.Below(model.size()));
      list.Replace(index, EncodeRow(partition));
      model[static_cast<size_t>(index)] = partition;
    }
    if (step % 100 == 0) {
      old.emplace_back(list, model);
    }
  }
  old.emplace_back(list, model);
  for (const auto& [then, expected] : old) {
    ASSERT_EQ(then.size(), static_cast<int32_t>(expected.size()));
    size_t next = 0;
    for (const auto& [index, partition] : then) {
      ASSERT_EQ(index, static_cast<int32_t>(next));
      ASSERT_EQ(partition, expected[next]);
      ASSERT_EQ(then.Find(index), expected[next]);
      ++next;
    }
    ASSERT_EQ(next, expected.size());
  }
}

TEST(PartitionListTest, StartsAnywhereAndKnowsItsEnds) {
  Random random(3);
  PartitionList list;
  EXPECT_EQ(list.begin(), list.end());
  EXPECT_EQ(list.Find(0), std::nullopt);
  for (int i = 0; i < 200; ++i) {
    list.Append(EncodeRow(AnyPartition(random)));
  }
  for (const int32_t index : {0, 63, 64, 65, 127, 128, 199}) {
    EXPECT_EQ(list.From(index)->index, index);
    EXPECT_EQ(list.From(index)->partition, list.Find(index));
  }
  EXPECT_EQ(list.From(-5)->index, 0);
  EXPECT_EQ(list.From(200), list.end());
  EXPECT_EQ(list.From(INT32_MAX), list.end());
  EXPECT_EQ(list.Find(200), std::nullopt);
  EXPECT_EQ(list.Find(-1), std::nullopt);
}

TEST(PartitionListTest, VisitsThePartitionsOfABroker) {
  PartitionList list;
  std::vector<int32_t> expected;
  for (int32_t i = 0; i < 300; ++i) {
    Partition partition;
    partition.replicas = {BrokerId{i % 7}, BrokerId{10 + i % 3}};
    list.Append(EncodeRow(partition));
    if (i % 7 == 4) {
      expected.push_back(i);
    }
  }
  std::vector<int32_t> visited;
  EXPECT_TRUE(list.VisitHostedBy(BrokerId{4}, 0, [&](int32_t index, const Partition& partition) {
    EXPECT_EQ(partition.replicas.front(), BrokerId{4});
    visited.push_back(index);
    return true;
  }));
  EXPECT_EQ(visited, expected);
}

TEST(PartitionListTest, VisitsFromAnyPlaceUntilItIsTold) {
  PartitionList list;
  Partition partition;
  partition.replicas = {BrokerId{4}, BrokerId{300}};
  for (int32_t i = 0; i < 300; ++i) {
    list.Append(EncodeRow(partition));
  }
  for (const int32_t first : {0, 1, 63, 64, 130, 299, 300}) {
    int32_t next = first;
    EXPECT_TRUE(list.VisitHostedBy(BrokerId{300}, first, [&next](int32_t index, const Partition&) {
      EXPECT_EQ(index, next);
      ++next;
      return true;
    }));
    EXPECT_EQ(next, 300) << "from " << first;
  }
  int32_t last = 0;
  EXPECT_FALSE(list.VisitHostedBy(BrokerId{4}, 60, [&last](int32_t index, const Partition&) {
    last = index;
    return index < 70;
  }));
  EXPECT_EQ(last, 70);
}

}  // namespace
}  // namespace kvorum
