#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/metadata/metadata_world.h"

namespace kvorum {
namespace {

v1::AllocateProducerIdsRequest Allocate(const World& world, int32_t broker) {
  v1::AllocateProducerIdsRequest request;
  request.set_broker_id(broker);
  if (const Broker* found = world.image().brokers().Find(BrokerId{broker})) {
    request.set_broker_epoch(found->epoch.value());
  }
  return request;
}

TEST(ProducerIdsTest, BlocksOfAThousandNeverOverlap) {
  World world;
  world.AddBrokers({1, 2});
  for (int64_t block = 0; block < 5; ++block) {
    const auto response = world.Run(Allocate(world, block % 2 == 0 ? 1 : 2));
    ASSERT_TRUE(response.ok()) << response.status();
    EXPECT_EQ(response->first_producer_id(), block * 1'000);
    EXPECT_EQ(response->count(), 1'000);
  }
  EXPECT_EQ(world.image().producer_ids().next_producer_id(), 5'000);
}

TEST(ProducerIdsTest, ChecksTheBrokersEpoch) {
  World world;
  world.AddBrokers({1});
  EXPECT_THAT(world.Run(Allocate(world, 9)), HasReason(ErrorReason::kBrokerIdNotRegistered));
  EXPECT_THAT(world.Run(Allocate(world, -1)), HasReason(ErrorReason::kInvalidRequest));
  v1::AllocateProducerIdsRequest stale = Allocate(world, 1);
  stale.set_broker_epoch(stale.broker_epoch() - 1);
  EXPECT_THAT(world.Run(stale), HasReason(ErrorReason::kStaleBrokerEpoch));
  EXPECT_EQ(world.image().producer_ids().next_producer_id(), 0);
}

TEST(ProducerIdsTest, EndsWhereTheNumbersEnd) {
  World world;
  world.AddBrokers({1});
  v1::MetadataRecord record;
  record.mutable_producer_ids()->set_next_producer_id(std::numeric_limits<int64_t>::max() - 1'500);
  world.Apply({record});
  EXPECT_TRUE(world.Run(Allocate(world, 1)).ok());
  EXPECT_THAT(world.Run(Allocate(world, 1)), HasReason(ErrorReason::kLimitExceeded));
}

TEST(ProducerIdsDeltaDeathTest, RefusesIdsThatWereGivenAlready) {
  World world;
  v1::MetadataRecord record;
  record.mutable_producer_ids()->set_next_producer_id(1'000);
  world.Apply({record});
  EXPECT_EXIT(world.Apply({record}), testing::ExitedWithCode(70),
              "offset 2: next producer id is 1000");
}

}  // namespace
}  // namespace kvorum
