// KIP-853: replicas are (node, disk); the voter set lives in the log and follows its end.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/protocol/raft_cluster.h"
#include "tests/protocol/raft_harness.h"

namespace kvorum::raft {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

// A control batch of `epoch` that makes 1..`voters` the voters, after `log`.
RecordBatch VotersBatch(const std::vector<RecordBatch>& log, int epoch, int voters) {
  EpochStartRecords records{.leader_id = NodeId(2),
                            .voters = {},
                            .granting_voters = {NodeId(2)},
                            .voter_set = VotersUpTo(voters)};
  const Offset end = log.empty() ? Offset(0) : log.back().end_offset();
  const uint64_t chain = log.empty() ? GenesisChainHash("test-cluster") : log.back().chain_hash;
  return MakeBatch(end, records.record_count(), Epoch(epoch), /*is_control=*/true, 0,
                   EncodeControlText(records), chain);
}

TEST(Kip853Test, FirstLeaderOfALogWritesTheVoterSetWithItsFirstBatch) {
  TestNode node(1, VotersUpTo(3));
  node.WinElection();
  EXPECT_THAT(node.Payloads(), ElementsAre("leader=1 granting=1,2 voters=1,2,3"));
  EXPECT_EQ(node.core().log_end_offset(), Offset(2));
}

TEST(Kip853Test, LaterLeadersDoNotRepeatTheVoterSet) {
  TestCluster cluster(3);
  const int first = cluster.RunUntilLeader().value();
  cluster.RunFor(milliseconds(500));
  cluster.Crash(first);
  const int second = cluster.RunUntilLeader().value();
  ASSERT_NE(first, second);
  const std::vector<std::string> payloads = cluster.node(second).Payloads();
  ASSERT_THAT(payloads, SizeIs(2));
  EXPECT_EQ(payloads[1].find("voters"), std::string::npos);
}

TEST(Kip853Test, VoterSetTakesEffectWhenAppendedAndIsReadAgainAtStart) {
  TestNode node(1, VotersUpTo(3));
  node.Follow(2, 1);
  node.AnswerFetch({VotersBatch({}, 1, 5)}, std::nullopt);
  EXPECT_EQ(node.core().voters(), VotersUpTo(5));
  EXPECT_EQ(node.core().high_watermark(), std::nullopt);
  node.CrashAndRestart();
  EXPECT_EQ(node.core().voters(), VotersUpTo(5));
}

// consensus §1.1 ⚠: membership can flip back.
TEST(Kip853Test, TruncationBringsTheFormerVoterSetBack) {
  TestNode node(1, VotersUpTo(3));
  node.Follow(2, 1);
  std::vector<RecordBatch> log = BatchesAfter({}, {1});
  log.push_back(VotersBatch(log, 1, 5));
  node.AnswerFetch(log, std::nullopt);
  ASSERT_EQ(node.core().voters().size(), 5u);
  node.Follow(3, 2);
  const auto fetches = node.TakeSendsOf<FetchRequest>();
  FetchResponse response;
  response.header = node.OkHeader(3);
  response.diverging_epoch = EpochEnd{.epoch = Epoch(1), .end_offset = Offset(1)};
  node.Respond(fetches.back(), response);
  EXPECT_EQ(node.core().voters(), VotersUpTo(3));
}

// reliability R46, KAFKA-17067; architecture: observers are Unattached or Follower only.
TEST(Kip853Test, ObserverNeverCampaigns) {
  TestNode node(7, VotersUpTo(3));
  node.RunFor(std::chrono::seconds(10));
  EXPECT_EQ(node.role(), Role::kUnattached);
  node.Follow(2, 1);
  node.RunFor(std::chrono::seconds(10));
  EXPECT_EQ(node.role(), Role::kFollower);
  EXPECT_FALSE(node.Describe().is_voter);
}

// The leader it knows is another replica now, and its answers say nothing of who leads.
TEST(Kip853Test, ObserverWhoseLeaderHasANewDiskAsksTheOthers) {
  TestNode node(7, VotersUpTo(3));
  node.TakeSends();  // it has asked around before
  node.Follow(2, 1);
  bool has_asked_another = false;
  for (int i = 0; i < 50 && !has_asked_another; ++i) {
    for (const SendRequest& fetch : node.TakeSendsOf<FetchRequest>()) {
      has_asked_another = has_asked_another || fetch.to.key.node_id != NodeId(2);
      FetchResponse refusal;
      refusal.header = node.OkHeader();
      refusal.header.error = RaftError::kInvalidVoterKey;
      node.Respond(fetch, refusal);
    }
    if (node.core().NextDeadline() != kNever) {
      node.FireTimer();
    }
  }
  EXPECT_TRUE(has_asked_another);
}

// Else a voter that does not know yet that it is one keeps the others from replacing its leader.
TEST(Kip853Test, ObserverThatHearsItsLeaderNoMoreGrantsPreVotes) {
  TestNode node(7, VotersUpTo(3));
  node.Follow(2, 1);
  node.AnswerFetch({}, std::nullopt);
  const auto grants = [&node] {
    return node
        .AskFor<VoteResponse>(VoteRequest{
            .header = node.HeaderFrom(1), .epoch = Epoch(1), .log_end = {}, .pre_vote = true})
        .vote_granted;
  };
  EXPECT_FALSE(grants());
  node.Advance(std::chrono::seconds(5));
  EXPECT_TRUE(grants());
}

// consensus §1.4, §5 ⚠: its own voter set may be stale.
TEST(Kip853Test, ObserverAnswersVotesAndStrangersAreAnsweredToo) {
  TestNode node(7, VotersUpTo(3));
  const VoteRequest vote{
      .header = node.HeaderFrom(9), .epoch = Epoch(2), .log_end = {}, .pre_vote = false};
  EXPECT_TRUE(node.AskFor<VoteResponse>(vote).vote_granted);
}

TEST(Kip853Test, ObserverThatBecomesVoterByTheLogMayCampaign) {
  TestNode node(4, VotersUpTo(3));
  node.Follow(2, 1);
  node.AnswerFetch({VotersBatch({}, 1, 5)}, std::nullopt);
  while (node.role() == Role::kFollower) {
    node.FireTimer();
  }
  EXPECT_EQ(node.role(), Role::kProspective);
}

// A wiped disk has forgotten its votes: it is not the voter of that id.
TEST(Kip853Test, NodeWithAnotherDiskIsNoVoter) {
  std::vector<Voter> voters;
  for (int id = 1; id <= 3; ++id) {
    voters.push_back(VoterOf(id));
  }
  voters[0].key = KeyOf(1, /*disk=*/3);
  TestNode node(1, VoterSet(std::move(voters)));
  node.RunFor(std::chrono::seconds(5));
  EXPECT_EQ(node.role(), Role::kUnattached);
}

TEST(Kip853Test, VoteIsBoundToTheDiskOfTheCandidate) {
  TestNode node(1, VotersUpTo(3));
  VoteRequest vote{
      .header = node.HeaderFrom(2), .epoch = Epoch(1), .log_end = {}, .pre_vote = false};
  ASSERT_TRUE(node.AskFor<VoteResponse>(vote).vote_granted);
  EXPECT_TRUE(node.AskFor<VoteResponse>(vote).vote_granted);  // the same again
  vote.header.sender = KeyOf(2, /*disk=*/1);
  EXPECT_FALSE(node.AskFor<VoteResponse>(vote).vote_granted);
}

}  // namespace
}  // namespace kvorum::raft
