// A replica whose disk forgot something (reliability §6.3): it casts no vote and counts in no
// majority until it has everything again (FAST'18 "Protocol-Aware Recovery").

#include <gtest/gtest.h>

#include "tests/protocol/raft_cluster.h"
#include "tests/protocol/raft_harness.h"

namespace kvorum::raft {
namespace {

TestDisk Quarantined(TestDisk disk) {
  disk.is_quarantined = true;
  return disk;
}

TEST(QuarantineTest, GrantsNeitherVoteNorPreVote) {
  TestNode node(1, VotersUpTo(3), Quarantined(DiskWith({1, 1}, 1)));
  for (const bool pre_vote : {true, false}) {
    const auto answer = node.AskFor<VoteResponse>(VoteRequest{.header = node.HeaderFrom(2),
                                                              .epoch = Epoch(4),
                                                              .log_end = {Offset(9), Epoch(2)},
                                                              .pre_vote = pre_vote});
    EXPECT_FALSE(answer.vote_granted);
  }
  EXPECT_EQ(node.Describe().voted_key, std::nullopt);
}

TEST(QuarantineTest, NeverCampaigns) {
  TestNode node(1, VotersUpTo(3), Quarantined(DiskWith({1, 1}, 1)));
  node.Follow(2, 2);
  node.RunFor(milliseconds(20'000));
  EXPECT_EQ(node.role(), Role::kFollower);
  EXPECT_TRUE(node.TakeSendsOf<VoteRequest>().empty());
}

// A quorum of one has nobody to recover from: an operator decides, never the replica.
TEST(QuarantineTest, SingleVoterDoesNotElectItself) {
  TestNode node(1, VotersUpTo(1), Quarantined(DiskWith({1, 1}, 1)));
  node.RunFor(milliseconds(20'000));
  EXPECT_EQ(node.role(), Role::kUnattached);
}

TEST(QuarantineTest, ItsFetchesAcknowledgeNothing) {
  TestNode leader(1, VotersUpTo(3));
  leader.WinElection();
  leader.Append("x");
  FetchRequest request = leader.FetchFrom(2);
  request.is_quarantined = true;
  leader.Receive(request);
  EXPECT_EQ(leader.core().high_watermark(), std::nullopt);
  leader.Receive(leader.FetchFrom(3));
  EXPECT_EQ(leader.core().high_watermark(), leader.core().log_end_offset());
}

// What it acknowledged before its disk forgot it is not on that disk any more.
TEST(QuarantineTest, WhatItSaidBeforeCountsNoLonger) {
  TestNode leader(1, VotersUpTo(5));
  leader.WinElection();
  leader.Append("x");
  leader.Receive(leader.FetchFrom(2));
  FetchRequest forgot = leader.FetchFrom(2, 0);
  forgot.is_quarantined = true;
  leader.Receive(forgot);
  leader.Receive(leader.FetchFrom(3));
  EXPECT_EQ(leader.core().high_watermark(), std::nullopt) << "1 and 3 of five are no majority";
}

TEST(QuarantineTest, ItIsNoContactForCheckQuorum) {
  TestNode leader(1, VotersUpTo(3));
  leader.WinElection();
  for (int i = 0; i < 5; ++i) {
    FetchRequest request = leader.FetchFrom(2);
    request.is_quarantined = true;
    leader.Receive(request);
    leader.RunFor(milliseconds(600));
  }
  EXPECT_NE(leader.role(), Role::kLeader);
}

// It leaves when its disk holds all that the leader had at the first answer, and that is committed.
TEST(QuarantineTest, EndsOnceEverythingIsHereAndCommitted) {
  TestNode node(1, VotersUpTo(3), Quarantined(DiskWith({1}, 1)));
  node.Follow(2, 2);
  std::vector<RecordBatch> missing = BatchesAfter(node.log(), {1, 2});
  const auto answer = [&](std::vector<RecordBatch> batches, int high_watermark) {
    const auto fetches = node.TakeSendsOf<FetchRequest>();
    ASSERT_FALSE(fetches.empty());
    EXPECT_TRUE(std::get<FetchRequest>(fetches.back().request).is_quarantined);
    FetchResponse response;
    response.header = node.OkHeader(2);
    response.high_watermark = Offset(high_watermark);
    response.log_end_offset = Offset(3);
    response.batches = std::move(batches);
    node.Respond(fetches.back(), response);
  };
  answer({missing[0]}, 2);
  EXPECT_TRUE(node.core().is_quarantined()) << "a record is missing";
  answer({missing[1]}, 2);
  EXPECT_TRUE(node.core().is_quarantined()) << "the last record is not known to be committed";
  answer({}, 3);
  EXPECT_FALSE(node.core().is_quarantined());
  EXPECT_FALSE(node.disk().is_quarantined);
  node.RunFor(milliseconds(10'000));
  EXPECT_TRUE(node.has_trace(RaftTraceKind::kBecameProspective)) << "a voter like any other";
}

TEST(QuarantineTest, NoWordOfAVoterLeavesBeforeItsEndIsDurable) {
  TestNode node(1, VotersUpTo(3), Quarantined(DiskWith({1}, 1)));
  node.Follow(2, 2);
  const auto fetches = node.TakeSendsOf<FetchRequest>();
  node.auto_sync = false;
  FetchResponse response;
  response.header = node.OkHeader(2);
  response.high_watermark = Offset(1);
  response.log_end_offset = Offset(1);
  node.Respond(fetches.back(), response);
  ASSERT_FALSE(node.core().is_quarantined());
  EXPECT_TRUE(node.TakeSendsOf<FetchRequest>().empty());
  node.Sync();
  node.Step(TimerFired{});
  const auto after = node.TakeSendsOf<FetchRequest>();
  ASSERT_FALSE(after.empty());
  EXPECT_FALSE(std::get<FetchRequest>(after.back().request).is_quarantined);
}

}  // namespace
}  // namespace kvorum::raft
