// The Raft paper's rules (Ongaro and Ousterhout 2014; thesis 2014), as KRaft keeps them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/protocol/raft_cluster.h"
#include "tests/protocol/raft_harness.h"

namespace kvorum::raft {
namespace {

using ::testing::Contains;
using ::testing::SizeIs;

VoteRequest VoteFrom(const TestNode& node, int candidate, int epoch, OffsetAndEpoch log_end) {
  return VoteRequest{.header = node.HeaderFrom(candidate),
                     .epoch = Epoch(epoch),
                     .log_end = log_end,
                     .pre_vote = false};
}

// Raft §5.2: at most one vote per term, first come first served.
TEST(RaftPaperTest, VotesOnceInATerm) {
  TestNode node(1, VotersUpTo(3));
  EXPECT_TRUE(node.AskFor<VoteResponse>(VoteFrom(node, 2, 1, {})).vote_granted);
  EXPECT_FALSE(node.AskFor<VoteResponse>(VoteFrom(node, 3, 1, {})).vote_granted);
  EXPECT_TRUE(node.AskFor<VoteResponse>(VoteFrom(node, 3, 2, {})).vote_granted);
}

// Raft §5.4.1.
TEST(RaftPaperTest, RefusesACandidateWhoseLogIsLessComplete) {
  struct Case {
    OffsetAndEpoch log_end;
    bool granted;
  };
  for (const Case& c : {Case{{Offset(9), Epoch(1)}, false}, Case{{Offset(2), Epoch(2)}, false},
                        Case{{Offset(3), Epoch(2)}, true}, Case{{Offset(4), Epoch(2)}, true},
                        Case{{Offset(1), Epoch(3)}, true}}) {
    TestNode node(1, VotersUpTo(3), DiskWith({1, 2, 2}, 3));
    EXPECT_EQ(node.AskFor<VoteResponse>(VoteFrom(node, 2, 4, c.log_end)).vote_granted, c.granted)
        << c.log_end.offset << "/" << c.log_end.epoch;
  }
}

TEST(RaftPaperTest, ElectsOneLeaderAndReplicates) {  // Raft §5.2, §5.3
  TestCluster cluster(3);
  const int leader = cluster.RunUntilLeader().value();
  cluster.Append(leader, "a");
  cluster.RunFor(milliseconds(10));
  for (int id = 1; id <= 3; ++id) {
    EXPECT_THAT(cluster.node(id).Payloads(), Contains("a"));
    EXPECT_EQ(cluster.node(id).core().high_watermark(), Offset(3));
    EXPECT_EQ(cluster.node(id).core().leader_id(), NodeId(leader));
  }
}

// Raft §5.3: the median of the voters' durable ends; the leader's own by sync, not by append
// (thesis §10.2.1; etcd #14370, reliability R03).
TEST(RaftPaperTest, LeaderCountsItselfOnlyByWhatItSynced) {
  TestNode node(1, VotersUpTo(3));
  node.WinElection();
  node.Receive(node.FetchFrom(2));
  node.auto_sync = false;
  node.Append("a");
  node.Receive(node.FetchFrom(2));  // acknowledges "a"
  EXPECT_EQ(node.core().high_watermark(), Offset(2));
  node.Sync();
  EXPECT_EQ(node.core().high_watermark(), Offset(3));
}

TEST(RaftPaperTest, MajorityWithoutTheLeaderCommitsBeforeItsSync) {  // thesis §10.2.1
  TestNode node(1, VotersUpTo(3));
  node.WinElection();
  node.auto_sync = false;
  node.Append("a");
  node.Receive(node.FetchFrom(2));
  node.Receive(node.FetchFrom(3));
  EXPECT_EQ(node.core().high_watermark(), Offset(3));
  EXPECT_EQ(node.core().durable_end_offset(), Offset(2));
}

TEST(RaftPaperTest, OneVoterCommitsOnlyWhatIsSynced) {  // consensus §3.4 ⚠; etcd #14370
  TestNode node(1, VotersUpTo(1));
  node.FireTimer();
  node.auto_sync = false;
  node.Append("a");
  EXPECT_EQ(node.core().high_watermark(), Offset(2));
  node.Sync();
  EXPECT_EQ(node.core().high_watermark(), Offset(3));
}

// consensus §3.4 ⚠; Raft §5.4.2, figure 8: a leader does not commit an older term's record by
// counting replicas.
TEST(RaftPaperTest, OldRecordsCommitOnlyWithOneOfTheOwnEpoch) {
  TestNode node(1, VotersUpTo(3), DiskWith({1, 2}, 3));
  node.WinElection();  // epoch 4; its first record is at 2
  node.Receive(node.FetchFrom(2, 2));
  EXPECT_EQ(node.core().high_watermark(), std::nullopt);  // both old records are on a majority
  node.Receive(node.FetchFrom(2, 4));
  EXPECT_EQ(node.core().high_watermark(), Offset(4));
}

// Figure 8 (c)-(e) with whole logs: the record of epoch 2 on a majority is still overwritten by a
// leader that never had it, because it was never committed.
TEST(RaftPaperTest, Figure8RecordOnAMajorityIsOverwritten) {
  TestNode s5(5, VotersUpTo(5), DiskWith({1, 3}, 3));
  TestNode s1(1, VotersUpTo(5), DiskWith({1, 2}, 3));
  s1.WinElection();
  ASSERT_EQ(s1.epoch(), Epoch(4));
  s1.Receive(s1.FetchFrom(2, 2));
  s1.Receive(s1.FetchFrom(3, 2));  // epoch 2's record is on 1, 2, 3
  EXPECT_EQ(s1.core().high_watermark(), std::nullopt);
  s5.WinElection();  // epoch 4 there, too: a voter would refuse one of them; then epoch 5
  const FetchRequest fetch{.header = s5.HeaderFrom(2),
                           .current_leader_epoch = s5.epoch(),
                           .fetch_offset = Offset(2),
                           .last_fetched_epoch = Epoch(2)};
  EXPECT_EQ(s5.AskFor<FetchResponse>(fetch).diverging_epoch,
            (EpochEnd{.epoch = Epoch(1), .end_offset = Offset(1)}));
}

// Raft §5.3, log matching: a deposed leader's unshared tail is replaced.
TEST(RaftPaperTest, DeposedLeaderTruncatesItsTail) {
  TestCluster cluster(3);
  const int old = cluster.RunUntilLeader().value();
  cluster.RunFor(milliseconds(500));
  cluster.Isolate(old);
  cluster.Append(old, "lost");
  ASSERT_TRUE(cluster.RunUntil([&] {
    const auto leader = cluster.Leader();
    return leader.has_value() && *leader != old;
  }));
  const int leader = *cluster.Leader();
  cluster.Append(leader, "kept");
  cluster.Heal();
  ASSERT_TRUE(cluster.RunUntil([&] {
    return cluster.node(old).core().high_watermark() ==
           cluster.node(leader).core().high_watermark();
  }));
  EXPECT_EQ(cluster.node(old).Payloads(), cluster.node(leader).Payloads());
  EXPECT_THAT(cluster.node(old).Payloads(), Contains("kept"));
  EXPECT_TRUE(cluster.node(old).has_trace(RaftTraceKind::kTruncated));
}

// reliability R11 (etcd async_storage_writes_append_aba_race): a deposed leader is told to truncate
// only when its own append is synced, so that no completion can be of a tail that is gone. (That
// completions go by write and not by offset: unit/raft/pending_writes_test.cc.)
TEST(RaftPaperTest, DeposedLeaderFetchesOnlyWhenItsAppendIsSynced) {
  TestNode node(1, VotersUpTo(3));
  node.WinElection();
  node.TakeSends();
  node.auto_sync = false;
  node.Append("lost");
  node.Receive(
      BeginQuorumEpochRequest{.header = node.HeaderFrom(2), .leader_epoch = node.epoch() + 1});
  node.Sync(1);
  EXPECT_TRUE(node.TakeSendsOf<FetchRequest>().empty());
  node.Sync(1);
  const auto fetches = node.TakeSendsOf<FetchRequest>();
  ASSERT_THAT(fetches, SizeIs(1));
  FetchResponse diverging;
  diverging.header = node.OkHeader(2);
  diverging.diverging_epoch = EpochEnd{.epoch = Epoch(1), .end_offset = Offset(2)};
  node.Respond(fetches[0], diverging);
  EXPECT_EQ(node.core().durable_end_offset(), Offset(2));
  node.Sync();
  node.AnswerFetch(BatchesAfter(node.log(), {2}), std::nullopt);
  EXPECT_EQ(node.core().log_end_offset(), Offset(3));
  EXPECT_EQ(node.core().durable_end_offset(), Offset(2));
  node.Sync();
  EXPECT_EQ(node.core().durable_end_offset(), Offset(3));
}

// Raft §5.5: a crash loses only what no one was told of.
TEST(RaftPaperTest, WholeQuorumRestartsWithWhatWasCommitted) {
  TestCluster cluster(3);
  const int leader = cluster.RunUntilLeader().value();
  cluster.Append(leader, "a");
  cluster.RunFor(milliseconds(100));
  for (int id = 1; id <= 3; ++id) {
    cluster.Crash(id);
  }
  for (int id = 1; id <= 3; ++id) {
    cluster.Restart(id);
  }
  const int next = cluster.RunUntilLeader().value();
  cluster.RunFor(milliseconds(100));
  EXPECT_THAT(cluster.node(next).Payloads(), Contains("a"));
  EXPECT_GE(cluster.node(next).core().high_watermark(), Offset(4));
}

// Two followers that lose the leader at the same moment do not split the vote.
TEST(RaftPaperTest, SilentLeaderIsReplacedInOneEpoch) {
  TestCluster cluster(3);
  const int old = cluster.RunUntilLeader().value();
  cluster.RunFor(milliseconds(500));
  const Epoch epoch = cluster.node(old).epoch();
  cluster.Isolate(old);
  const TimePoint lost = cluster.now();
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.Leader() != old; }));
  EXPECT_EQ(cluster.node(*cluster.Leader()).epoch(), epoch + 1);
  EXPECT_LT(cluster.now() - lost, milliseconds(1600));
}

TEST(RaftPaperTest, MinorityCommitsNothing) {
  TestCluster cluster(5);
  const int leader = cluster.RunUntilLeader().value();
  cluster.RunFor(milliseconds(500));
  const auto committed = cluster.node(leader).core().high_watermark();
  const int partner = leader % 5 + 1;
  for (int id = 1; id <= 5; ++id) {
    if (id != leader && id != partner) {
      cluster.Cut(leader, id);
      cluster.Cut(id, leader);
      cluster.Cut(partner, id);
      cluster.Cut(id, partner);
    }
  }
  cluster.Append(leader, "lost");
  cluster.RunFor(milliseconds(1000));
  EXPECT_EQ(cluster.node(leader).core().high_watermark(), committed);
  EXPECT_THAT(cluster.node(partner).Payloads(), Contains("lost"));
}

// reliability R21, invariant 40.
TEST(RaftPaperTest, IdleQuorumIsQuiet) {
  TestCluster cluster(3, /*observers=*/1);
  cluster.RunUntilLeader();
  cluster.RunFor(std::chrono::seconds(2));
  int messages = 0;
  cluster.on_deliver = [&](const TestMessage&) { ++messages; };
  cluster.RunFor(std::chrono::seconds(10));
  EXPECT_LE(messages / 10 / 4, 10);  // per node and second
}

TEST(RaftPaperTest, QuorumWithoutMajorityIsQuiet) {
  TestCluster cluster(3);
  cluster.Crash(2);
  cluster.Crash(3);
  int messages = 0;
  cluster.on_deliver = [&](const TestMessage&) { ++messages; };
  cluster.RunFor(std::chrono::seconds(10));
  EXPECT_LE(messages / 10, 50);
  EXPECT_LE(cluster.node(1).epoch(), Epoch(1));
}

}  // namespace
}  // namespace kvorum::raft
