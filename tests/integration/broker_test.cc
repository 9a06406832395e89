// Brokers: registration, heartbeats, fencing, and what becomes of the partitions that they lead.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "kvorum/v1/broker.grpc.pb.h"
#include "tests/integration/demo_broker_process.h"
#include "tests/integration/fake_broker.h"
#include "tests/integration/test_util.h"

namespace kvorum::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

constexpr milliseconds kSession{2000};  // must be more than the fetch timeout

ClusterOptions ShortSessions() {
  ClusterOptions options;
  options.run_flags = {"--broker-session-timeout-ms", std::to_string(kSession.count())};
  return options;
}

std::map<int32_t, v1::BrokerInfo> ListBrokers(client::ControllerClient& client) {
  std::map<int32_t, v1::BrokerInfo> brokers;
  const auto answer = client.ListBrokers({});
  EXPECT_TRUE(answer.ok());
  if (answer.ok()) {
    for (const v1::BrokerInfo& broker : answer->brokers()) {
      brokers[broker.broker_id()] = broker;
    }
  }
  return brokers;
}

v1::GetTopicResponse GetTopic(client::ControllerClient& client, const std::string& name) {
  v1::GetTopicRequest request;
  request.mutable_topic()->set_name(name);
  const auto answer = client.GetTopic(request);
  EXPECT_TRUE(answer.ok());
  return answer.ok() ? *answer : v1::GetTopicResponse();
}

std::vector<int32_t> LeadersOf(const v1::GetTopicResponse& topic) {
  std::vector<int32_t> leaders;
  for (const v1::PartitionInfo& partition : topic.partitions()) {
    leaders.push_back(partition.leader());
  }
  return leaders;
}

// One partition with these replicas.
v1::CreateTopicsResponse::Result CreateTopic(client::ControllerClient& client,
                                             const std::string& name,
                                             const std::vector<int32_t>& replicas) {
  v1::CreateTopicsRequest request;
  v1::NewTopic* topic = request.add_topics();
  topic->set_name(name);
  topic->add_assignments()->mutable_replicas()->Assign(replicas.begin(), replicas.end());
  const auto answer = client.CreateTopics(request);
  EXPECT_TRUE(answer.ok());
  return answer.ok() ? answer->results(0) : v1::CreateTopicsResponse::Result();
}

TEST(BrokerTest, ABrokerIsUnfencedOnceItHasCaughtUpAndFencedWhenItFallsSilent) {
  Cluster cluster(ShortSessions());
  cluster.StartAll();
  const auto client = cluster.MakeClient();
  FakeBroker broker(*client, 7);
  ASSERT_TRUE(broker.Register());
  EXPECT_TRUE(ListBrokers(*client).at(7).fenced());
  EXPECT_EQ(ListBrokers(*client).at(7).broker_epoch(), broker.epoch());

  const auto behind = broker.Heartbeat(0);
  ASSERT_TRUE(behind.ok()) << client::ToText(behind.error());
  EXPECT_TRUE(behind->is_fenced());
  EXPECT_FALSE(behind->is_caught_up());

  ASSERT_TRUE(broker.BecomeUnfenced());
  const v1::BrokerInfo active = ListBrokers(*client).at(7);
  EXPECT_FALSE(active.fenced());
  EXPECT_GT(active.applied_offset(), broker.epoch());
  EXPECT_GE(active.last_heartbeat_age_ms(), 0);

  EXPECT_TRUE(Eventually([&] { return ListBrokers(*client).at(7).fenced(); }, kSession * 4));
  ASSERT_TRUE(broker.BecomeUnfenced()) << "its epoch is still good";
}

TEST(BrokerTest, AnotherProcessWithTheSameIdWaitsUntilTheSessionOfTheFirstIsOver) {
  Cluster cluster(ShortSessions());
  cluster.StartAll();
  const auto client = cluster.MakeClient();
  FakeBroker first(*client, 1);
  ASSERT_TRUE(first.Register());
  const int64_t epoch = first.epoch();
  ASSERT_TRUE(first.Register()) << "idempotent for one incarnation";
  EXPECT_EQ(first.epoch(), epoch);
  ASSERT_TRUE(first.Heartbeat(0).ok()) << "its session begins here";

  FakeBroker second(*client, 1);
  const auto refused = second.TryRegister(milliseconds(100));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(refused.error().reason, v1::DUPLICATE_BROKER_REGISTRATION);

  ASSERT_TRUE(Eventually([&] { return second.TryRegister(milliseconds(100)).ok(); }, kSession * 4));
  EXPECT_GT(second.epoch(), epoch);
  const auto stale = first.Heartbeat(0);
  ASSERT_FALSE(stale.ok());
  EXPECT_EQ(stale.error().reason, v1::STALE_BROKER_EPOCH);
}

TEST(BrokerTest, TheNextProcessTakesOverAtOnceWhenTheOneBeforeIsKilled) {
  ClusterOptions options;
  options.run_flags = {"--broker-session-timeout-ms", "600000"};  // nobody waits for that
  Cluster cluster(options);
  cluster.StartAll();
  ASSERT_GE(cluster.WaitForLeader(), 0);
  DemoBrokerProcess first(cluster, 1);
  first.Start();
  ASSERT_TRUE(first.AwaitUnfenced()) << first.ReadLog();
  const auto client = cluster.MakeClient();
  FakeBroker second(*client, 1);
  const auto refused = second.TryRegister(milliseconds(100));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().reason, v1::DUPLICATE_BROKER_REGISTRATION);

  first.Kill();
  const auto killed = std::chrono::steady_clock::now();
  ASSERT_TRUE(Eventually([&] { return second.TryRegister(milliseconds(200)).ok(); }));
  EXPECT_LT(std::chrono::steady_clock::now() - killed, std::chrono::seconds(2));
}

TEST(BrokerTest, ABrokerWhoseCallRanIntoItsDeadlineIsNotReplaced) {
  ClusterOptions options;
  options.run_flags = {"--broker-session-timeout-ms", "600000"};
  Cluster cluster(options);
  cluster.StartAll();
  ASSERT_GE(cluster.WaitForLeader(), 0);
  const auto client = cluster.MakeClient();
  FakeBroker first(*client, 1);
  ASSERT_TRUE(first.Register());
  ASSERT_TRUE(first.Heartbeat(0).ok());
  v1::HoldSessionRequest request;
  request.set_broker_id(1);
  request.set_broker_epoch(first.epoch());
  const auto stub = v1::BrokerService::NewStub(client->endpoints()->Connect(
      client->endpoints()->Preferred(), std::chrono::system_clock::now() + kPatience));
  const auto hold = [&](grpc::ClientContext& context) {
    v1::HoldSessionResponse response;
    return stub->HoldSession(&context, request, &response);
  };
  grpc::ClientContext cut;
  cut.set_deadline(std::chrono::system_clock::now() + milliseconds(300));
  EXPECT_EQ(hold(cut).error_code(), grpc::StatusCode::DEADLINE_EXCEEDED) << "it stays open";

  FakeBroker second(*client, 1);
  const auto refused = second.TryRegister(milliseconds(100));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().reason, v1::DUPLICATE_BROKER_REGISTRATION);

  request.set_broker_epoch(first.epoch() + 1);
  grpc::ClientContext stale;
  EXPECT_EQ(hold(stale).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
}

TEST(BrokerTest, LeadershipOfPartitionsFollowsTheLifeOfTheBrokers) {
  Cluster cluster(ShortSessions());
  cluster.StartAll();
  ASSERT_GE(cluster.WaitForLeader(), 0);
  std::vector<DemoBrokerProcess> brokers;
  for (int32_t id = 1; id <= 3; ++id) {
    brokers.emplace_back(cluster, id, fmt::format("rack-{}", id));
    brokers.back().Start();
  }
  for (const DemoBrokerProcess& broker : brokers) {
    ASSERT_TRUE(broker.AwaitUnfenced()) << broker.ReadLog();
  }
  const auto client = cluster.MakeClient();
  ASSERT_EQ(CreateTopic(*client, "wide", {1, 2, 3}).status().code(), 0);
  ASSERT_EQ(CreateTopic(*client, "narrow", {1}).status().code(), 0);
  EXPECT_THAT(LeadersOf(GetTopic(*client, "wide")), ElementsAre(1));
  EXPECT_THAT(LeadersOf(GetTopic(*client, "narrow")), ElementsAre(1));
  const int32_t epoch = GetTopic(*client, "wide").partitions(0).leader_epoch();

  brokers[0].Kill();
  ASSERT_TRUE(Eventually([&] { return LeadersOf(GetTopic(*client, "wide"))[0] == 2; }));
  const v1::PartitionInfo moved = GetTopic(*client, "wide").partitions(0);
  EXPECT_THAT(moved.isr(), ElementsAre(2, 3));
  EXPECT_GT(moved.leader_epoch(), epoch);
  // Nobody else has its data: no leader until it returns.
  const v1::GetTopicResponse narrow = GetTopic(*client, "narrow");
  EXPECT_THAT(LeadersOf(narrow), ElementsAre(-1));
  EXPECT_THAT(narrow.partitions(0).isr(), ::testing::IsEmpty());
  EXPECT_THAT(narrow.partitions(0).eligible_leader_replicas(), ElementsAre(1));
  EXPECT_EQ(narrow.topic().leaderless_partition_count(), 1);

  brokers[0].Start();
  ASSERT_TRUE(brokers[0].AwaitUnfenced()) << brokers[0].ReadLog();
  EXPECT_TRUE(Eventually([&] { return LeadersOf(GetTopic(*client, "narrow"))[0] == 1; }));
  EXPECT_THAT(LeadersOf(GetTopic(*client, "wide")), ElementsAre(2));

  // A broker that says goodbye is replaced at once, long before its session would end.
  EXPECT_EQ(brokers[1].Stop(), 0) << brokers[1].ReadLog();
  EXPECT_THAT(LeadersOf(GetTopic(*client, "wide")), ElementsAre(3));
  EXPECT_TRUE(ListBrokers(*client).at(2).fenced());
}

TEST(BrokerTest, TopicsAreSpreadOverTheRacks) {
  Cluster cluster;
  cluster.StartAll();
  const auto client = cluster.MakeClient();
  std::vector<FakeBroker> brokers;
  for (int32_t id = 1; id <= 6; ++id) {
    brokers.emplace_back(*client, id, fmt::format("rack-{}", id % 3));
    ASSERT_TRUE(brokers.back().Register());
    ASSERT_TRUE(brokers.back().BecomeUnfenced());
  }
  v1::CreateTopicsRequest request;
  v1::NewTopic* topic = request.add_topics();
  topic->set_name("t");
  topic->set_partition_count(12);
  topic->set_replication_factor(3);
  const auto created = client->CreateTopics(request);
  ASSERT_TRUE(created.ok()) << client::ToText(created.error());
  ASSERT_EQ(created->results(0).status().code(), 0) << created->results(0).status().message();
  std::map<int32_t, int> leaders;
  const v1::GetTopicResponse spread = GetTopic(*client, "t");
  for (const v1::PartitionInfo& partition : spread.partitions()) {
    std::vector<int32_t> racks;
    for (const int32_t id : partition.replicas()) {
      racks.push_back(id % 3);
    }
    EXPECT_THAT(racks, UnorderedElementsAre(0, 1, 2));
    EXPECT_EQ(partition.leader(), partition.replicas(0));
    ++leaders[partition.leader()];
  }
  EXPECT_EQ(leaders.size(), 6U) << "every broker leads something";
}

TEST(BrokerTest, TheLeadingBrokerChangesItsInSyncReplicas) {
  Cluster cluster;
  cluster.StartAll();
  const auto client = cluster.MakeClient();
  std::vector<FakeBroker> brokers;
  for (int32_t id = 1; id <= 3; ++id) {
    brokers.emplace_back(*client, id);
    ASSERT_TRUE(brokers.back().Register());
    ASSERT_TRUE(brokers.back().BecomeUnfenced());
  }
  const std::string topic_id = CreateTopic(*client, "t", {1, 2, 3}).topic_id();
  v1::PartitionInfo now = GetTopic(*client, "t").partitions(0);
  const auto alter = [&](const FakeBroker& sender, const std::vector<int32_t>& isr) {
    v1::AlterPartitionRequest request;
    request.set_broker_id(sender.id());
    request.set_broker_epoch(sender.epoch());
    v1::AlterPartitionRequest::Item* item = request.add_partitions();
    item->set_topic_id(topic_id);
    item->set_leader_epoch(now.leader_epoch());
    item->set_partition_epoch(now.partition_epoch());
    for (const int32_t id : isr) {
      v1::IsrMember* member = item->add_new_isr();
      member->set_broker_id(id);
      member->set_broker_epoch(-1);
    }
    const auto answer = client->AlterPartition(request);
    EXPECT_TRUE(answer.ok());
    return answer.ok() ? answer->results(0) : v1::AlterPartitionResponse::Result();
  };
  const auto shrunk = alter(brokers[0], {1, 3});
  ASSERT_EQ(shrunk.status().code(), 0) << shrunk.status().message();
  EXPECT_THAT(shrunk.partition().isr(), ElementsAre(1, 3));
  EXPECT_EQ(shrunk.partition().leader_epoch(), now.leader_epoch()) << "the leader stays";
  EXPECT_EQ(shrunk.partition().partition_epoch(), now.partition_epoch() + 1);

  EXPECT_EQ(alter(brokers[0], {1, 2, 3}).status().reason(), "INVALID_UPDATE_VERSION")
      << "the epoch it knows is over";
  now = shrunk.partition();
  EXPECT_EQ(alter(brokers[1], {1, 2, 3}).status().reason(), "INVALID_REQUEST")
      << "only the leader may";
  const auto grown = alter(brokers[0], {3, 2, 1});
  ASSERT_EQ(grown.status().code(), 0) << grown.status().message();
  EXPECT_THAT(GetTopic(*client, "t").partitions(0).isr(), ElementsAre(1, 2, 3));
}

TEST(BrokerTest, AFailoverOfTheControllersFencesNobody) {
  Cluster cluster(ShortSessions());
  cluster.StartAll();
  ASSERT_GE(cluster.WaitForLeader(), 0);
  std::vector<DemoBrokerProcess> brokers;
  for (int32_t id = 1; id <= 3; ++id) {
    brokers.emplace_back(cluster, id);
    brokers.back().Start();
  }
  for (const DemoBrokerProcess& broker : brokers) {
    ASSERT_TRUE(broker.AwaitUnfenced()) << broker.ReadLog();
  }
  const auto client = cluster.MakeClient();
  const auto before = ListBrokers(*client);
  ASSERT_EQ(CreateTopic(*client, "t", {1, 2, 3}).status().code(), 0);
  const v1::PartitionInfo partition = GetTopic(*client, "t").partitions(0);
  for (int round = 0; round < 2; ++round) {
    const int leader = cluster.WaitForLeader();
    ASSERT_GE(leader, 0);
    cluster.Kill(leader);
    // Heartbeats reach the new leader.
    ASSERT_TRUE(Eventually([&] {
      const auto now = ListBrokers(*client);
      return std::all_of(now.begin(), now.end(),
                         [](const auto& broker) { return broker.second.applied_offset() > 0; });
    }));
    cluster.Start(leader);
    ASSERT_TRUE(Eventually([&] {
      const auto answer = cluster.Describe(leader);
      return answer.has_value() && answer->high_watermark() > 0;
    }));
  }
  for (const auto& [id, broker] : ListBrokers(*client)) {
    EXPECT_FALSE(broker.fenced()) << id;
    EXPECT_EQ(broker.broker_epoch(), before.at(id).broker_epoch()) << id;
  }
  EXPECT_EQ(GetTopic(*client, "t").partitions(0).leader_epoch(), partition.leader_epoch());
}

TEST(BrokerTest, AnUnregisteredBrokerIsGoneAndLeadsNothing) {
  Cluster cluster;
  cluster.StartAll();
  const auto client = cluster.MakeClient();
  std::vector<FakeBroker> brokers;
  for (int32_t id = 1; id <= 2; ++id) {
    brokers.emplace_back(*client, id);
    ASSERT_TRUE(brokers.back().Register());
    ASSERT_TRUE(brokers.back().BecomeUnfenced());
  }
  ASSERT_EQ(CreateTopic(*client, "t", {1, 2}).status().code(), 0);
  v1::UnregisterBrokerRequest request;
  request.set_broker_id(1);
  ASSERT_TRUE(client->UnregisterBroker(request).ok());
  EXPECT_FALSE(ListBrokers(*client).contains(1));
  EXPECT_THAT(LeadersOf(GetTopic(*client, "t")), ElementsAre(2));
  const auto beat = brokers[0].Heartbeat(0);
  ASSERT_FALSE(beat.ok());
  EXPECT_EQ(beat.error().reason, v1::BROKER_ID_NOT_REGISTERED);
}

}  // namespace
}  // namespace kvorum::testing
