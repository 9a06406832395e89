// KIP-996 (pre-vote): who asks before raising the epoch, and who refuses. One test per rule.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/raft/raft_state.h"
#include "tests/protocol/raft_cluster.h"
#include "tests/protocol/raft_harness.h"

namespace kvorum::raft {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

bool PreVote(TestNode& node, int candidate, OffsetAndEpoch log_end,
             std::optional<int> epoch = std::nullopt) {
  return node
      .AskFor<VoteResponse>(VoteRequest{.header = node.HeaderFrom(candidate),
                                        .epoch = epoch.has_value() ? Epoch(*epoch) : node.epoch(),
                                        .log_end = log_end,
                                        .pre_vote = true})
      .vote_granted;
}

void BecomeProspective(TestNode& node) {
  while (node.role() != Role::kProspective) {
    node.FireTimer();
  }
}

// consensus §1.2 ⚠: the epoch is raised by a won pre-vote only.
TEST(Kip996Test, PreVoteCarriesThePresentEpochAndRaisesNone) {
  TestNode node(1, VotersUpTo(3), DiskWith({}, 4));
  BecomeProspective(node);
  const auto votes = node.TakeSendsOf<VoteRequest>();
  ASSERT_THAT(votes, SizeIs(2));
  EXPECT_EQ(std::get<VoteRequest>(votes[0].request).epoch, Epoch(4));
  EXPECT_TRUE(std::get<VoteRequest>(votes[0].request).pre_vote);
  EXPECT_EQ(node.epoch(), Epoch(4));
  EXPECT_THAT(node.unsynced(), IsEmpty());
}

// consensus §2.1 ⚠: where the log ends, not the last record in it.
TEST(Kip996Test, VoteRequestsNameTheEndOfTheLog) {
  TestNode node(1, VotersUpTo(3), DiskWith({1, 1, 3}, 4));
  BecomeProspective(node);
  const OffsetAndEpoch end{.offset = Offset(3), .epoch = Epoch(3)};
  for (const SendRequest& ask : node.TakeSendsOf<VoteRequest>()) {
    EXPECT_EQ(std::get<VoteRequest>(ask.request).log_end, end);
    node.Respond(ask, VoteResponse{.header = node.OkHeader(), .vote_granted = true});
  }
  ASSERT_EQ(node.role(), Role::kCandidate);
  const auto votes = node.TakeSendsOf<VoteRequest>();
  ASSERT_THAT(votes, SizeIs(2));
  for (const SendRequest& ask : votes) {
    EXPECT_EQ(std::get<VoteRequest>(ask.request).log_end, end);
  }
}

TEST(Kip996Test, PreVoteIsNotRecordedAndMovesNoTimer) {
  TestNode node(1, VotersUpTo(3), DiskWith({}, 4));
  const auto deadline_of = [&] {
    return std::get<Unattached>(node.core().state().role).election_deadline;
  };
  const TimePoint deadline = deadline_of();
  EXPECT_TRUE(PreVote(node, 2, {}));
  EXPECT_TRUE(PreVote(node, 3, {}));
  EXPECT_EQ(deadline_of(), deadline);
  EXPECT_EQ(node.Describe().voted_key, std::nullopt);
}

TEST(Kip996Test, PreVoteOfAHigherEpochStillRaisesTheReceiversEpoch) {
  TestNode node(1, VotersUpTo(3));
  EXPECT_TRUE(PreVote(node, 2, {}, 6));
  EXPECT_EQ(node.epoch(), Epoch(6));
  EXPECT_EQ(node.role(), Role::kUnattached);
}

TEST(Kip996Test, PreVoteMayCarryALogOfItsOwnEpoch) {
  TestNode node(1, VotersUpTo(3), DiskWith({}, 4));
  EXPECT_TRUE(PreVote(node, 2, {Offset(3), Epoch(4)}));
}

TEST(Kip996Test, CandidateWhoseLogIsBehindIsRefused) {
  TestNode node(1, VotersUpTo(3), DiskWith({1, 1, 2}, 2));
  EXPECT_FALSE(PreVote(node, 2, {Offset(2), Epoch(2)}));
  EXPECT_FALSE(PreVote(node, 2, {Offset(9), Epoch(1)}));
  EXPECT_TRUE(PreVote(node, 2, {Offset(3), Epoch(2)}));
}

TEST(Kip996Test, LeaderRefuses) {
  TestNode node(1, VotersUpTo(3));
  node.WinElection();
  EXPECT_FALSE(PreVote(node, 2, {Offset(9), node.epoch()}));
}

TEST(Kip996Test, FollowerThatHasFetchedRefuses) {
  TestNode node(1, VotersUpTo(3));
  node.Follow(2, 1);
  EXPECT_TRUE(PreVote(node, 3, {}));
  node.AnswerFetch({}, std::nullopt);
  EXPECT_FALSE(PreVote(node, 3, {}));
}

TEST(Kip996Test, EnteringFollowerAgainForgetsTheFetch) {
  TestNode node(1, VotersUpTo(3));
  node.Follow(2, 1);
  node.AnswerFetch({}, std::nullopt);
  BecomeProspective(node);
  for (const SendRequest& vote : node.TakeSendsOf<VoteRequest>()) {
    node.Respond(vote, VoteResponse{.header = node.OkHeader(2), .vote_granted = false});
  }
  ASSERT_EQ(node.role(), Role::kFollower);  // a lost pre-vote returns to the known leader
  EXPECT_EQ(node.epoch(), Epoch(1));
  EXPECT_TRUE(PreVote(node, 3, {}));
}

TEST(Kip996Test, LostPreVoteWithoutLeaderBecomesUnattachedAndWaitsAnew) {
  TestNode node(1, VotersUpTo(3));
  BecomeProspective(node);
  for (const SendRequest& vote : node.TakeSendsOf<VoteRequest>()) {
    node.Respond(vote, VoteResponse{.header = node.OkHeader(), .vote_granted = false});
  }
  ASSERT_EQ(node.role(), Role::kUnattached);
  const TimePoint lost = node.now();
  BecomeProspective(node);
  EXPECT_GE(node.now() - lost, milliseconds(500));
  EXPECT_EQ(node.epoch(), Epoch(0));
}

TEST(Kip996Test, PreVotesDoNotCountInTheElection) {
  TestNode node(1, VotersUpTo(5));
  BecomeProspective(node);
  const auto pre_votes = node.TakeSendsOf<VoteRequest>();
  ASSERT_THAT(pre_votes, SizeIs(4));
  node.Respond(pre_votes[0], VoteResponse{.header = node.OkHeader(), .vote_granted = true});
  const ResponseHeader before = node.OkHeader();
  node.Respond(pre_votes[1], VoteResponse{.header = node.OkHeader(), .vote_granted = true});
  ASSERT_EQ(node.role(), Role::kCandidate);
  node.Respond(pre_votes[2], VoteResponse{.header = before, .vote_granted = true});
  node.Respond(pre_votes[3], VoteResponse{.header = before, .vote_granted = true});
  EXPECT_EQ(node.role(), Role::kCandidate);
}

// consensus §1.2 ⚠: dropping the vote allows a second one in the epoch.
TEST(Kip996Test, VoteOutlivesTheRolesOfItsEpoch) {
  TestNode node(1, VotersUpTo(3));
  ASSERT_TRUE(
      node
          .AskFor<VoteResponse>(VoteRequest{
              .header = node.HeaderFrom(2), .epoch = Epoch(1), .log_end = {}, .pre_vote = false})
          .vote_granted);
  BecomeProspective(node);
  EXPECT_EQ(node.Describe().voted_key, KeyOf(2));
  for (const SendRequest& vote : node.TakeSendsOf<VoteRequest>()) {
    node.Respond(vote, VoteResponse{.header = node.OkHeader(), .vote_granted = false});
  }
  EXPECT_EQ(node.role(), Role::kUnattached);
  EXPECT_EQ(node.Describe().voted_key, KeyOf(2));
  node.Follow(2, 1);
  EXPECT_EQ(node.Describe().voted_key, KeyOf(2));
}

// consensus §1.2: a stream of higher epochs must not put elections off for ever.
TEST(Kip996Test, HigherEpochKeepsTheRestOfTheElectionTime) {
  TestNode node(1, VotersUpTo(3));
  TimePoint campaigned;
  for (int epoch = 1; node.role() == Role::kUnattached; ++epoch) {
    ASSERT_LT(epoch, 50);
    PreVote(node, 2, {}, epoch);
    node.RunFor(milliseconds(100));
    campaigned = node.now();
  }
  EXPECT_LE(campaigned - TimePoint(), milliseconds(1100));
}

// consensus §1.2 ⚠, KAFKA-18345.
TEST(Kip996Test, CandidateThatIsRefusedWaitsOutItsTimer) {
  TestNode node(1, VotersUpTo(3));
  BecomeProspective(node);
  node.Respond(node.TakeSendsOf<VoteRequest>()[0],
               VoteResponse{.header = node.OkHeader(), .vote_granted = true});
  ASSERT_EQ(node.role(), Role::kCandidate);
  const TimePoint began = node.now();
  for (const SendRequest& vote : node.TakeSendsOf<VoteRequest>()) {
    node.Respond(vote, VoteResponse{.header = node.OkHeader(), .vote_granted = false});
  }
  EXPECT_EQ(node.role(), Role::kCandidate);
  BecomeProspective(node);
  EXPECT_GE(node.now() - began, milliseconds(500));
  EXPECT_EQ(node.epoch(), Epoch(1));
}

// reliability R18: the returning voter does not disturb a leader that works.
TEST(Kip996Test, PartitionedVoterDoesNotRaiseTheEpochWhenItReturns) {
  TestCluster cluster(3);
  const int leader = cluster.RunUntilLeader().value();
  cluster.RunFor(milliseconds(500));
  const Epoch epoch = cluster.node(leader).epoch();
  const int other = leader % 3 + 1;
  cluster.Isolate(other);
  cluster.RunFor(std::chrono::seconds(20));
  EXPECT_EQ(cluster.node(other).epoch(), epoch);
  cluster.Heal();
  cluster.RunFor(std::chrono::seconds(5));
  EXPECT_EQ(cluster.Leader(), leader);
  EXPECT_EQ(cluster.node(leader).epoch(), epoch);
  EXPECT_EQ(cluster.node(other).core().leader_id(), NodeId(leader));
}

// Two prospectives that refused each other while they still followed ask again.
TEST(Kip996Test, RefusalOfAVoterThatCampaignsItselfIsForgotten) {
  TestNode node(1, VotersUpTo(3), DiskWith({1, 1}, 1));
  BecomeProspective(node);
  const auto votes = node.TakeSendsOf<VoteRequest>();
  node.Respond(votes[0], VoteResponse{.header = node.OkHeader(), .vote_granted = false});
  EXPECT_THAT(node.TakeSendsOf<VoteRequest>(), IsEmpty());
  EXPECT_FALSE(PreVote(node, votes[0].to.key.node_id.value(), {Offset(1), Epoch(1)}));
  EXPECT_THAT(node.TakeSendsOf<VoteRequest>(), SizeIs(1));
}

}  // namespace
}  // namespace kvorum::raft
