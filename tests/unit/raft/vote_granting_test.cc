// consensus.md §1.4, row by row: what each role answers to a vote and a pre-vote of its own epoch.

#include <gtest/gtest.h>

#include "server/raft/raft_state.h"
#include "tests/protocol/raft_harness.h"

namespace kvorum::raft {
namespace {

// All nodes begin with this log, so "up to date" and "behind" are one offset apart.
TestNode NodeWithLog() { return TestNode(1, VotersUpTo(3), DiskWith({1, 1}, 2)); }
constexpr OffsetAndEpoch kUpToDate{Offset(2), Epoch(1)};
constexpr OffsetAndEpoch kBehind{Offset(1), Epoch(1)};

bool Ask(TestNode& node, int candidate, OffsetAndEpoch log_end, bool pre_vote) {
  return node
      .AskFor<VoteResponse>(VoteRequest{.header = node.HeaderFrom(candidate),
                                        .epoch = node.epoch(),
                                        .log_end = log_end,
                                        .pre_vote = pre_vote})
      .vote_granted;
}
bool Vote(TestNode& node, int candidate, OffsetAndEpoch log_end = kUpToDate) {
  return Ask(node, candidate, log_end, /*pre_vote=*/false);
}
bool PreVote(TestNode& node, int candidate, OffsetAndEpoch log_end = kUpToDate) {
  return Ask(node, candidate, log_end, /*pre_vote=*/true);
}

void Campaign(TestNode& node, Role until) {
  while (node.role() != until) {
    if (node.role() != Role::kProspective) {
      node.FireTimer();
      continue;
    }
    const auto votes = node.TakeSendsOf<VoteRequest>();
    node.Respond(votes.at(0), VoteResponse{.header = node.OkHeader(), .vote_granted = true});
  }
}

TEST(VoteGrantingTest, WithAVoteGrantsOnlyTheSameKeyAgain) {
  for (const bool prospective : {false, true}) {
    TestNode node = NodeWithLog();
    ASSERT_TRUE(Vote(node, 2));
    if (prospective) {
      Campaign(node, Role::kProspective);
    }
    EXPECT_TRUE(Vote(node, 2));
    EXPECT_TRUE(Vote(node, 2, kBehind));  // idempotent: what was given stays given
    EXPECT_FALSE(Vote(node, 3));
    EXPECT_TRUE(PreVote(node, 3));
    EXPECT_FALSE(PreVote(node, 3, kBehind));
  }
}

TEST(VoteGrantingTest, UnattachedThatKnowsALeaderRefuses) {
  TestNode node = NodeWithLog();
  node.Follow(8, 2);  // no voter here: no address
  ASSERT_EQ(node.role(), Role::kUnattached);
  EXPECT_FALSE(Vote(node, 2));
  EXPECT_TRUE(PreVote(node, 2));
  EXPECT_FALSE(PreVote(node, 2, kBehind));
}

TEST(VoteGrantingTest, ProspectiveThatKnowsALeaderRefuses) {
  TestNode node = NodeWithLog();
  node.Follow(3, 2);
  Campaign(node, Role::kProspective);
  EXPECT_FALSE(Vote(node, 2));
  EXPECT_TRUE(PreVote(node, 2));
  EXPECT_FALSE(PreVote(node, 2, kBehind));
}

TEST(VoteGrantingTest, UnattachedThatKnowsNothingLooksAtTheLog) {
  TestNode node = NodeWithLog();
  EXPECT_FALSE(Vote(node, 2, kBehind));
  EXPECT_TRUE(PreVote(node, 2));
  EXPECT_FALSE(PreVote(node, 2, kBehind));
  EXPECT_TRUE(Vote(node, 2));
}

TEST(VoteGrantingTest, ProspectiveThatKnowsNothingLooksAtTheLog) {
  TestNode node = NodeWithLog();
  Campaign(node, Role::kProspective);
  EXPECT_FALSE(Vote(node, 2, kBehind));
  EXPECT_TRUE(PreVote(node, 2));
  EXPECT_FALSE(PreVote(node, 2, kBehind));
  EXPECT_TRUE(Vote(node, 2));
  EXPECT_EQ(node.role(), Role::kProspective);
  EXPECT_EQ(node.disk().quorum_state.voted_key, KeyOf(2));
}

TEST(VoteGrantingTest, CandidateRefusesVotesButNotPreVotes) {
  TestNode node = NodeWithLog();
  Campaign(node, Role::kCandidate);
  EXPECT_FALSE(Vote(node, 2));
  EXPECT_TRUE(PreVote(node, 2));
  EXPECT_FALSE(PreVote(node, 2, kBehind));
}

TEST(VoteGrantingTest, ResignedRefusesVotesButNotPreVotes) {
  TestDisk disk = DiskWith({1, 1}, 2);
  disk.quorum_state.voted_key = KeyOf(1);
  disk.quorum_state.leader_id = NodeId(1);
  TestNode node(1, VotersUpTo(3), disk);
  ASSERT_EQ(node.role(), Role::kResigned);
  EXPECT_FALSE(Vote(node, 2));
  EXPECT_TRUE(PreVote(node, 2));
  EXPECT_FALSE(PreVote(node, 2, kBehind));
}

TEST(VoteGrantingTest, FollowerRefusesVotesAndVetoesPreVotesOnceItHasFetched) {
  TestNode node = NodeWithLog();
  node.Follow(3, 2);
  EXPECT_FALSE(Vote(node, 2));
  EXPECT_TRUE(PreVote(node, 2));
  EXPECT_FALSE(PreVote(node, 2, kBehind));
  node.AnswerFetch({}, std::nullopt);
  EXPECT_FALSE(PreVote(node, 2));
}

TEST(VoteGrantingTest, LeaderRefusesBoth) {
  TestNode node = NodeWithLog();
  node.WinElection();
  EXPECT_FALSE(Vote(node, 2, {Offset(9), Epoch(2)}));
  EXPECT_FALSE(PreVote(node, 2, {Offset(9), Epoch(3)}));
}

TEST(VoteGrantingTest, GrantGivesTheCandidateItsTime) {
  TestNode node = NodeWithLog();
  node.RunFor(milliseconds(450));
  ASSERT_TRUE(Vote(node, 2));
  const auto deadline = std::get<Unattached>(node.core().state().role).election_deadline;
  EXPECT_GE(deadline - node.now(), milliseconds(500));
  EXPECT_LT(deadline - node.now(), milliseconds(1000));
}

}  // namespace
}  // namespace kvorum::raft
