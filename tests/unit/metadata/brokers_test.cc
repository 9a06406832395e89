// Registration, fencing and unfencing: KIP-631, KIP-841.

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/metadata/record_codec.h"
#include "tests/unit/metadata/metadata_world.h"

namespace kvorum {
namespace {

using testing::ElementsAre;

const Broker& GetBroker(const World& world, int32_t id) {
  return *world.image().brokers().Find(BrokerId{id});
}

TEST(RegisterBrokerTest, ANewBrokerStartsFencedWithTheOffsetOfItsRecordAsEpoch) {
  World world;
  world.AddBrokers({9});
  const Offset offset = world.next_offset();
  const auto response = world.Run(world.Registration(3));
  EXPECT_EQ(response->broker_epoch(), offset.value());
  EXPECT_EQ(GetBroker(world, 3).epoch, BrokerEpoch{offset.value()});
  EXPECT_TRUE(GetBroker(world, 3).is_fenced);
  EXPECT_EQ(GetBroker(world, 3).endpoints[0].host(), "broker-3");
}

TEST(RegisterBrokerTest, ALiveSessionRefusesAnotherIncarnation) {
  World world;
  ASSERT_TRUE(world.Run(world.Registration(3)).ok());
  world.liveness().live.insert(BrokerId{3});
  EXPECT_THAT(world.Run(world.Registration(3)),
              HasReason(ErrorReason::kDuplicateBrokerRegistration));
}

TEST(RegisterBrokerTest, AnotherIncarnationTakesOverFromWhoIsKnownToBeGone) {
  World world;
  const int64_t first = world.Run(world.Registration(3))->broker_epoch();
  world.liveness().live.insert(BrokerId{3});
  world.liveness().gone.insert(BrokerId{3});
  const auto second = world.Run(world.Registration(3));
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_GT(second->broker_epoch(), first);
}

TEST(RegisterBrokerTest, AnotherIncarnationTakesOverOnceTheSessionIsOver) {
  World world;
  const int64_t first = world.Run(world.Registration(3))->broker_epoch();
  const int64_t second = world.Run(world.Registration(3))->broker_epoch();
  EXPECT_GT(second, first);
}

TEST(RegisterBrokerTest, TheSameIncarnationAgainKeepsEpochAndFencing) {
  World world;
  v1::RegisterBrokerRequest request = world.Registration(3);
  const int64_t epoch = world.Run(request)->broker_epoch();
  world.Unfence(3);
  world.liveness().live.insert(BrokerId{3});
  const auto again = world.Plan(request);
  EXPECT_EQ(again->response.broker_epoch(), epoch);
  EXPECT_TRUE(again->records.empty());

  request.set_rack("r2");
  request.mutable_endpoints(0)->set_port(9093);
  EXPECT_EQ(world.Run(request)->broker_epoch(), epoch);
  EXPECT_EQ(GetBroker(world, 3).rack, "r2");
  EXPECT_EQ(GetBroker(world, 3).endpoints[0].port(), 9093u);
  EXPECT_EQ(GetBroker(world, 3).epoch, BrokerEpoch{epoch});
  EXPECT_FALSE(GetBroker(world, 3).is_fenced);
}

TEST(RegisterBrokerTest, CleansUpAfterTheOldIncarnationAndRegistersLast) {
  World world;
  world.AddBrokers({1, 2});
  world.AddTopic("t", {{1, 2}, {2, 1}});
  const Offset next = world.next_offset();
  const auto plan = world.Plan(world.Registration(1));
  ASSERT_EQ(plan->records.size(), 3u);
  EXPECT_TRUE(plan->records[0].has_partition_change());
  EXPECT_TRUE(plan->records[1].has_partition_change());
  EXPECT_TRUE(plan->records[2].has_register_broker());
  EXPECT_EQ(plan->response.broker_epoch(), next.value() + 2);
  EXPECT_EQ(plan->records[2].register_broker().broker_epoch(), next.value() + 2);
  world.Apply(plan->records);
  EXPECT_THAT(Ids(world.partition("t", 0).isr), ElementsAre(2));
  EXPECT_EQ(world.partition("t", 0).leader, BrokerId{2});
}

TEST(RegisterBrokerTest, MissingFieldsAreInvalidRequests) {
  World world;
  EXPECT_THAT(world.Run(v1::RegisterBrokerRequest()), HasReason(ErrorReason::kInvalidRequest));
  v1::RegisterBrokerRequest request = world.Registration(1);
  request.set_broker_id(-1);
  EXPECT_THAT(world.Run(request), HasReason(ErrorReason::kInvalidRequest));
  request = world.Registration(1);
  request.clear_incarnation_id();
  EXPECT_THAT(world.Run(request), HasReason(ErrorReason::kInvalidRequest));
  request = world.Registration(1);
  request.clear_endpoints();
  EXPECT_THAT(world.Run(request), HasReason(ErrorReason::kInvalidRequest));
}

class InvalidRegistrationTest : public testing::Test {
 protected:
  void ExpectInvalid(const v1::RegisterBrokerRequest& request) {
    EXPECT_THAT(world_.Run(request), HasReason(ErrorReason::kInvalidRegistration))
        << request.ShortDebugString();
  }

  World world_;
};

TEST_F(InvalidRegistrationTest, IncarnationIsNot16BytesOrAllZero) {
  v1::RegisterBrokerRequest request = world_.Registration(1);
  request.set_incarnation_id("short");
  ExpectInvalid(request);
  request.set_incarnation_id(std::string(16, '\0'));
  ExpectInvalid(request);
}

TEST_F(InvalidRegistrationTest, TooManyEndpointsOrTwoOfOneName) {
  v1::RegisterBrokerRequest request = world_.Registration(1);
  *request.add_endpoints() = request.endpoints(0);
  ExpectInvalid(request);
  for (int i = 0; i < 32; ++i) {
    request.mutable_endpoints(1)->set_name("L1");
    *request.add_endpoints() = request.endpoints(0);
    request.mutable_endpoints(i + 2)->set_name("M" + std::to_string(i));
  }
  ExpectInvalid(request);
  request.mutable_endpoints()->RemoveLast();
  request.mutable_endpoints()->RemoveLast();
  EXPECT_EQ(request.endpoints_size(), 32);
  EXPECT_TRUE(world_.Run(request).ok());
}

TEST_F(InvalidRegistrationTest, EndpointsWithoutUsableNameHostOrPort) {
  v1::RegisterBrokerRequest request = world_.Registration(1);
  v1::Endpoint& endpoint = *request.mutable_endpoints(0);
  for (const uint32_t port : {0u, 65'536u}) {
    endpoint.set_port(port);
    ExpectInvalid(request);
  }
  endpoint.set_port(65'535);
  for (const std::string& host :
       {std::string(), std::string(256, 'h'), std::string("a b"), std::string("a\nb")}) {
    endpoint.set_host(host);
    ExpectInvalid(request);
  }
  endpoint.set_host("[fe80::1%eth0]");
  for (const std::string& name : {std::string(), std::string(256, 'n'), std::string("\t")}) {
    endpoint.set_name(name);
    ExpectInvalid(request);
  }
  endpoint.set_name("PLAINTEXT");
  EXPECT_TRUE(world_.Run(request).ok());
}

TEST_F(InvalidRegistrationTest, RackOver255Bytes) {
  v1::RegisterBrokerRequest request = world_.Registration(1);
  request.set_rack(std::string(256, 'r'));
  ExpectInvalid(request);
}

TEST(UnregisterBrokerTest, ChangesPartitionsFirst) {
  World world;
  world.AddBrokers({1, 2});
  world.AddTopic("t", {{1, 2}});
  v1::UnregisterBrokerRequest request;
  request.set_broker_id(1);
  const auto plan = world.Plan(request);
  ASSERT_EQ(plan->records.size(), 2u);
  EXPECT_TRUE(plan->records[0].has_partition_change());
  EXPECT_TRUE(plan->records[1].has_unregister_broker());
  world.Apply(plan->records);
  EXPECT_EQ(world.image().brokers().Find(BrokerId{1}), nullptr);
  EXPECT_EQ(world.partition("t", 0).leader, BrokerId{2});
}

TEST(UnregisterBrokerTest, ItIsNeitherInSyncNorEligibleAnyMore) {
  World world;
  world.AddBrokers({1, 2});
  world.AddTopic("t", {{1, 2}}, 2);
  world.Fence(1);
  ASSERT_THAT(Ids(world.partition("t", 0).elr), ElementsAre(1));
  v1::UnregisterBrokerRequest request;
  request.set_broker_id(1);
  const auto plan = world.Plan(request);
  ASSERT_EQ(plan->records.size(), 2u);
  EXPECT_TRUE(plan->records.back().has_unregister_broker());
  world.Apply(plan->records);
  EXPECT_THAT(Ids(world.partition("t", 0).elr), testing::IsEmpty());
  EXPECT_THAT(Ids(world.partition("t", 0).isr), ElementsAre(2));
}

TEST(UnregisterBrokerTest, RefusesAnUnknownBroker) {
  World world;
  v1::UnregisterBrokerRequest request;
  request.set_broker_id(1);
  EXPECT_THAT(world.Run(request), HasReason(ErrorReason::kBrokerIdNotRegistered));
  request.set_broker_id(-5);
  EXPECT_THAT(world.Run(request), HasReason(ErrorReason::kInvalidRequest));
}

TEST(BrokerEpochTest, MustBeThatOfTheRegistration) {
  World world;
  world.AddBrokers({1});
  const BrokerEpoch epoch = GetBroker(world, 1).epoch;
  const BrokersImage& brokers = world.image().brokers();
  EXPECT_TRUE(CheckBrokerEpoch(brokers, BrokerId{1}, epoch).ok());
  EXPECT_THAT(CheckBrokerEpoch(brokers, BrokerId{1}, epoch - 1),
              HasReason(ErrorReason::kStaleBrokerEpoch));
  EXPECT_THAT(CheckBrokerEpoch(brokers, BrokerId{1}, epoch + 1),
              HasReason(ErrorReason::kStaleBrokerEpoch));
  EXPECT_THAT(CheckBrokerEpoch(brokers, BrokerId{2}, epoch),
              HasReason(ErrorReason::kBrokerIdNotRegistered));
}

TEST(IsCaughtUpTest, NeedsTheBrokersOwnRegistrationRecord) {
  Broker broker;
  broker.epoch = BrokerEpoch{7};
  EXPECT_FALSE(IsCaughtUp(broker, Offset{7}));  // exclusive end: 7 itself is not applied
  EXPECT_TRUE(IsCaughtUp(broker, Offset{8}));
}

TEST(FenceBrokerTest, MovesLeadersBeforeItMarksTheBroker) {
  World world;
  world.AddBrokers({1, 2, 3, 4});
  world.AddTopic("t", {{1, 2, 3}, {2, 3, 1}, {2, 3, 4}});
  const auto records = FenceBroker(world.image(), BrokerId{1});
  ASSERT_EQ(records.size(), 3u);
  EXPECT_TRUE(records[0].has_partition_change());
  EXPECT_TRUE(records[1].has_partition_change());
  EXPECT_TRUE(records[2].broker_registration_change().fenced());
  world.Apply(records);
  EXPECT_THAT(Ids(world.partition("t", 0).isr), ElementsAre(2, 3));
  EXPECT_EQ(world.partition("t", 0).leader, BrokerId{2});
  EXPECT_THAT(Ids(world.partition("t", 1).isr), ElementsAre(2, 3));
  EXPECT_THAT(Ids(world.partition("t", 2).isr), ElementsAre(2, 3, 4));
  EXPECT_EQ(world.partition("t", 2).partition_epoch, 0);
}

TEST(FenceBrokerTest, OfAFencedOrUnknownBrokerIsNothing) {
  World world;
  world.AddBrokers({1});
  world.Fence(1);
  EXPECT_TRUE(FenceBroker(world.image(), BrokerId{1}).empty());
  EXPECT_TRUE(FenceBroker(world.image(), BrokerId{2}).empty());
}

TEST(UnfenceBrokerTest, MarksTheBrokerBeforeItLeads) {
  World world;
  world.AddBrokers({1, 2});
  world.AddTopic("t", {{1}});
  world.AddTopic("u", {{2, 1}});
  world.Fence(1);
  EXPECT_EQ(world.partition("t", 0).leader, kNoLeader);
  const auto records = UnfenceBroker(world.image(), BrokerId{1});
  ASSERT_EQ(records.size(), 2u);
  EXPECT_FALSE(records[0].broker_registration_change().fenced());
  EXPECT_EQ(records[1].partition_change().leader(), 1);
  world.Apply(records);
  EXPECT_EQ(world.partition("t", 0).leader, BrokerId{1});
  // It is no longer in sync there, and someone else leads.
  EXPECT_THAT(Ids(world.partition("u", 0).isr), ElementsAre(2));
  EXPECT_TRUE(UnfenceBroker(world.image(), BrokerId{1}).empty());
}

TEST(FenceBrokerTest, ResultsLargerThanABatchCanBeCut) {
  World world;
  world.AddBrokers({1, 2});
  for (int t = 0; t < 3; ++t) {
    v1::CreateTopicsRequest request;
    v1::NewTopic& topic = *request.add_topics();
    topic.set_name("t" + std::to_string(t));
    topic.set_partition_count(4'000);
    topic.set_replication_factor(2);
    ASSERT_TRUE(world.Run(request).ok());
  }
  const auto records = FenceBroker(world.image(), BrokerId{1});
  ASSERT_EQ(records.size(), 12'001u);
  const auto batches = SplitIntoBatches(records);
  ASSERT_EQ(batches.size(), 2u);
  for (const auto& batch : batches) {
    EXPECT_TRUE(CheckFitsOneBatch(batch).ok());
    world.Apply(batch);
  }
  EXPECT_TRUE(GetBroker(world, 1).is_fenced);
  EXPECT_EQ(world.topic("t0").count(PartitionTrait::kLeaderless), 0);
}

TEST(FenceBrokerTest, InStepsSaysTheSameAsAtOnce) {
  World world;
  world.AddBrokers({1, 2, 3});
  for (const char* name : {"a", "b", "c"}) {
    v1::CreateTopicsRequest request;
    v1::NewTopic& topic = *request.add_topics();
    topic.set_name(name);
    topic.set_partition_count(70);
    topic.set_replication_factor(2);
    ASSERT_TRUE(world.Run(request).ok());
  }
  const auto at_once = FenceBroker(world.image(), BrokerId{1});
  std::vector<v1::MetadataRecord> in_steps;
  SweepStep step;
  while (!step.is_done) {
    step = FenceBroker(world.image(), BrokerId{1}, step.next, 9);
    EXPECT_LE(step.records.size(), step.is_done ? 10u : 9u);
    in_steps.insert(in_steps.end(), step.records.begin(), step.records.end());
    world.Apply(step.records);
  }
  EXPECT_TRUE(GetBroker(world, 1).is_fenced);
  ASSERT_GT(at_once.size(), 100u);
  EXPECT_EQ(EncodeRecords(in_steps), EncodeRecords(at_once));
}

TEST(ListBrokersTest, ShowsSoftStateWhereItIsKnown) {
  World world;
  world.AddBrokers({2, 1});
  world.Fence(2);
  world.liveness().live.insert(BrokerId{1});
  world.liveness().applied[BrokerId{1}] = Offset{4};
  world.liveness().rejection = "unknown record";
  const auto known = world.Read(v1::ListBrokersRequest());
  ASSERT_EQ(known->brokers_size(), 2);
  EXPECT_EQ(known->brokers(0).broker_id(), 1);
  EXPECT_FALSE(known->brokers(0).fenced());
  EXPECT_EQ(known->brokers(0).applied_offset(), 4);
  EXPECT_EQ(known->brokers(0).last_heartbeat_age_ms(), 250);
  EXPECT_EQ(known->brokers(0).last_rejection(), "unknown record");
  EXPECT_TRUE(known->brokers(1).fenced());
  EXPECT_EQ(known->brokers(1).applied_offset(), -1);

  const auto unknown = Query(QueryContext{world.image()}, v1::ListBrokersRequest());
  EXPECT_EQ(unknown->brokers(0).applied_offset(), -1);
  EXPECT_EQ(unknown->brokers(0).last_heartbeat_age_ms(), -1);
}

TEST(ListBrokersTest, PagesById) {
  World world;
  world.AddBrokers({10, 9, 0});
  v1::ListBrokersRequest request;
  request.mutable_page()->set_page_size(2);
  const auto first = world.Read(request);
  ASSERT_EQ(first->brokers_size(), 2);
  EXPECT_EQ(first->brokers(0).broker_id(), 0);
  EXPECT_EQ(first->brokers(1).broker_id(), 9);
  *request.mutable_page()->mutable_page_token() = first->page().next_page_token();
  const auto second = world.Read(request);
  ASSERT_EQ(second->brokers_size(), 1);
  EXPECT_EQ(second->brokers(0).broker_id(), 10);
  EXPECT_EQ(second->page().next_page_token(), "");
}

TEST(BrokersDeltaDeathTest, RefusesRecordsThatCannotApply) {
  World world;
  world.AddBrokers({1});
  v1::MetadataRecord change;
  change.mutable_broker_registration_change()->set_broker_id(1);
  change.mutable_broker_registration_change()->set_broker_epoch(99);
  EXPECT_EXIT(world.Apply({change}), testing::ExitedWithCode(70), "offset 3: broker epoch is 1");
  v1::MetadataRecord removal;
  removal.mutable_unregister_broker()->set_broker_id(2);
  EXPECT_EXIT(world.Apply({removal}), testing::ExitedWithCode(70), "offset 3: not registered");
}

}  // namespace
}  // namespace kvorum
