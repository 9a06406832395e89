// The leader's closed port: followers campaign at once, in turns, and only on a refused fresh
// connection (consensus.md §4 "Lost connection").

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/raft/raft_state.h"
#include "tests/protocol/raft_cluster.h"
#include "tests/protocol/raft_harness.h"

namespace kvorum::raft {
namespace {

using ::testing::SizeIs;

// The fetch to the leader fails with `failure`; returns whether another one was sent at once.
bool FailFetch(TestNode& node, SendFailure failure) {
  auto fetches = node.TakeSendsOf<FetchRequest>();
  EXPECT_THAT(fetches, SizeIs(1));
  node.Fail(fetches.at(0), failure);
  return !node.core().state().peers.empty() && node.core().state().fetch_target == NodeId(3);
}

TEST(LostConnectionTest, RefusedConnectionMakesAFollowerCampaignWithinMilliseconds) {
  for (const int id : {1, 2}) {
    TestNode node(id, VotersUpTo(3));
    node.Follow(3, 1);
    node.AnswerFetch({}, std::nullopt);
    const TimePoint refused = node.now();
    FailFetch(node, SendFailure::kRefused);
    EXPECT_TRUE(node.has_trace(RaftTraceKind::kLeaderConnectionRefused));
    while (node.role() == Role::kFollower) {
      node.FireTimer();
    }
    EXPECT_EQ(node.role(), Role::kProspective);
    EXPECT_GE(node.now() - refused, milliseconds(15 * (id - 1)));  // by rank
    EXPECT_LT(node.now() - refused, milliseconds(15 * (id - 1) + 5));
    EXPECT_EQ(node.epoch(), Epoch(1));
  }
}

TEST(LostConnectionTest, OtherFailureIsRetriedAtOnceOnceAndThenBacksOff) {
  TestNode node(1, VotersUpTo(3));
  node.Follow(3, 1);
  EXPECT_TRUE(FailFetch(node, SendFailure::kOther));
  EXPECT_FALSE(FailFetch(node, SendFailure::kOther));
  node.RunFor(milliseconds(1000));
  EXPECT_EQ(node.role(), Role::kFollower);
}

TEST(LostConnectionTest, GoodAnswerCallsTheCampaignOff) {
  TestNode node(2, VotersUpTo(4));
  node.Follow(3, 1);
  FailFetch(node, SendFailure::kRefused);
  ASSERT_TRUE(std::get<Follower>(node.core().state().role).campaign_at.has_value());
  // The port opens again: a retry gets through before the campaign (rank 1, 15 ms).
  node.Follow(3, 2);
  node.AnswerFetch({}, std::nullopt);
  node.RunFor(milliseconds(100));
  EXPECT_EQ(node.role(), Role::kFollower);
}

TEST(LostConnectionTest, CampaignsAtMostOncePerElectionTimeout) {
  TestNode node(1, VotersUpTo(3));
  node.Follow(3, 1);
  FailFetch(node, SendFailure::kRefused);
  node.RunFor(milliseconds(5));
  ASSERT_EQ(node.role(), Role::kProspective);
  node.Follow(3, 2);
  FailFetch(node, SendFailure::kRefused);
  node.RunFor(milliseconds(100));
  EXPECT_EQ(node.role(), Role::kFollower);
}

TEST(LostConnectionTest, WhoGrantsAPreVoteLetsTheOtherGoFirst) {
  TestNode node(2, VotersUpTo(3));
  node.Follow(3, 1);
  FailFetch(node, SendFailure::kRefused);
  // Its turn has all but come, on a machine where 15 ms are nothing.
  node.Advance(milliseconds(14));
  const auto answer = node.AskFor<VoteResponse>(VoteRequest{
      .header = node.HeaderFrom(1), .epoch = Epoch(1), .log_end = {}, .pre_vote = true});
  EXPECT_TRUE(answer.vote_granted);
  node.RunFor(milliseconds(25));
  EXPECT_EQ(node.role(), Role::kFollower);
  node.RunFor(milliseconds(20));
  EXPECT_EQ(node.role(), Role::kProspective);  // the other did not make it
}

TEST(LostConnectionTest, ObserverDoesNotCampaign) {
  TestNode node(7, VotersUpTo(3));
  node.Follow(3, 1);
  FailFetch(node, SendFailure::kRefused);
  node.RunFor(milliseconds(1000));
  EXPECT_EQ(node.role(), Role::kFollower);
}

TEST(LostConnectionTest, KilledLeaderIsReplacedWithinMilliseconds) {
  for (const int voters : {3, 5}) {
    TestCluster cluster(voters);
    const int old = cluster.RunUntilLeader().value();
    cluster.RunFor(std::chrono::seconds(1));
    const Epoch epoch = cluster.node(old).epoch();
    cluster.Crash(old);
    const TimePoint killed = cluster.now();
    const int leader = cluster.RunUntilLeader().value();
    EXPECT_NE(leader, old);
    EXPECT_EQ(cluster.node(leader).epoch(), epoch + 1);
    EXPECT_LT(cluster.now() - killed, milliseconds(50));
  }
}

}  // namespace
}  // namespace kvorum::raft
