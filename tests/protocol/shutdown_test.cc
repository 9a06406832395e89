// Graceful hand-over (KIP-595 "EndQuorumEpoch"; consensus.md §2.3, §4).

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/raft/raft_state.h"
#include "tests/protocol/raft_cluster.h"
#include "tests/protocol/raft_harness.h"

namespace kvorum::raft {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(ShutdownTest, LeaderNamesTheMostCompleteSuccessorFirst) {
  TestNode node(1, VotersUpTo(3));
  node.WinElection();
  node.Receive(node.FetchFrom(2, 0));
  node.Receive(node.FetchFrom(3));
  node.Append("a");
  node.TakeSends();
  node.Step(BeginShutdown{});
  EXPECT_EQ(node.role(), Role::kResigned);
  const auto ends = node.TakeSendsOf<EndQuorumEpochRequest>();
  ASSERT_THAT(ends, SizeIs(2));
  EXPECT_THAT(std::get<EndQuorumEpochRequest>(ends[0].request).preferred_candidates,
              ElementsAre(KeyOf(3), KeyOf(2)));
}

TEST(ShutdownTest, IsShutDownWhenAllVotersKnow) {
  TestNode node(1, VotersUpTo(3));
  node.WinElection();
  node.TakeSends();
  node.Step(BeginShutdown{});
  auto ends = node.TakeSendsOf<EndQuorumEpochRequest>();
  node.Respond(ends[0], EndQuorumEpochResponse{.header = node.OkHeader()});
  EXPECT_FALSE(node.core().is_shut_down());
  node.Fail(ends[1], SendFailure::kOther);
  node.FireTimer();  // asked again
  ends = node.TakeSendsOf<EndQuorumEpochRequest>();
  ASSERT_THAT(ends, SizeIs(1));
  node.Respond(ends[0], EndQuorumEpochResponse{.header = node.OkHeader()});
  EXPECT_TRUE(node.core().is_shut_down());
  EXPECT_EQ(node.core().NextDeadline(), kNever);
}

TEST(ShutdownTest, IsShutDownWhenAHigherEpochIsSeen) {
  TestNode node(1, VotersUpTo(3));
  node.WinElection();
  node.Step(BeginShutdown{});
  EXPECT_FALSE(node.core().is_shut_down());
  node.Follow(2, node.epoch().value() + 1);
  EXPECT_TRUE(node.core().is_shut_down());
}

TEST(ShutdownTest, IsShutDownAfterItsTimeoutWithoutCampaigningAgain) {
  TestNode node(1, VotersUpTo(3));
  node.WinElection();
  const Epoch epoch = node.epoch();
  node.Step(BeginShutdown{});
  node.RunFor(milliseconds(2999));
  EXPECT_FALSE(node.core().is_shut_down());
  EXPECT_EQ(node.role(), Role::kResigned);
  node.RunFor(milliseconds(1));
  node.Step(TimerFired{});
  EXPECT_TRUE(node.core().is_shut_down());
  EXPECT_EQ(node.epoch(), epoch);
}

TEST(ShutdownTest, FollowerIsShutDownAtOnceAndStartsNothing) {
  TestNode node(1, VotersUpTo(3));
  node.Follow(2, 1);
  node.Step(BeginShutdown{});
  EXPECT_TRUE(node.core().is_shut_down());
  EXPECT_EQ(node.core().NextDeadline(), kNever);
}

TEST(ShutdownTest, OneVoterIsShutDownAtOnce) {
  TestNode node(1, VotersUpTo(1));
  node.FireTimer();
  node.Step(BeginShutdown{});
  EXPECT_TRUE(node.core().is_shut_down());
  EXPECT_FALSE(node.core().is_leader());
}

TEST(ShutdownTest, WaitingFetchesAndReadsAreAnswered) {  // reliability R19
  TestNode node(1, VotersUpTo(3));
  node.WinElection();
  node.Receive(node.FetchFrom(2));
  node.TakeReplies();
  std::vector<RequestToken> waiting;
  for (int id = 10; id < 110; ++id) {
    waiting.push_back(node.Receive(node.FetchFrom(id)));
  }
  node.Step(ConfirmLeadership{.token = ReadToken(1)});
  ASSERT_THAT(node.TakeReplies(), IsEmpty());
  node.Step(BeginShutdown{});
  EXPECT_THAT(node.TakeReplies(), SizeIs(waiting.size()));
  EXPECT_THAT(node.TakeReads(), SizeIs(1));
}

TEST(ShutdownTest, ResignedLeaderIsNotNamedToAnybody) {  // Kafka PR 16900
  TestNode node(1, VotersUpTo(3));
  node.WinElection();
  node.TakeLeadership();
  node.Step(BeginShutdown{});
  const auto changes = node.TakeLeadership();
  ASSERT_THAT(changes, SizeIs(1));
  EXPECT_EQ(changes[0].leader_id, std::nullopt);
  EXPECT_FALSE(changes[0].is_leader);
  EXPECT_EQ(node.AskFor<FetchResponse>(node.FetchFrom(2)).header.leader_id, std::nullopt);
}

// The batches promised under the leadership may be truncated before they are read.
TEST(ShutdownTest, HeldFetchAnswersBecomeRefusals) {
  TestNode node(1, VotersUpTo(3));
  node.WinElection();
  node.auto_sync = false;
  const int epoch = node.epoch().value();
  node.Receive(
      BeginQuorumEpochRequest{.header = node.HeaderFrom(2), .leader_epoch = Epoch(epoch + 1)});
  const RequestToken late = node.Receive(node.FetchFrom(3, 0));
  node.Sync();
  EXPECT_EQ(HeaderOf(*node.TakeReply(late)).error, RaftError::kNotLeaderOrFollower);
}

TEST(ShutdownTest, HandOverElectsTheSuccessorWithoutWaiting) {
  TestCluster cluster(3);
  const int old = cluster.RunUntilLeader().value();
  cluster.RunFor(std::chrono::seconds(1));
  const TimePoint asked = cluster.now();
  cluster.Step(old, BeginShutdown{});
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.Leader().has_value(); }));
  EXPECT_LT(cluster.now() - asked, milliseconds(10));
  EXPECT_TRUE(cluster.node(old).core().is_shut_down());
}

}  // namespace
}  // namespace kvorum::raft
