// Several nodes: who answers what, and what becomes of replies when leadership moves.
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "server/metadata/metadata_level.h"
#include "tests/support/requests.h"
#include "tests/unit/node/test_cluster.h"

namespace kvorum {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class QuorumTest : public testing::Test {
 protected:
  void Begin() {
    cluster.StartAll();
    leader = cluster.Elect();
    follower = leader % 3 + 1;
    other = follower % 3 + 1;
  }
  Node& LeaderNode() { return cluster.at(leader).node(); }
  void Put(const std::string& key, const std::string& value) {
    const CommandAnswer put = cluster.Submit(leader, PutRequest(key, value));
    LeaderNode().Execute(cluster.now);
    cluster.RunUntil([&] { return !put->is_waiting(); });
    ASSERT_TRUE(put->is_ok()) << put->status();
  }
  v1::ItemStatus RaiseMetadataLevel() {
    const CommandAnswer raised =
        cluster.Submit(leader, UpgradeFeature(kMetadataVersionFeature, kMaxMetadataLevel));
    LeaderNode().Execute(cluster.now);
    cluster.RunUntil([&] { return !raised->is_waiting(); });
    EXPECT_TRUE(raised->is_ok()) << raised->status();
    return raised->is_ok() ? raised->As<v1::UpdateFeaturesResponse>().results(0).status()
                           : v1::ItemStatus();
  }
  // Deposes the leader with an event, without ending the turn.
  std::shared_ptr<int> Depose() {
    auto answers = std::make_shared<int>(0);
    LeaderNode().HandleRaftRequest(cluster.now, cluster.DeposingVote(follower, leader),
                                   [answers](const raft::RaftResponse&) { ++*answers; });
    EXPECT_FALSE(LeaderNode().core().is_leader());
    return answers;
  }
  v1::DescribeQuorumResponse Describe(int32_t id) {
    auto answer = std::make_shared<Answer<v1::DescribeQuorumResponse>>();
    cluster.at(id).node().HandleDescribeQuorum(cluster.now, v1::DescribeQuorumRequest(),
                                               Into(answer));
    EXPECT_TRUE(answer->is_ok()) << answer->status();
    return answer->is_ok() ? **answer->reply : v1::DescribeQuorumResponse();
  }

  TestCluster cluster{3};
  int32_t leader = 0;
  int32_t follower = 0;
  int32_t other = 0;
};

TEST_F(QuorumTest, AppliesTheSameEverywhere) {
  Begin();
  for (int i = 0; i < 20; ++i) {
    Put("key-" + std::to_string(i % 7), std::to_string(i));
  }
  cluster.RunFor(seconds(2));
  for (int32_t id = 1; id <= 3; ++id) {
    EXPECT_EQ(cluster.at(id).StateHash(), cluster.at(leader).StateHash());
    EXPECT_EQ(cluster.at(id).commits.size(), cluster.at(leader).commits.size());
    EXPECT_EQ(cluster.at(id).leader.leader_endpoint, "client-" + std::to_string(leader) + ":9000");
  }
}

TEST_F(QuorumTest, SendsClientsOfAFollowerToTheLeader) {
  Begin();
  Put("key", "value");
  const CommandAnswer put = cluster.Submit(follower, PutRequest("key", "value"));
  cluster.at(follower).carries_barriers = false;
  const QueryAnswer get = cluster.Query(follower, GetRequest("key"));
  EXPECT_EQ(get->reason(), ErrorReason::kNotController);
  ASSERT_EQ(put->reason(), ErrorReason::kNotController);
  EXPECT_EQ(put->status().code(), absl::StatusCode::kUnavailable);
  const auto facts = GetErrorFacts(put->status());
  EXPECT_EQ(facts.at("leader_id"), std::to_string(leader));
  EXPECT_EQ(facts.at("leader_epoch"), std::to_string(LeaderNode().core().epoch().value()));
  EXPECT_EQ(facts.at("leader_endpoint"), "client-" + std::to_string(leader) + ":9000");
  cluster.RunFor(seconds(1));
  const QueryAnswer local = cluster.Query(follower, GetRequest("key", true));
  ASSERT_TRUE(local->is_ok()) << "a follower answers from what it has applied";
  EXPECT_EQ(local->As<v1::GetEntryResponse>().header().node_id(), follower);
  EXPECT_EQ(local->As<v1::GetEntryResponse>().header().leader_id(), leader);
}

TEST_F(QuorumTest, SaysSoWhenItKnowsNoLeader) {
  cluster.Start(1);
  cluster.RunFor(seconds(3));
  EXPECT_EQ(cluster.Submit(1, PutRequest("key", "value"))->reason(),
            ErrorReason::kLeaderNotAvailable);
  EXPECT_EQ(cluster.Query(1, GetRequest("key"))->reason(), ErrorReason::kLeaderNotAvailable);
  EXPECT_EQ(cluster.at(1).node().MakeHeader().leader_id(), -1);
  EXPECT_EQ(Describe(1).high_watermark(), -1);
}

TEST_F(QuorumTest, ConfirmsItsLeadershipBeforeALinearizableRead) {
  Begin();
  Put("key", "value");
  cluster.hold = [](int32_t, const raft::SendRequest&) { return true; };  // nobody hears anybody
  const QueryAnswer get = cluster.Query(leader, GetRequest("key"));
  LeaderNode().Execute(cluster.now);
  cluster.Settle();
  EXPECT_TRUE(get->is_waiting()) << "somebody else may lead by now";
  cluster.RunUntil([&] { return !LeaderNode().core().is_leader(); });
  EXPECT_EQ(get->times, 1);
  EXPECT_EQ(get->status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(QuorumTest, ReadsLinearizablyAtTheLeader) {
  Begin();
  Put("key", "value");
  const QueryAnswer get = cluster.Query(leader, GetRequest("key"));
  LeaderNode().Execute(cluster.now);
  cluster.RunUntil([&] { return !get->is_waiting(); });
  ASSERT_TRUE(get->is_ok()) << get->status();
  EXPECT_EQ(get->As<v1::GetEntryResponse>().entry().value(), "value");
}

TEST_F(QuorumTest, CommitsNothingWithoutAMajority) {
  Begin();
  cluster.Kill(follower);
  cluster.Kill(other);
  const CommandAnswer put = cluster.Submit(leader, PutRequest("key", "value"));
  LeaderNode().Execute(cluster.now);
  cluster.Settle();
  EXPECT_TRUE(put->is_waiting());
  cluster.RunUntil([&] { return !put->is_waiting(); });
  EXPECT_EQ(put->reason(), ErrorReason::kOutcomeUnknown);
  EXPECT_EQ(put->times, 1);
  EXPECT_EQ(GetErrorFacts(put->status()).at("position_offset"),
            std::to_string(LeaderNode().core().log_end_offset().value()));
  EXPECT_EQ(cluster.Query(leader, GetRequest("key", true))->reason(), ErrorReason::kUnknownKey);
}

TEST_F(QuorumTest, AppendsNothingOnceDeposedInTheSameTurn) {
  Begin();
  const CommandAnswer pending = cluster.Submit(leader, PutRequest("a", "1"));
  const Offset end = LeaderNode().core().log_end_offset();
  const Epoch epoch = LeaderNode().core().epoch();
  const auto vote = Depose();
  ASSERT_TRUE(LeaderNode().active_controller().is_active()) << "it learns that in Execute";

  const CommandAnswer late = cluster.Submit(leader, PutRequest("b", "1"));
  auto beat = std::make_shared<Answer<controller::BrokerReportReply>>();
  LeaderNode().HandleBrokerReport(cluster.now, v1::HeartbeatRequest(), Into(beat));
  const QueryAnswer get = cluster.Query(leader, GetRequest("a"));
  cluster.now.now += seconds(60);
  LeaderNode().HandleTimer(cluster.now);
  EXPECT_EQ(late->status().code(), absl::StatusCode::kUnavailable) << late->status();
  EXPECT_EQ(beat->status().code(), absl::StatusCode::kUnavailable) << beat->status();
  EXPECT_EQ(get->status().code(), absl::StatusCode::kUnavailable) << get->status();
  EXPECT_EQ(LeaderNode().core().log_end_offset(), end);

  LeaderNode().Execute(cluster.now);
  EXPECT_EQ(pending->reason(), ErrorReason::kOutcomeUnknown);
  EXPECT_EQ(pending->times, 1);
  EXPECT_FALSE(LeaderNode().active_controller().is_active());
  EXPECT_EQ(cluster.at(leader).active_log.back(), (std::pair<Epoch, bool>{epoch, false}));
  cluster.Settle();
  EXPECT_EQ(*vote, 1);
}

TEST_F(QuorumTest, ReportsACommitThatCameTogetherWithTheLossOfLeadership) {
  Begin();
  // Holds the fetch that would acknowledge the write.
  const CommandAnswer put = cluster.Submit(leader, PutRequest("key", "value"));
  const Offset end = LeaderNode().core().log_end_offset();
  cluster.hold = [&](int32_t, const raft::SendRequest& send) {
    const auto* fetch = std::get_if<raft::FetchRequest>(&send.request);
    return fetch != nullptr && fetch->fetch_offset >= end;
  };
  LeaderNode().Execute(cluster.now);
  cluster.Settle();
  ASSERT_TRUE(put->is_waiting());
  ASSERT_FALSE(cluster.held.empty());
  LeaderNode().HandleRaftRequest(cluster.now, cluster.held.front().second.request,
                                 [](const raft::RaftResponse&) {});
  Depose();
  LeaderNode().Execute(cluster.now);
  EXPECT_TRUE(put->is_ok()) << put->status();
  EXPECT_EQ(put->times, 1);
  EXPECT_FALSE(LeaderNode().active_controller().is_active());
}

TEST_F(QuorumTest, DoesNotActivateAnEpochThatIsOverAlready) {
  // The vote that ends the epoch comes in the turn that commits its first record.
  std::optional<raft::RaftRequest> acknowledging;
  int32_t winner = 0;
  cluster.hold = [&](int32_t, const raft::SendRequest& send) {
    const auto* fetch = std::get_if<raft::FetchRequest>(&send.request);
    if (fetch == nullptr || fetch->fetch_offset == Offset(0)) {
      return false;
    }
    acknowledging = send.request;
    winner = send.to.key.node_id.value();
    return true;
  };
  cluster.StartAll();
  cluster.RunUntil([&] { return acknowledging.has_value(); });
  Node& node = cluster.at(winner).node();
  ASSERT_TRUE(node.core().is_leader());
  ASSERT_FALSE(node.active_controller().is_active());
  node.HandleRaftRequest(cluster.now, *acknowledging, [](const raft::RaftResponse&) {});
  node.HandleRaftRequest(cluster.now, cluster.DeposingVote(winner % 3 + 1, winner),
                         [](const raft::RaftResponse&) {});
  node.Execute(cluster.now);
  EXPECT_GT(node.committed_image()->provenance().end_offset, Offset(0));
  EXPECT_FALSE(node.active_controller().is_active());
  EXPECT_TRUE(cluster.at(winner).active_log.empty());
}

TEST_F(QuorumTest, FailsOverWithEverythingThatWasAcknowledged) {
  Begin();
  for (int i = 0; i < 10; ++i) {
    Put("key-" + std::to_string(i), "value");
  }
  const uint64_t hash = cluster.at(leader).StateHash();
  const int32_t old_leader = leader;
  cluster.Kill(old_leader);
  leader = cluster.Elect();
  EXPECT_NE(leader, old_leader);
  EXPECT_EQ(cluster.at(leader).StateHash(), hash);
  Put("after", "failover");
  cluster.Start(old_leader);
  leader = cluster.Elect();
  EXPECT_EQ(cluster.at(old_leader).StateHash(), cluster.at(leader).StateHash());
}

TEST_F(QuorumTest, HandsLeadershipOverWhenItStops) {
  Begin();
  const CommandAnswer pending = cluster.Submit(leader, PutRequest("key", "value"));
  const QueryAnswer get = cluster.Query(leader, GetRequest("key"));
  LeaderNode().BeginShutdown(cluster.now);
  LeaderNode().Execute(cluster.now);
  const int32_t stopping = leader;
  cluster.RunUntil(
      [&] { return cluster.at(stopping).node().is_shut_down() && !pending->is_waiting(); });
  EXPECT_TRUE(pending->is_ok()) << pending->status();
  EXPECT_EQ(pending->times, 1);
  EXPECT_EQ(get->times, 1);
  cluster.Kill(stopping);
  leader = cluster.Elect();
  EXPECT_NE(leader, stopping);
}

TEST_F(QuorumTest, CountsAsRunningWhileAPeersFetchIsReadFromTheDisk) {
  cluster.base_config.recent_batches_max_bytes = 500;
  Begin();
  for (int i = 0; i < 10; ++i) {
    Put("key", std::string(200, 'v'));
  }
  cluster.RunFor(seconds(1));
  cluster.at(leader).disk_is_slow = true;
  raft::FetchRequest fetch;
  fetch.header = {.cluster_id = kTestCluster,
                  .generation = kTestGeneration,
                  .sender = {NodeId(9), *Uuid::FromBytes(std::string(16, 'o'))},
                  .receiver = TestVoter(leader).key,
                  .client_endpoint = ""};
  fetch.current_leader_epoch = LeaderNode().core().epoch();
  fetch.max_bytes = 1 << 20;
  int answers = 0;
  size_t batches = 0;
  LeaderNode().HandleRaftRequest(cluster.now, fetch, [&](const raft::RaftResponse& response) {
    ++answers;
    batches = std::get<raft::FetchResponse>(response).batches.size();
  });
  LeaderNode().Execute(cluster.now);
  ASSERT_EQ(answers, 0);
  ASSERT_GE(cluster.at(leader).storage().pending_reads(), 1u);
  LeaderNode().BeginShutdown(cluster.now);
  LeaderNode().Execute(cluster.now);
  cluster.RunFor(seconds(4));
  EXPECT_FALSE(LeaderNode().is_shut_down());
  cluster.at(leader).disk_is_slow = false;
  cluster.Settle();
  EXPECT_EQ(answers, 1);
  EXPECT_GT(batches, 5u);
  EXPECT_TRUE(LeaderNode().is_shut_down());
}

// consensus.md §6.8: who never said what it supports may not be able to read what comes.
TEST_F(QuorumTest, RaisesTheMetadataLevelOnlyWhenEveryVoterHasSaidThatItKnowsIt) {
  cluster.Start(1);
  cluster.Start(2);
  leader = cluster.Elect();
  EXPECT_EQ(RaiseMetadataLevel().reason(), "INVALID_UPDATE_VERSION") << "3 was never heard of";
  cluster.Start(3);
  leader = cluster.Elect();
  cluster.RunFor(seconds(1));
  EXPECT_EQ(RaiseMetadataLevel().reason(), "");
  EXPECT_EQ(LeaderNode().committed_image()->features().metadata_level(), kMaxMetadataLevel);
}

TEST_F(QuorumTest, DoesNotRaiseTheMetadataLevelBeyondAVoterOfAnOlderRelease) {
  Begin();
  cluster.RunFor(seconds(1));
  raft::FetchRequest fetch;
  fetch.header = {.cluster_id = kTestCluster,
                  .generation = kTestGeneration,
                  .sender = TestVoter(follower).key,
                  .receiver = TestVoter(leader).key,
                  .client_endpoint = "",
                  .min_metadata_level = 1,
                  .max_metadata_level = 1};
  LeaderNode().HandleRaftRequest(cluster.now, fetch, [](const raft::RaftResponse&) {});
  // Nothing in between: the real one would say what it knows with its next request.
  EXPECT_EQ(RaiseMetadataLevel().reason(), "INVALID_UPDATE_VERSION");
  EXPECT_EQ(LeaderNode().committed_image()->features().metadata_level(), kMinMetadataLevel);
  cluster.RunFor(seconds(1));
  EXPECT_EQ(RaiseMetadataLevel().reason(), "") << "it was upgraded";
}

// --- what operators and clients see ---

TEST_F(QuorumTest, DescribesTheQuorumAsTheLeaderSeesIt) {
  Begin();
  Put("key", "value");
  cluster.RunFor(seconds(1));
  const v1::DescribeQuorumResponse seen = Describe(leader);
  EXPECT_EQ(seen.role(), "leader");
  EXPECT_TRUE(seen.active_controller());
  EXPECT_EQ(seen.header().node_id(), leader);
  EXPECT_EQ(seen.high_watermark(), LeaderNode().core().log_end_offset().value());
  EXPECT_EQ(seen.log_end_offset(), seen.high_watermark());
  EXPECT_EQ(seen.log_start_offset(), 0);
  ASSERT_EQ(seen.voters_size(), 3);
  EXPECT_EQ(seen.observers_size(), 0);
  for (const v1::ReplicaStatus& voter : seen.voters()) {
    EXPECT_EQ(voter.log_end_offset(), seen.log_end_offset());
    EXPECT_EQ(voter.client_endpoint(), "client-" + std::to_string(voter.node_id()) + ":9000");
    EXPECT_EQ(voter.controller_endpoint().host(), "host-" + std::to_string(voter.node_id()));
    EXPECT_EQ(voter.controller_endpoint().port(), 9000u);
    EXPECT_GE(voter.last_fetch_age_ms(), 0);
    EXPECT_GE(voter.last_caught_up_age_ms(), 0);
    EXPECT_LT(voter.last_fetch_age_ms(), 1500);
    if (voter.node_id() == leader) {
      EXPECT_EQ(voter.last_fetch_age_ms(), 0);
    }
  }
  EXPECT_EQ(seen.state_hash(), fmt::format("{:016x}", cluster.at(leader).StateHash()));
}

TEST_F(QuorumTest, DescribesTheQuorumAsAFollowerSeesIt) {
  Begin();
  Put("key", "value");
  cluster.RunFor(seconds(1));
  const v1::DescribeQuorumResponse seen = Describe(follower);
  EXPECT_EQ(seen.role(), "follower");
  EXPECT_FALSE(seen.active_controller());
  EXPECT_EQ(seen.header().leader_id(), leader);
  ASSERT_EQ(seen.voters_size(), 3);
  for (const v1::ReplicaStatus& voter : seen.voters()) {
    EXPECT_EQ(voter.log_end_offset(), -1) << "only the leader knows";
    EXPECT_EQ(voter.last_fetch_age_ms(), -1);
  }
  EXPECT_EQ(seen.state_hash(), Describe(leader).state_hash());
}

TEST_F(QuorumTest, BelievesOnlyVotersOfItsClusterAboutTheirEndpoints) {
  Begin();
  const auto send = [&](const raft::RequestHeader& header) {
    raft::FetchRequest fetch;
    fetch.header = header;
    cluster.at(follower).node().HandleRaftRequest(cluster.now, fetch,
                                                  [](const raft::RaftResponse&) {});
    cluster.at(follower).node().Execute(cluster.now);
  };
  const auto header_of = [&](const std::string& cluster_id, const raft::Voter& sender,
                             const std::string& endpoint) {
    return raft::RequestHeader{.cluster_id = cluster_id,
                               .generation = kTestGeneration,
                               .sender = sender.key,
                               .receiver = TestVoter(follower).key,
                               .client_endpoint = endpoint};
  };
  const auto tell = [&](const std::string& cluster_id, const raft::Voter& sender,
                        const std::string& endpoint) {
    send(header_of(cluster_id, sender, endpoint));
  };
  raft::RequestHeader of_another_life = header_of(kTestCluster, TestVoter(leader), "before:1");
  of_another_life.generation = kTestGeneration + 1;
  send(of_another_life);
  raft::RequestHeader for_another = header_of(kTestCluster, TestVoter(leader), "elsewhere:1");
  for_another.receiver = TestVoter(leader).key;
  send(for_another);
  tell("other-cluster", TestVoter(leader), "evil:1");
  tell(kTestCluster, TestVoter(leader), std::string(1000, 'x'));
  tell(kTestCluster, TestVoter(leader), "");
  tell(kTestCluster, TestVoter(7), "stranger:1");
  EXPECT_EQ(cluster.at(follower).leader.leader_endpoint,
            "client-" + std::to_string(leader) + ":9000");
  tell(kTestCluster, TestVoter(leader), "moved:1");
  EXPECT_EQ(cluster.at(follower).leader.leader_endpoint, "moved:1");
}

}  // namespace
}  // namespace kvorum
