// Leadership that is given away: on request (Raft thesis §3.10), and by a leader that sees that its
// own disk or loop has stalled.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/protocol/raft_cluster.h"
#include "tests/protocol/raft_harness.h"

namespace kvorum::raft {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

// Node 1 leads 1, 2, 3 and has committed the first batch of its epoch.
class TransferTest : public ::testing::Test {
 protected:
  TransferTest() {
    node.WinElection();
    Hear();
  }

  // Both followers fetch at the log's end.
  void Hear() {
    node.Receive(node.FetchFrom(2));
    node.Receive(node.FetchFrom(3));
    node.TakeSends();
  }
  ChangeError ErrorOf(ChangeToken token) {
    const auto done = node.TakeChange(token);
    EXPECT_TRUE(done.has_value()) << "not answered";
    return done.has_value() ? done->error : ChangeError::kUnknown;
  }
  EndQuorumEpochRequest TakeEnd() {
    const auto ends = node.TakeSendsOf<EndQuorumEpochRequest>();
    EXPECT_THAT(ends, SizeIs(2));
    return std::get<EndQuorumEpochRequest>(ends.at(0).request);
  }

  TestNode node{1, VotersUpTo(3)};
};

TEST_F(TransferTest, GoesAtOnceToAVoterThatHasEverything) {
  const ChangeToken transfer = node.Transfer(3);
  EXPECT_EQ(node.role(), Role::kResigned);
  const EndQuorumEpochRequest end = TakeEnd();
  EXPECT_TRUE(end.is_transfer);
  EXPECT_EQ(end.preferred_candidates, (std::vector<ReplicaKey>{KeyOf(3), KeyOf(2)}));
  EXPECT_FALSE(node.TakeChange(transfer).has_value()) << "it is done when the target leads";
  node.Follow(3, 2);
  EXPECT_EQ(ErrorOf(transfer), ChangeError::kNone);
}

TEST_F(TransferTest, WaitsForTheTargetToCatchUpAndSaysSo) {
  node.Append("a");
  const ChangeToken transfer = node.Transfer(3);
  EXPECT_EQ(node.role(), Role::kLeader);
  EXPECT_TRUE(node.core().is_transferring()) << "nothing should be appended meanwhile";
  EXPECT_EQ(node.Describe().transfer_target, NodeId(3));
  node.Receive(node.FetchFrom(2));
  EXPECT_EQ(node.role(), Role::kLeader);
  node.Receive(node.FetchFrom(3));
  EXPECT_EQ(node.role(), Role::kResigned);
  EXPECT_FALSE(node.core().is_transferring());
  node.Follow(3, 2);
  EXPECT_EQ(ErrorOf(transfer), ChangeError::kNone);
}

// Raft thesis §3.10: a transfer that takes longer than an election would is given up.
TEST_F(TransferTest, LeadsOnIfTheTargetDoesNotCatchUpInTime) {
  node.Append("a");
  const ChangeToken transfer = node.Transfer(3);
  node.RunFor(milliseconds(500));
  EXPECT_EQ(ErrorOf(transfer), ChangeError::kNotCaughtUp);
  EXPECT_EQ(node.role(), Role::kLeader);
  EXPECT_FALSE(node.core().is_transferring());
}

TEST_F(TransferTest, IsRefusedForWhomItCannotGoTo) {
  EXPECT_EQ(ErrorOf(node.Transfer(7)), ChangeError::kVoterNotFound);
  EXPECT_EQ(ErrorOf(node.Transfer(1)), ChangeError::kNone) << "it leads already";
  EXPECT_EQ(node.role(), Role::kLeader);
  for (int i = 0; i < 7; ++i) {
    node.RunFor(milliseconds(500));
    node.Receive(node.FetchFrom(2));
  }
  EXPECT_EQ(ErrorOf(node.Transfer(3)), ChangeError::kNotCaughtUp) << "3 has been silent for long";
}

TEST_F(TransferTest, OneAtATimeAndNotBesideAChangeOfTheVoters) {
  node.Append("a");
  node.Transfer(3);
  EXPECT_EQ(ErrorOf(node.Transfer(2)), ChangeError::kChangePending);
  EXPECT_EQ(ErrorOf(node.Change(VoterChangeKind::kRemove, VoterOf(2))),
            ChangeError::kChangePending);
}

TEST_F(TransferTest, SaysWhoLeadsIfItIsNotTheTarget) {
  const ChangeToken transfer = node.Transfer(3);
  node.Follow(2, 2);
  const auto done = node.TakeChange(transfer);
  ASSERT_TRUE(done.has_value());
  EXPECT_EQ(done->error, ChangeError::kOtherLeader);
}

TEST_F(TransferTest, IsAnsweredWhenNobodyIsElectedInTimeAndWhenTheNodeStops) {
  const ChangeToken late = node.Transfer(3, node.now() + milliseconds(700));
  node.RunFor(milliseconds(700));
  EXPECT_EQ(ErrorOf(late), ChangeError::kUnknown);

  TestNode other(1, VotersUpTo(3));
  other.WinElection();
  other.Receive(other.FetchFrom(2));
  const ChangeToken stopped = other.Transfer(2);
  other.Step(BeginShutdown{});
  EXPECT_EQ(other.TakeChange(stopped)->error, ChangeError::kUnknown);
}

// The veto of followers that hear their leader would cost the target a round (KIP-996).
TEST_F(TransferTest, TheTargetStandsForElectionWithoutAPreVote) {
  TestNode target(2, VotersUpTo(3));
  target.Follow(1, 1);
  target.AnswerFetch({}, std::nullopt);
  target.Ask(EndQuorumEpochRequest{.header = target.HeaderFrom(1),
                                   .leader_epoch = Epoch(1),
                                   .preferred_candidates = {KeyOf(2), KeyOf(3)},
                                   .is_transfer = true});
  EXPECT_EQ(target.role(), Role::kCandidate);
  EXPECT_EQ(target.epoch(), Epoch(2));
  for (const SendRequest& vote : target.TakeSendsOf<VoteRequest>()) {
    EXPECT_FALSE(std::get<VoteRequest>(vote.request).pre_vote);
  }
}

TEST_F(TransferTest, TheOthersWaitForTheirTurn) {
  TestNode other(3, VotersUpTo(3));
  other.Follow(1, 1);
  other.AnswerFetch({}, std::nullopt);
  other.Ask(EndQuorumEpochRequest{.header = other.HeaderFrom(1),
                                  .leader_epoch = Epoch(1),
                                  .preferred_candidates = {KeyOf(2), KeyOf(3)},
                                  .is_transfer = true});
  EXPECT_EQ(other.role(), Role::kFollower);
}

TEST_F(TransferTest, AnEndOfAnotherEpochStartsNoElection) {
  TestNode target(2, VotersUpTo(3));
  target.Follow(3, 2);
  target.Ask(EndQuorumEpochRequest{.header = target.HeaderFrom(1),
                                   .leader_epoch = Epoch(1),
                                   .preferred_candidates = {KeyOf(2)},
                                   .is_transfer = true});
  EXPECT_EQ(target.role(), Role::kFollower);
  EXPECT_EQ(target.epoch(), Epoch(2));
}

TEST(TransferClusterTest, LeadershipMovesWithinOneRoundTripAndAnElection) {
  for (const int size : {2, 3, 5}) {
    TestCluster cluster(size);
    const int first = cluster.RunUntilLeader().value();
    cluster.RunFor(milliseconds(1000));
    const int target = first % size + 1;
    const TimePoint begun = cluster.now();
    cluster.node(first).set_now(begun);
    const ChangeToken transfer = cluster.node(first).Transfer(target);
    ASSERT_TRUE(cluster.RunUntil([&] { return cluster.Leader() == target; }, milliseconds(0)))
        << "of " << size;
    EXPECT_EQ(cluster.now(), begun) << "no timer has any part in it";
    cluster.DeliverAll();
    EXPECT_EQ(cluster.node(first).TakeChange(transfer)->error, ChangeError::kNone);
  }
}

// --- a leader that knows its own health ---

// A majority without it may go on committing, but it must not wait until its memory is full.
TEST_F(TransferTest, ALeaderWhoseDiskHasStalledGivesItsLeadershipAway) {
  node.auto_sync = false;
  node.Append("a");
  for (int i = 0; i < 4; ++i) {
    ASSERT_EQ(node.role(), Role::kLeader) << "after " << 250 * i << " ms";
    node.RunFor(milliseconds(250));
    if (node.role() == Role::kLeader) {
      Hear();
    }
  }
  EXPECT_EQ(node.role(), Role::kResigned);
  EXPECT_TRUE(node.has_trace(RaftTraceKind::kLeadershipGivenUp));
  EXPECT_TRUE(TakeEnd().is_transfer) << "and its message waits for no write";
}

TEST_F(TransferTest, ALeaderWhoseDiskIsSlowOnlyLeadsOn) {
  node.auto_sync = false;
  for (int i = 0; i < 20; ++i) {
    node.Append("a");
    node.RunFor(milliseconds(400));
    Hear();
    node.Sync();
    ASSERT_EQ(node.role(), Role::kLeader);
  }
}

// Its own vote would wait for the stalled disk: the others must be a majority without it.
TEST_F(TransferTest, AStalledDiskIsNoReasonToGoWhileNobodyCouldTakeOver) {
  node.RunFor(milliseconds(500));
  node.Receive(node.FetchFrom(2));  // 3 is silent
  node.auto_sync = false;
  node.Append("a");
  for (int i = 0; i < 8; ++i) {
    node.RunFor(milliseconds(250));
    node.Receive(node.FetchFrom(2));
  }
  EXPECT_EQ(node.role(), Role::kLeader);
  node.Receive(node.FetchFrom(3));
  EXPECT_EQ(node.role(), Role::kResigned) << "now they can";
}

TEST_F(TransferTest, ALeaderAloneHasNobodyToGiveItTo) {
  TestNode alone(1, VotersUpTo(1));
  alone.FireTimer();
  ASSERT_TRUE(alone.core().high_watermark().has_value());
  alone.auto_sync = false;
  alone.Append("a");
  alone.Advance(std::chrono::seconds(10));
  alone.Step(TimerFired{});
  EXPECT_EQ(alone.role(), Role::kLeader);
}

TEST_F(TransferTest, ALeaderWhoseLoopStoodStillGivesItsLeadershipAwayOnceItHearsTheOthers) {
  node.Advance(milliseconds(1400));
  node.Step(TimerFired{});
  ASSERT_EQ(node.role(), Role::kLeader) << "whom it has not heard it cannot give it to";
  node.Receive(node.FetchFrom(2));
  EXPECT_EQ(node.role(), Role::kResigned);
  const EndQuorumEpochRequest end = TakeEnd();
  EXPECT_EQ(end.preferred_candidates.front(), KeyOf(2)) << "3 has not been heard since";
}

TEST_F(TransferTest, ALoopThatStoodStillLongAgoIsForgotten) {
  node.Advance(milliseconds(1400));
  node.Step(TimerFired{});
  TestNode& leader = node;
  leader.RunFor(milliseconds(800));  // check-quorum is at 2250 ms
  ASSERT_EQ(leader.role(), Role::kLeader);
  EXPECT_THAT(leader.TakeSendsOf<EndQuorumEpochRequest>(), IsEmpty());
}

TEST_F(TransferTest, OrdinaryLatenessIsNoStall) {
  for (int i = 0; i < 20; ++i) {
    node.Advance(milliseconds(700));
    Hear();
    ASSERT_EQ(node.role(), Role::kLeader);
  }
}

// --- a replica that could never follow this leader ---

// It campaigned, nobody heard of it, and it was removed: it has no vote to bring the others to its
// epoch, and follows no leader of one before.
TEST_F(TransferTest, AReplicaInALaterEpochIsFollowedByAnElection) {
  FetchRequest fetch = node.FetchFrom(9, 0);
  fetch.current_leader_epoch = node.epoch() + 1;
  node.Receive(fetch);
  EXPECT_EQ(node.epoch(), Epoch(1)) << "consensus §2.0: a Fetch raises no epoch";
  EXPECT_EQ(node.role(), Role::kLeader) << "not more often than elections come anyway";
  node.RunFor(milliseconds(800));
  Hear();
  ASSERT_EQ(node.role(), Role::kLeader);
  node.RunFor(milliseconds(800));
  node.Receive(fetch);
  EXPECT_EQ(node.role(), Role::kResigned);
  EXPECT_TRUE(TakeEnd().is_transfer) << "the successor need not wait";
}

TEST_F(TransferTest, AReplicaInALaterEpochWaitsWhileNobodyCouldTakeOver) {
  node.RunFor(milliseconds(1400));
  FetchRequest fetch = node.FetchFrom(9, 0);
  fetch.current_leader_epoch = node.epoch() + 1;
  node.RunFor(milliseconds(200));
  node.Receive(fetch);
  EXPECT_EQ(node.role(), Role::kLeader) << "both others are silent";
}

TEST(TransferAloneTest, ALeaderAloneGetsToTheEpochOfAReplica) {
  TestNode alone(1, VotersUpTo(1));
  alone.WinElection();
  FetchRequest fetch = alone.FetchFrom(9, 0);
  fetch.current_leader_epoch = alone.epoch() + 3;
  const Epoch wanted = fetch.current_leader_epoch;
  for (int i = 0; i < 20 && alone.epoch() < wanted; ++i) {
    alone.Receive(fetch);
    alone.RunFor(milliseconds(400));
  }
  EXPECT_GE(alone.epoch(), wanted);
  EXPECT_EQ(alone.role(), Role::kLeader);
}

// reliability R18: a follower whose disk is slow causes no elections.
TEST_F(TransferTest, AFollowerWithAStalledDiskDisturbsNobody) {
  for (int i = 0; i < 20; ++i) {
    node.RunFor(milliseconds(400));
    node.Receive(node.FetchFrom(2));
    ASSERT_EQ(node.role(), Role::kLeader);
  }
  EXPECT_EQ(node.epoch(), Epoch(1));
}

}  // namespace
}  // namespace kvorum::raft
