// Real nodes over memory disks: elections, commands, queries, failures and shutdown.
#include "server/node/node.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "tests/unit/node/test_cluster.h"

namespace kvorum {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class OneNodeTest : public testing::Test {
 protected:
  Node& node() { return cluster.at(1).node(); }
  TestController& machine() { return cluster.at(1); }
  void Begin() {
    cluster.StartAll();
    cluster.Elect();
  }
  void TurnAt(Now now) { machine().RunTasks(now); }
  CommandAnswer PutNow(const std::string& key, const std::string& value) {
    const CommandAnswer put = cluster.Submit(1, PutRequest(key, value));
    cluster.Settle();
    return put;
  }

  TestCluster cluster{1};
};

TEST_F(OneNodeTest, ElectsItselfCommitsAndAnswers) {
  Begin();
  EXPECT_EQ(machine().active_log, (std::vector<std::pair<Epoch, bool>>{{Epoch(1), true}}));
  const CommandAnswer put = cluster.Submit(1, PutRequest("key", "value"));
  EXPECT_TRUE(put->is_waiting());
  node().Execute(cluster.now);
  EXPECT_TRUE(put->is_waiting()) << "the write is not yet on disk";
  cluster.Settle();
  ASSERT_TRUE(put->is_ok()) << put->status();
  EXPECT_EQ(put->times, 1);
  const auto& response = put->As<v1::PutEntryResponse>();
  EXPECT_EQ(response.header().cluster_id(), kTestCluster);
  EXPECT_EQ(response.header().node_id(), 1);
  EXPECT_EQ(response.header().leader_id(), 1);
  EXPECT_EQ(response.header().leader_epoch(), 1);
  EXPECT_EQ(response.header().committed().offset(), response.version() + 1);
  EXPECT_EQ(response.header().committed().generation(), kTestGeneration);
  EXPECT_EQ(response.header().committed().epoch(), 1);
  EXPECT_EQ(response.header().applied().SerializeAsString(),
            response.header().committed().SerializeAsString());
}

TEST_F(OneNodeTest, RefusesClientsUntilItsEpochIsCommitted) {
  cluster.Start(1);
  machine().disk_is_slow = true;
  const QueryAnswer local = cluster.Query(1, GetRequest("key", true));
  EXPECT_EQ(local->reason(), ErrorReason::kLeaderNotAvailable)
      << "nothing is known to be committed: an empty answer would be a lie";
  node().HandleTimer(cluster.now);
  node().Execute(cluster.now);
  while (!node().core().is_leader()) {
    ASSERT_TRUE(machine().storage().CompleteNextWrite());
    TurnAt(cluster.now);
  }
  ASSERT_FALSE(node().active_controller().is_active());
  const CommandAnswer early = cluster.Submit(1, PutRequest("key", "value"));
  EXPECT_EQ(early->reason(), ErrorReason::kLeaderNotAvailable);
  const QueryAnswer query = cluster.Query(1, GetRequest("key"));
  TurnAt(cluster.now);
  EXPECT_TRUE(query->is_waiting()) << "older commits may be unknown";
  machine().disk_is_slow = false;
  cluster.Settle();
  EXPECT_TRUE(node().active_controller().is_active());
  EXPECT_EQ(query->reason(), ErrorReason::kUnknownKey);
  EXPECT_EQ(query->times, 1);
}

TEST_F(OneNodeTest, ReadsWhatWasAcknowledged) {
  Begin();
  for (int i = 0; i < 5; ++i) {
    PutNow("key", std::to_string(i));
    const QueryAnswer get = cluster.Query(1, GetRequest("key"));
    cluster.Settle();
    ASSERT_TRUE(get->is_ok()) << get->status();
    EXPECT_EQ(get->As<v1::GetEntryResponse>().entry().value(), std::to_string(i));
    EXPECT_EQ(get->times, 1);
  }
}

TEST_F(OneNodeTest, DoesNotShowWhatIsNotCommitted) {
  Begin();
  machine().disk_is_slow = true;
  cluster.Submit(1, PutRequest("key", "value"));
  cluster.Settle();
  for (const bool local : {true, false}) {
    const QueryAnswer get = cluster.Query(1, GetRequest("key", local));
    cluster.Settle();
    EXPECT_EQ(get->reason(), ErrorReason::kUnknownKey);
  }
}

TEST_F(OneNodeTest, RefusesAnotherClustersRequests) {
  Begin();
  v1::PutEntryRequest put = PutRequest("key", "value");
  put.set_cluster_id("other");
  EXPECT_EQ(cluster.Submit(1, put)->reason(), ErrorReason::kInconsistentClusterId);
  v1::GetEntryRequest get = GetRequest("key", true);
  get.set_cluster_id(std::string(100'000, 'x'));
  const QueryAnswer refused = cluster.Query(1, get);
  EXPECT_EQ(refused->reason(), ErrorReason::kInconsistentClusterId);
  EXPECT_LT(refused->status().message().size(), 1000u);
  v1::HeartbeatRequest heartbeat;
  heartbeat.set_cluster_id("other");
  auto beat = std::make_shared<Answer<controller::BrokerReportReply>>();
  node().HandleBrokerReport(cluster.now, heartbeat, Into(beat));
  EXPECT_EQ(beat->reason(), ErrorReason::kInconsistentClusterId);
  v1::DescribeQuorumRequest describe;
  describe.set_cluster_id("other");
  auto description = std::make_shared<Answer<v1::DescribeQuorumResponse>>();
  node().HandleDescribeQuorum(cluster.now, describe, Into(description));
  EXPECT_EQ(description->reason(), ErrorReason::kInconsistentClusterId);
  put.set_cluster_id(kTestCluster);
  const CommandAnswer accepted = cluster.Submit(1, put);
  cluster.Settle();
  EXPECT_TRUE(accepted->is_ok());
}

TEST_F(OneNodeTest, AnswersBrokerReportsWithItsHeader) {
  Begin();
  v1::RegisterBrokerRequest registration;
  registration.set_broker_id(5);
  registration.set_incarnation_id(std::string(16, 'a'));
  v1::Endpoint& endpoint = *registration.add_endpoints();
  endpoint.set_name("PLAINTEXT");
  endpoint.set_host("host");
  endpoint.set_port(1);
  const CommandAnswer registered = cluster.Submit(1, registration);
  cluster.Settle();
  ASSERT_TRUE(registered->is_ok()) << registered->status();
  v1::HeartbeatRequest heartbeat;
  heartbeat.set_broker_id(5);
  heartbeat.set_broker_epoch(registered->As<v1::RegisterBrokerResponse>().broker_epoch());
  heartbeat.set_applied_offset(node().core().log_end_offset().value());
  auto beat = std::make_shared<Answer<controller::BrokerReportReply>>();
  node().HandleBrokerReport(cluster.now, heartbeat, Into(beat));
  EXPECT_TRUE(beat->is_waiting());
  cluster.Settle();
  ASSERT_TRUE(beat->is_ok()) << beat->status();
  EXPECT_FALSE(beat->As<v1::HeartbeatResponse>().is_fenced());
  EXPECT_EQ(beat->As<v1::HeartbeatResponse>().header().node_id(), 1);
  v1::ListBrokersRequest list;
  const QueryAnswer listed = cluster.Query(1, list);
  cluster.Settle();
  ASSERT_TRUE(listed->is_ok());
  EXPECT_EQ(listed->As<v1::ListBrokersResponse>().brokers(0).last_heartbeat_age_ms(), 0);
}

TEST_F(OneNodeTest, FeedsEveryCommitOnceAndInOrder) {
  Begin();
  for (int i = 0; i < 10; ++i) {
    cluster.Submit(1, PutRequest("key", std::to_string(i)));
  }
  cluster.Settle();
  ASSERT_FALSE(machine().commits.empty());
  EXPECT_EQ(machine().commits.front().payload, nullptr) << "control records are raft's own";
  EXPECT_EQ(machine().commits.back().to, node().core().log_end_offset());
  EXPECT_EQ(machine().leader.leader_id, NodeId(1));
  EXPECT_EQ(machine().leader.leader_endpoint, "client-1:9000");
  EXPECT_EQ(machine().leader.high_watermark, node().core().log_end_offset());
}

TEST_F(OneNodeTest, ReplaysTheCommittedLogToTheSameImage) {
  Begin();
  for (int i = 0; i < 200; ++i) {
    cluster.Submit(1, PutRequest("key-" + std::to_string(i % 17), std::string(300, 'v')));
    if (i % 5 == 0) {
      cluster.Settle();
    }
  }
  cluster.Settle();
  const uint64_t hash = machine().StateHash();
  const Offset end = node().core().log_end_offset();
  cluster.Kill(1);
  cluster.base_config.apply_max_bytes = 2000;  // in many steps, from the disk
  cluster.base_config.recent_batches_max_bytes = 1000;
  Begin();
  EXPECT_EQ(machine().StateHash(), hash);
  EXPECT_GT(machine().images, 10);
  EXPECT_EQ(machine().commits.back().from, end) << "the new epoch's first batch";
  EXPECT_GT(node().core().epoch(), Epoch(1));
  EXPECT_TRUE(PutNow("after", "restart")->is_ok());
}

TEST_F(OneNodeTest, LosesNothingThatWasAcknowledgedInACrash) {
  Begin();
  const CommandAnswer kept = PutNow("kept", "1");
  machine().disk_is_slow = true;
  const CommandAnswer lost = cluster.Submit(1, PutRequest("lost", "1"));
  cluster.Settle();
  EXPECT_TRUE(lost->is_waiting());
  cluster.Kill(1);
  Begin();
  EXPECT_TRUE(cluster.Query(1, GetRequest("kept", true))->is_ok());
  EXPECT_EQ(cluster.Query(1, GetRequest("lost", true))->reason(), ErrorReason::kUnknownKey);
}

TEST_F(OneNodeTest, StopsTakingCommandsWhileTooMuchIsNotYetDurable) {
  cluster.base_config.max_inflight_append_bytes = 1000;
  Begin();
  machine().disk_is_slow = true;
  EXPECT_TRUE(node().accepts_commands());
  cluster.Submit(1, PutRequest("key", std::string(2000, 'v')));
  cluster.Settle();
  EXPECT_FALSE(node().accepts_commands());
  machine().disk_is_slow = false;
  cluster.Settle();
  EXPECT_TRUE(node().accepts_commands());
}

// The committed end is known before the log is read back from the disk.
class SlowReplayTest : public OneNodeTest {
 protected:
  void RestartWithSlowReads() {
    Begin();
    PutNow("key", "value");
    cluster.Kill(1);
    cluster.Start(1);
    machine().reads_are_slow = true;
    cluster.RunUntil([&] { return node().core().high_watermark().has_value(); });
    ASSERT_EQ(node().committed_image()->provenance().end_offset, Offset(0));
    query = cluster.Query(1, GetRequest("key"));
    node().Execute(cluster.now);
    ASSERT_TRUE(query->is_waiting()) << "what it must reflect is not yet applied";
  }

  QueryAnswer query;
};

TEST_F(SlowReplayTest, HoldsAReadUntilWhatItMustReflectIsApplied) {
  RestartWithSlowReads();
  machine().reads_are_slow = false;
  cluster.Settle();
  ASSERT_TRUE(query->is_ok()) << query->status();
  EXPECT_EQ(query->As<v1::GetEntryResponse>().entry().value(), "value");
  EXPECT_EQ(query->times, 1);
}

TEST_F(SlowReplayTest, AnswersAReadThatStillWaitsWhenTheNodeStops) {
  RestartWithSlowReads();
  node().BeginShutdown(cluster.now);
  node().Execute(cluster.now);
  EXPECT_EQ(query->reason(), ErrorReason::kShuttingDown);
  EXPECT_TRUE(node().is_shut_down());
  machine().reads_are_slow = false;
  cluster.Settle();
  EXPECT_EQ(query->times, 1);
}

// --- storage failures ---

TEST_F(OneNodeTest, SaysThatTheStorageFailedOnceAndNothingElse) {
  Begin();
  const CommandAnswer first = cluster.Submit(1, PutRequest("a", "1"));
  node().Execute(cluster.now);
  const CommandAnswer second = cluster.Submit(1, PutRequest("b", "1"));
  node().Execute(cluster.now);
  machine().storage().FailNextWrite(absl::DataLossError("fsync failed"));
  cluster.Settle();
  ASSERT_EQ(machine().failures.size(), 1u);
  EXPECT_EQ(machine().failures[0].message(), "fsync failed");
  EXPECT_TRUE(first->is_waiting());
  EXPECT_TRUE(second->is_waiting());
  EXPECT_EQ(node().NextDeadline(), kNever);
  EXPECT_TRUE(node().is_shut_down());
  EXPECT_EQ(cluster.Submit(1, PutRequest("c", "1"))->reason(), ErrorReason::kShuttingDown);
  EXPECT_EQ(cluster.Query(1, GetRequest("a"))->reason(), ErrorReason::kShuttingDown);
  const size_t writes = machine().storage().pending_writes();
  cluster.now.now += seconds(60);
  node().HandleTimer(cluster.now);
  node().Execute(cluster.now);
  EXPECT_EQ(machine().storage().pending_writes(), writes);
  EXPECT_TRUE(machine().sent.empty());
  EXPECT_EQ(machine().failures.size(), 1u);
}

TEST_F(OneNodeTest, FailsOnALogItCannotReadBack) {
  Begin();
  PutNow("key", "value");
  cluster.Kill(1);
  cluster.Start(1);
  machine().reads_are_slow = true;
  cluster.RunUntil([&] { return machine().storage().pending_reads() > 0; });
  cluster.disk(1).mutable_batches().erase(Offset(0));
  machine().reads_are_slow = false;
  cluster.Settle();
  EXPECT_EQ(machine().failures.size(), 1u);
  EXPECT_EQ(machine().images, 0);
}

// --- shutdown ---

TEST_F(OneNodeTest, LetsPendingRepliesFinishBeforeItStops) {
  Begin();
  machine().disk_is_slow = true;
  const CommandAnswer pending = cluster.Submit(1, PutRequest("key", "value"));
  cluster.Settle();
  node().BeginShutdown(cluster.now);
  node().Execute(cluster.now);
  EXPECT_FALSE(node().is_shut_down());
  EXPECT_EQ(cluster.Submit(1, PutRequest("late", "1"))->reason(), ErrorReason::kShuttingDown);
  EXPECT_EQ(cluster.Query(1, GetRequest("key"))->reason(), ErrorReason::kShuttingDown);
  machine().disk_is_slow = false;
  cluster.Settle();
  EXPECT_TRUE(pending->is_ok()) << pending->status();
  EXPECT_TRUE(node().is_shut_down());
  EXPECT_EQ(pending->times, 1);
  EXPECT_EQ(machine().active_log.back(), (std::pair<Epoch, bool>{Epoch(1), false}));
}

TEST_F(OneNodeTest, AnswersWhatIsLeftWhenTheDrainTakesTooLong) {
  Begin();
  machine().disk_is_slow = true;
  const CommandAnswer pending = cluster.Submit(1, PutRequest("key", "value"));
  cluster.Settle();
  node().BeginShutdown(cluster.now);
  node().BeginShutdown(cluster.now);
  node().Execute(cluster.now);
  EXPECT_LE(node().NextDeadline(), cluster.now.now + milliseconds(1000));
  cluster.now.now += milliseconds(1000);
  node().HandleTimer(cluster.now);
  node().Execute(cluster.now);
  EXPECT_EQ(pending->reason(), ErrorReason::kOutcomeUnknown);
  EXPECT_EQ(pending->times, 1);
  EXPECT_TRUE(node().is_shut_down());
  machine().disk_is_slow = false;
  cluster.Settle();
  EXPECT_EQ(pending->times, 1);
}

// --- the committed log, for the publisher ---

class ReadCommittedTest : public OneNodeTest {
 protected:
  using Updates = std::vector<publish::CommittedUpdate>;

  std::shared_ptr<Answer<Updates>> Read(int64_t offset, int32_t epoch, size_t max_bytes = 1 << 20) {
    auto answer = std::make_shared<Answer<Updates>>();
    node().HandleReadCommitted(cluster.now, {Offset(offset), Epoch(epoch)}, max_bytes,
                               Into(answer));
    return answer;
  }
  void Fill() {
    Begin();
    for (int i = 0; i < 20; ++i) {
      PutNow("key", std::string(100, 'v'));
    }
    cluster.Settle();
  }
  void ExpectPrefixOfTheFeed(const Updates& updates, Offset from) {
    Offset next = from;
    for (const publish::CommittedUpdate& update : updates) {
      EXPECT_EQ(update.from, next);
      next = update.to;
      for (const publish::CommittedUpdate& fed : machine().commits) {
        if (fed.from == update.from) {
          EXPECT_EQ(fed.to, update.to);
          EXPECT_EQ(fed.epoch, update.epoch);
          EXPECT_EQ(fed.payload == nullptr, update.payload == nullptr);
          EXPECT_TRUE(fed.payload == nullptr || *fed.payload == *update.payload);
        }
      }
    }
  }
};

TEST_F(ReadCommittedTest, ReadsFromTheCache) {
  Fill();
  const Offset first_end = machine().commits.front().to;
  const auto all = Read(0, 0);
  ASSERT_TRUE(all->is_ok()) << all->status();
  EXPECT_EQ((*all->reply)->size(), machine().commits.size());
  ExpectPrefixOfTheFeed(**all->reply, Offset(0));
  const auto some = Read(first_end.value(), 1, 400);
  ASSERT_TRUE(some->is_ok());
  EXPECT_GT((*some->reply)->size(), 0u);
  EXPECT_LT((*some->reply)->size(), 5u);
  ExpectPrefixOfTheFeed(**some->reply, first_end);
  EXPECT_EQ(machine().storage().pending_reads(), 0u);
}

TEST_F(ReadCommittedTest, ReadsFromTheDiskWhatTheCacheHasDropped) {
  cluster.base_config.recent_batches_max_bytes = 500;
  Fill();
  const auto all = Read(0, 0);
  EXPECT_TRUE(all->is_waiting());
  cluster.Settle();
  ASSERT_TRUE(all->is_ok()) << all->status();
  EXPECT_EQ(all->times, 1);
  EXPECT_EQ((*all->reply)->size(), machine().commits.size());
  ExpectPrefixOfTheFeed(**all->reply, Offset(0));
}

TEST_F(ReadCommittedTest, FindsNothingAtTheEnd) {
  Fill();
  const auto end = Read(node().core().log_end_offset().value(), 1);
  ASSERT_TRUE(end->is_ok()) << end->status();
  EXPECT_TRUE((*end->reply)->empty());
}

TEST_F(ReadCommittedTest, RefusesWhatIsNoPlaceInTheLog) {
  for (const size_t cache_bytes : {500u, 1u << 20}) {
    cluster.base_config.recent_batches_max_bytes = cache_bytes;
    Fill();
    const int64_t end = node().core().log_end_offset().value();
    ASSERT_GE(machine().commits.front().to, Offset(2)) << "the first batch has two records";
    for (const auto& answer : {Read(1, 1), Read(0, 1), Read(5, 2), Read(5, 0), Read(end + 1, 1),
                               Read(-1, 0), Read(std::numeric_limits<int64_t>::max(), 1)}) {
      cluster.Settle();
      EXPECT_EQ(answer->reason(), ErrorReason::kPositionDiscarded);
      EXPECT_EQ(answer->times, 1);
    }
    EXPECT_TRUE(machine().failures.empty());
    cluster.Kill(1);
    cluster.disk(1) = MemoryDisk(kTestCluster);
  }
}

TEST_F(ReadCommittedTest, NeverReadsWhatIsNotCommitted) {
  Fill();
  const Offset committed = node().core().log_end_offset();
  machine().disk_is_slow = true;
  cluster.Submit(1, PutRequest("key", "not yet"));
  cluster.Settle();
  const auto all = Read(0, 0);
  ASSERT_TRUE(all->is_ok());
  EXPECT_EQ((*all->reply)->back().to, committed);
  EXPECT_EQ(Read(committed.value() + 1, 1)->reason(), ErrorReason::kPositionDiscarded);
}

TEST_F(ReadCommittedTest, ConfirmsTheCommittedEnd) {
  Fill();
  auto end = std::make_shared<Answer<Offset>>();
  node().HandleConfirmCommittedEnd(cluster.now, Into(end));
  cluster.Settle();
  ASSERT_TRUE(end->is_ok());
  EXPECT_EQ(**end->reply, node().core().log_end_offset());
}

}  // namespace
}  // namespace kvorum
