// KIP-853: the voter set is changed by one replica at a time, by the leader, through the log.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/protocol/raft_cluster.h"
#include "tests/protocol/raft_harness.h"

namespace kvorum::raft {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Node 1 leads 1, 2, 3 and has committed the first batch of its epoch.
class Kip853ChangeTest : public ::testing::Test {
 protected:
  Kip853ChangeTest() { node.WinElection(); }

  void Commit() {
    node.Receive(node.FetchFrom(2));
    node.Receive(node.FetchFrom(3));
    ASSERT_EQ(node.core().high_watermark(), node.core().log_end_offset());
    node.TakeSends();
    node.TakeReplies();
  }
  ChangeError ErrorOf(ChangeToken token) {
    const auto done = node.TakeChange(token);
    EXPECT_TRUE(done.has_value()) << "not answered";
    return done.has_value() ? done->error : ChangeError::kUnknown;
  }
  ChangeError Refusal(VoterChangeKind kind, const Voter& voter) {
    const Offset end = node.core().log_end_offset();
    const ChangeError error = ErrorOf(node.Change(kind, voter));
    EXPECT_EQ(node.core().log_end_offset(), end) << "a refused change appends nothing";
    return error;
  }
  // The connection to the endpoint of a voter to be.
  SendRequest TakeDial() {
    std::vector<SendRequest> dials;
    for (SendRequest& send : node.TakeSends()) {
      if (send.to.key.node_id == kDialNode) {
        dials.push_back(std::move(send));
      }
    }
    EXPECT_THAT(dials, SizeIs(1));
    return dials.at(0);
  }
  void AnswerDial(RaftError error = RaftError::kNone) {
    const SendRequest dial = TakeDial();
    BeginQuorumEpochResponse response;
    response.header = node.OkHeader(1);
    response.header.error = error;
    node.Respond(dial, response);
  }
  void LetCatchUp(int peer) {
    node.Receive(node.FetchFrom(peer));
    node.TakeReplies();
  }
  ChangeToken AddFour() {
    LetCatchUp(4);
    const ChangeToken token = node.Change(VoterChangeKind::kAdd, VoterOf(4));
    AnswerDial();
    return token;
  }

  TestNode node{1, VotersUpTo(3)};
};

// --- what must hold before a change ---

// consensus §5 ⚠, reliability R14 (Ongaro 2015): else two leaders' sets have disjoint majorities.
TEST_F(Kip853ChangeTest, ALeaderChangesNothingBeforeItHasCommittedInItsEpoch) {
  node.Receive(node.FetchFrom(4));
  ASSERT_EQ(node.core().high_watermark(), std::nullopt);
  EXPECT_EQ(Refusal(VoterChangeKind::kAdd, VoterOf(4)), ChangeError::kNothingCommitted);
  EXPECT_EQ(Refusal(VoterChangeKind::kRemove, VoterOf(3)), ChangeError::kNothingCommitted);
  EXPECT_EQ(Refusal(VoterChangeKind::kUpdate, VoterOf(3)), ChangeError::kNothingCommitted);
}

// consensus §2.7: one voter record at a time, and committed before the next.
TEST_F(Kip853ChangeTest, TheNextChangeWaitsUntilTheNewestVoterSetIsCommitted) {
  Commit();
  const ChangeToken add = AddFour();
  EXPECT_EQ(node.core().voters(), VotersUpTo(4)) << "counts from the append on";
  EXPECT_FALSE(node.TakeChange(add).has_value()) << "answered when committed";
  EXPECT_TRUE(node.Describe().is_changing_voters);
  EXPECT_EQ(Refusal(VoterChangeKind::kRemove, VoterOf(3)), ChangeError::kChangePending);
  EXPECT_EQ(Refusal(VoterChangeKind::kAdd, VoterOf(5)), ChangeError::kChangePending);

  node.Receive(node.FetchFrom(2));
  EXPECT_FALSE(node.TakeChange(add).has_value()) << "2 of 4 are no majority";
  node.Receive(node.FetchFrom(4));
  EXPECT_EQ(ErrorOf(add), ChangeError::kNone);
  EXPECT_EQ(node.Describe().committed_voters, VotersUpTo(4));
  node.Change(VoterChangeKind::kRemove, VoterOf(3));
  EXPECT_EQ(node.core().voters(), VotersOf({1, 2, 4}));
}

TEST_F(Kip853ChangeTest, AChangeWhoseAskerGaveUpStaysInTheWayUntilItIsCommitted) {
  Commit();
  LetCatchUp(4);
  const ChangeToken add =
      node.Change(VoterChangeKind::kAdd, VoterOf(4), node.now() + milliseconds(100));
  AnswerDial();
  node.RunFor(milliseconds(100));
  EXPECT_EQ(ErrorOf(add), ChangeError::kUnknown) << "it may yet be committed";
  EXPECT_EQ(Refusal(VoterChangeKind::kRemove, VoterOf(3)), ChangeError::kChangePending);
  node.Receive(node.FetchFrom(2));
  node.Receive(node.FetchFrom(4));
  EXPECT_FALSE(node.Describe().is_changing_voters);
}

TEST_F(Kip853ChangeTest, AChangeThatWaitsForTheDialIsGivenUpWithoutATrace) {
  Commit();
  LetCatchUp(4);
  const ChangeToken add =
      node.Change(VoterChangeKind::kAdd, VoterOf(4), node.now() + milliseconds(100));
  const SendRequest dial = TakeDial();
  EXPECT_EQ(Refusal(VoterChangeKind::kRemove, VoterOf(3)), ChangeError::kChangePending);
  node.RunFor(milliseconds(100));
  EXPECT_EQ(ErrorOf(add), ChangeError::kTimedOut);
  node.Respond(dial, BeginQuorumEpochResponse{.header = node.OkHeader(1)});
  EXPECT_EQ(node.core().voters(), VotersUpTo(3)) << "the answer came too late";
}

TEST_F(Kip853ChangeTest, OnlyALeaderChangesTheVoters) {
  TestNode follower(2, VotersUpTo(3));
  follower.Follow(1, 1);
  const ChangeToken add = follower.Change(VoterChangeKind::kAdd, VoterOf(4));
  const ChangeToken transfer = follower.Transfer(3);
  EXPECT_EQ(follower.TakeChange(add)->error, ChangeError::kNotLeader);
  EXPECT_EQ(follower.TakeChange(transfer)->error, ChangeError::kNotLeader);
}

// --- add ---

// consensus §5 ⚠, KAFKA-17973: no set adds one replica and removes another; a new disk takes two.
TEST_F(Kip853ChangeTest, AnIdThatIsTakenCannotBeAddedWithWhateverDisk) {
  Commit();
  node.Receive(node.FetchFrom(3));
  EXPECT_EQ(Refusal(VoterChangeKind::kAdd, VoterOf(3)), ChangeError::kDuplicateVoter);
  EXPECT_EQ(Refusal(VoterChangeKind::kAdd, VoterOf(3, /*disk=*/1)), ChangeError::kDuplicateVoter);
}

// consensus §2.7: a known observer that caught up under this leader.
TEST_F(Kip853ChangeTest, OnlyAReplicaThatCaughtUpLatelyCanBeAdded) {
  Commit();
  EXPECT_EQ(Refusal(VoterChangeKind::kAdd, VoterOf(4)), ChangeError::kNotCaughtUp);
  node.Receive(node.FetchFrom(4, 0));
  EXPECT_EQ(Refusal(VoterChangeKind::kAdd, VoterOf(4)), ChangeError::kNotCaughtUp);
  node.Receive(node.FetchFrom(4));
  EXPECT_EQ(Refusal(VoterChangeKind::kAdd, VoterOf(4, /*disk=*/1)), ChangeError::kNotCaughtUp)
      << "another disk is another replica";
  for (int i = 0; i < 8; ++i) {
    node.RunFor(milliseconds(500));
    node.Receive(node.FetchFrom(2));
    node.Receive(node.FetchFrom(3));
  }
  EXPECT_EQ(Refusal(VoterChangeKind::kAdd, VoterOf(4)), ChangeError::kNotCaughtUp)
      << "it has been silent for long";
}

// reliability: quarantine. Its word counts for nothing, so it has caught up with nothing.
TEST_F(Kip853ChangeTest, AQuarantinedReplicaCannotBeAdded) {
  Commit();
  FetchRequest fetch = node.FetchFrom(4);
  fetch.is_quarantined = true;
  node.Receive(fetch);
  EXPECT_EQ(Refusal(VoterChangeKind::kAdd, VoterOf(4)), ChangeError::kNotCaughtUp);
}

// KAFKA-20661: a voter that is reachable in theory only costs the quorum its majority.
TEST_F(Kip853ChangeTest, AnEndpointThatDoesNotAnswerIsNotAdded) {
  Commit();
  LetCatchUp(4);
  const ChangeToken add = node.Change(VoterChangeKind::kAdd, VoterOf(4));
  const SendRequest dial = TakeDial();
  EXPECT_EQ(dial.to.address, VoterOf(4).address);
  EXPECT_EQ(HeaderOf(dial.request).receiver, KeyOf(4)) << "only that replica answers to its name";
  node.Fail(dial, SendFailure::kRefused);
  EXPECT_EQ(ErrorOf(add), ChangeError::kUnreachable);
  EXPECT_EQ(node.core().voters(), VotersUpTo(3));
}

TEST_F(Kip853ChangeTest, AnEndpointWhereAnotherReplicaAnswersIsNotAdded) {
  Commit();
  LetCatchUp(4);
  for (const RaftError error : {RaftError::kInvalidVoterKey, RaftError::kInconsistentClusterId}) {
    const ChangeToken add = node.Change(VoterChangeKind::kAdd, VoterOf(4));
    AnswerDial(error);
    EXPECT_EQ(ErrorOf(add), ChangeError::kOtherReplica);
  }
  EXPECT_EQ(node.core().voters(), VotersUpTo(3));
}

TEST_F(Kip853ChangeTest, AReplicaThatIsNeverToBeAVoterIsNotAdded) {
  Commit();
  LetCatchUp(4);
  const ChangeToken add = node.Change(VoterChangeKind::kAdd, VoterOf(4));
  AnswerDial(RaftError::kObserverOnly);
  EXPECT_EQ(ErrorOf(add), ChangeError::kObserverOnly);
  EXPECT_EQ(node.core().voters(), VotersUpTo(3));
}

TEST_F(Kip853ChangeTest, ADryRunMakesEveryCheckAndAppendsNothing) {
  Commit();
  LetCatchUp(4);
  const Offset end = node.core().log_end_offset();
  const ChangeToken add = node.Change(VoterChangeKind::kAdd, VoterOf(4), kNever, true);
  AnswerDial();
  const auto done = node.TakeChange(add);
  ASSERT_TRUE(done.has_value());
  EXPECT_EQ(done->error, ChangeError::kNone);
  EXPECT_EQ(done->voters, VotersUpTo(4));
  EXPECT_EQ(node.core().log_end_offset(), end);
  EXPECT_EQ(node.core().voters(), VotersUpTo(3));
}

// consensus §3.4: one that stays keeps its progress, an added one brings that of the observer.
TEST_F(Kip853ChangeTest, AnAddedVoterCountsWithWhatItHeldAsAnObserver) {
  Commit();
  node.Append("a");
  node.Receive(node.FetchFrom(4));
  const ChangeToken add = AddFour();
  node.Receive(node.FetchFrom(2, 3));
  EXPECT_EQ(node.core().high_watermark(), Offset(3)) << "1, 2 and 4 hold it";
  EXPECT_FALSE(node.TakeChange(add).has_value());
}

// --- remove ---

TEST_F(Kip853ChangeTest, WhoIsNoVoterCannotBeRemoved) {
  Commit();
  EXPECT_EQ(Refusal(VoterChangeKind::kRemove, VoterOf(7)), ChangeError::kVoterNotFound);
  EXPECT_EQ(Refusal(VoterChangeKind::kRemove, VoterOf(3, /*disk=*/1)), ChangeError::kVoterNotFound);
}

TEST_F(Kip853ChangeTest, TheLastVoterCannotBeRemoved) {
  TestNode alone(1, VotersUpTo(1));
  alone.FireTimer();
  ASSERT_EQ(alone.role(), Role::kLeader);
  ASSERT_TRUE(alone.core().high_watermark().has_value());
  const ChangeToken remove = alone.Change(VoterChangeKind::kRemove, VoterOf(1));
  EXPECT_EQ(alone.TakeChange(remove)->error, ChangeError::kLastVoter);
}

// A removed voter counts no more, from the append on.
TEST_F(Kip853ChangeTest, ARemovalIsCommittedByThoseWhoStay) {
  Commit();
  const ChangeToken remove = node.Change(VoterChangeKind::kRemove, VoterOf(3));
  EXPECT_EQ(node.core().voters(), VotersUpTo(2));
  EXPECT_THAT(node.Describe().replicas, SizeIs(2)) << "nothing is left of one that is gone";
  node.Receive(node.FetchFrom(3));
  EXPECT_FALSE(node.TakeChange(remove).has_value()) << "3 is an observer now";
  node.Receive(node.FetchFrom(2));
  EXPECT_EQ(ErrorOf(remove), ChangeError::kNone);
}

TEST_F(Kip853ChangeTest, AChangeThatWouldLeaveASilentMajorityIsRefused) {
  Commit();
  for (int i = 0; i < 6; ++i) {
    node.RunFor(milliseconds(500));
    node.Receive(node.FetchFrom(2));
  }
  EXPECT_EQ(Refusal(VoterChangeKind::kRemove, VoterOf(2)), ChangeError::kQuorumAtRisk)
      << "1 and 3 would remain, and 3 is silent";
  const ChangeToken remove = node.Change(VoterChangeKind::kRemove, VoterOf(3));
  node.Receive(node.FetchFrom(2));
  EXPECT_EQ(ErrorOf(remove), ChangeError::kNone) << "the silent one may go";
}

// --- a leader that is removed ---

// reliability R15, KAFKA-16530.
TEST_F(Kip853ChangeTest, ALeaderThatRemovedItselfDoesNotCountItself) {
  Commit();
  const ChangeToken remove = node.Change(VoterChangeKind::kRemove, VoterOf(1));
  ASSERT_EQ(node.core().voters(), VotersOf({2, 3}));
  EXPECT_EQ(node.role(), Role::kLeader);
  node.Receive(node.FetchFrom(2));
  EXPECT_EQ(node.core().high_watermark(), Offset(2)) << "itself and 2 are no majority of 2 and 3";
  EXPECT_EQ(node.role(), Role::kLeader);
  node.TakeSends();
  node.Receive(node.FetchFrom(3));
  EXPECT_EQ(ErrorOf(remove), ChangeError::kNone);
  EXPECT_EQ(node.role(), Role::kResigned);
  const auto ends = node.TakeSendsOf<EndQuorumEpochRequest>();
  ASSERT_THAT(ends, SizeIs(2));
  EXPECT_TRUE(std::get<EndQuorumEpochRequest>(ends[0].request).is_transfer);
}

// consensus §5 ⚠: in Kafka a leader whose removal request timed out never resigns.
TEST_F(Kip853ChangeTest, ARemovedLeaderResignsByTheCommitAndNotByTheRequest) {
  Commit();
  const ChangeToken remove =
      node.Change(VoterChangeKind::kRemove, VoterOf(1), node.now() + milliseconds(100));
  node.RunFor(milliseconds(200));
  ASSERT_EQ(ErrorOf(remove), ChangeError::kUnknown);
  ASSERT_EQ(node.role(), Role::kLeader);
  node.Receive(node.FetchFrom(2));
  node.Receive(node.FetchFrom(3));
  EXPECT_EQ(node.role(), Role::kResigned);
}

TEST_F(Kip853ChangeTest, ALeaderThatRemovedItselfGoesOnUntilThen) {
  Commit();
  node.Change(VoterChangeKind::kRemove, VoterOf(1));
  node.Append("later");
  EXPECT_EQ(node.core().log_end_offset(), Offset(4));
  EXPECT_EQ(node.AskFor<VoteResponse>(VoteRequest{.header = node.HeaderFrom(2),
                                                  .epoch = node.epoch(),
                                                  .log_end = {Offset(4), node.epoch()},
                                                  .pre_vote = true})
                .vote_granted,
            false)
      << "a leader never grants";
}

// consensus §4 ⚠: check-quorum by the set that counts now.
TEST_F(Kip853ChangeTest, CheckQuorumFollowsTheVoterSet) {
  Commit();
  node.Change(VoterChangeKind::kRemove, VoterOf(3));
  node.Receive(node.FetchFrom(2));
  ASSERT_EQ(node.Describe().committed_voters, VotersUpTo(2));
  for (int i = 0; i < 4; ++i) {
    node.RunFor(milliseconds(500));
    if (node.role() == Role::kLeader) {
      node.Receive(node.FetchFrom(3));
    }
  }
  node.RunFor(milliseconds(500));
  EXPECT_NE(node.role(), Role::kLeader) << "3 is heard, but it is no voter any more";
}

// --- updates ---

TEST_F(Kip853ChangeTest, AVoterThatMovedGetsItsAnswerWhenTheRecordIsAppended) {
  Commit();
  const PeerAddress moved{.host = "controller", .port = 9003};
  const RequestToken token = node.Receive(UpdateVoterRequest{
      .header = node.HeaderFrom(3), .current_leader_epoch = node.epoch(), .address = moved});
  EXPECT_FALSE(node.TakeReply(token).has_value()) << "its endpoint is dialed first";
  AnswerDial();
  const auto reply = node.TakeReply(token);
  ASSERT_TRUE(reply.has_value()) << "else it would not fetch, and so not let it be committed";
  EXPECT_EQ(HeaderOf(*reply).error, RaftError::kNone);
  EXPECT_EQ(ToText(node.core().voters()), "1,2,3:9003");
  EXPECT_TRUE(node.Describe().is_changing_voters);
  EXPECT_EQ(Refusal(VoterChangeKind::kRemove, VoterOf(2)), ChangeError::kChangePending);
  Commit();
  EXPECT_FALSE(node.Describe().is_changing_voters);
}

TEST_F(Kip853ChangeTest, AnUpdateIsRefusedForTheReasonsOfAnyOtherChange) {
  const auto update = [&](int peer, uint8_t disk, int epoch, const PeerAddress& address) {
    UpdateVoterRequest request{
        .header = node.HeaderFrom(peer), .current_leader_epoch = Epoch(epoch), .address = address};
    request.header.sender = KeyOf(peer, disk);
    return node.AskFor<UpdateVoterResponse>(request).header.error;
  };
  const PeerAddress moved{.host = "controller", .port = 9003};
  EXPECT_EQ(update(3, 0, 1, moved), RaftError::kRequestTimedOut) << "nothing committed yet";
  Commit();
  EXPECT_EQ(update(3, 1, 1, moved), RaftError::kInvalidRequest) << "another disk is no voter";
  EXPECT_EQ(update(7, 0, 1, moved), RaftError::kInvalidRequest);
  EXPECT_EQ(update(3, 0, 0, moved), RaftError::kFencedLeaderEpoch);
  EXPECT_EQ(update(3, 0, 2, moved), RaftError::kUnknownLeaderEpoch);
  EXPECT_EQ(update(3, 0, 1, {.host = "", .port = 9003}), RaftError::kInvalidRequest);
  EXPECT_EQ(update(3, 0, 1, {.host = "controller", .port = 0}), RaftError::kInvalidRequest);
  EXPECT_EQ(node.core().voters(), VotersUpTo(3));

  const RequestToken token = node.Receive(UpdateVoterRequest{
      .header = node.HeaderFrom(3), .current_leader_epoch = Epoch(1), .address = moved});
  node.Fail(TakeDial(), SendFailure::kOther);
  EXPECT_EQ(HeaderOf(*node.TakeReply(token)).error, RaftError::kRequestTimedOut);
  EXPECT_EQ(node.core().voters(), VotersUpTo(3));
}

TEST_F(Kip853ChangeTest, AnUpdateThatChangesNothingAppendsNothing) {
  Commit();
  const Offset end = node.core().log_end_offset();
  const ChangeToken update = node.Change(VoterChangeKind::kUpdate, VoterOf(3));
  AnswerDial();
  EXPECT_EQ(ErrorOf(update), ChangeError::kNone);
  EXPECT_EQ(node.core().log_end_offset(), end);
}

// consensus §5: a voter compares its entry with its settings every two fetch timeouts.
TEST_F(Kip853ChangeTest, AVoterTellsTheLeaderWhereItHasMovedTo) {
  RaftConfig config = TestConfig(2, VotersUpTo(3));
  config.advertised_address = PeerAddress{.host = "controller", .port = 9002};
  TestNode follower(2, config);
  follower.Follow(1, 1);
  for (int i = 0; i < 5; ++i) {
    follower.AnswerFetch({}, std::nullopt);
    follower.RunFor(milliseconds(500));
    EXPECT_THAT(follower.TakeSendsOf<UpdateVoterRequest>(), IsEmpty());
  }
  follower.AnswerFetch({}, std::nullopt);
  follower.Advance(milliseconds(600));
  follower.AnswerFetch({}, std::nullopt);
  const auto updates = follower.TakeSendsOf<UpdateVoterRequest>();
  ASSERT_THAT(updates, SizeIs(1));
  EXPECT_EQ(std::get<UpdateVoterRequest>(updates[0].request).address, *config.advertised_address);
  EXPECT_THAT(follower.TakeSendsOf<FetchRequest>(), IsEmpty()) << "one request at a time";
  follower.Respond(updates[0], UpdateVoterResponse{.header = follower.OkHeader(1)});
  EXPECT_THAT(follower.TakeSendsOf<FetchRequest>(), SizeIs(1)) << "and then it fetches on";
}

TEST_F(Kip853ChangeTest, ALeaderThatMovedWritesItsOwnEntryWithItsFirstBatch) {
  RaftConfig config = TestConfig(1, VotersUpTo(3));
  config.advertised_address = PeerAddress{.host = "controller", .port = 9001};
  TestNode moved(1, config);
  moved.WinElection();
  EXPECT_EQ(ToText(moved.core().voters()), "1:9001,2,3");
  for (const SendRequest& begin : moved.TakeSendsOf<BeginQuorumEpochRequest>()) {
    EXPECT_EQ(HeaderOf(begin.request).sender_address, config.advertised_address);
  }
}

// The leader is gone before it could write where node 3 has moved to. Node 3's log is too short for
// a vote of node 2, which would have looked for it in vain.
TEST_F(Kip853ChangeTest, AVoterThatMovedIsSentToWhereItWasHeardFrom) {
  TestNode candidate(2, VotersUpTo(3));
  candidate.Follow(1, 1);
  candidate.AnswerFetch(BatchesAfter({}, {1}), std::nullopt);
  const PeerAddress moved{.host = "controller", .port = 9003};
  VoteRequest vote{.header = candidate.HeaderFrom(3),
                   .epoch = Epoch(1),
                   .log_end = {Offset(0), Epoch(0)},
                   .pre_vote = true};
  vote.header.sender_address = moved;
  EXPECT_FALSE(candidate.AskFor<VoteResponse>(vote).vote_granted);

  const auto address_of_3 = [&candidate]() -> std::optional<PeerAddress> {
    candidate.TakeSends();
    candidate.RunFor(milliseconds(4000));
    for (const SendRequest& send : candidate.TakeSendsOf<VoteRequest>()) {
      if (send.to.key == KeyOf(3)) {
        return send.to.address;
      }
    }
    return std::nullopt;
  };
  EXPECT_EQ(address_of_3(), moved);
  // Of another disk of that node, which is no voter: nobody believes it.
  vote.header.sender = KeyOf(3, 1);
  vote.header.sender_address = PeerAddress{.host = "controller", .port = 9004};
  candidate.Ask(vote);
  EXPECT_EQ(address_of_3(), moved);
  // It is back where the voter set says.
  vote.header.sender = KeyOf(3);
  vote.header.sender_address = VoterOf(3).address;
  candidate.Ask(vote);
  EXPECT_EQ(address_of_3(), VoterOf(3).address);
}

// The message is of before it moved back and came late. Whoever holds to it while the voter, as
// leader, has no reason to send another, would never find it again.
TEST_F(Kip853ChangeTest, AVoterThatIsNotWhereItWasHeardFromIsLookedForAtBothAddresses) {
  TestNode seeker(2, VotersUpTo(3));
  VoteRequest vote{.header = seeker.HeaderFrom(3), .pre_vote = true};
  vote.header.sender_address = PeerAddress{.host = "controller", .port = 9003};
  seeker.Ask(vote);
  std::vector<PeerAddress> tried;
  while (tried.size() < 6) {
    seeker.FireTimer();
    for (const SendRequest& send : seeker.TakeSends()) {
      if (send.to.key == KeyOf(3)) {
        tried.push_back(send.to.address);
      }
      seeker.Fail(send, SendFailure::kRefused);
    }
  }
  for (size_t i = 0; i < tried.size(); ++i) {
    EXPECT_EQ(tried[i], i % 2 == 0 ? *vote.header.sender_address : VoterOf(3).address) << i;
  }
}

// All the others have moved while it was away, so nobody hears of it: the servers of its settings
// are asked who leads between pre-votes too.
TEST_F(Kip853ChangeTest, AVoterThatFindsNoOtherAsksTheServersOfItsSettings) {
  RaftConfig config = TestConfig(2, VotersUpTo(3));
  const PeerAddress server{.host = "controller", .port = 9001};
  config.bootstrap_servers = {server};
  TestNode lost(2, config);
  std::optional<SendRequest> probe;
  for (int i = 0; i < 100 && !probe.has_value(); ++i) {
    for (const SendRequest& send : lost.TakeSends()) {
      if (lost.role() == Role::kProspective && std::holds_alternative<FetchRequest>(send.request)) {
        probe = send;
      } else {
        lost.Fail(send, SendFailure::kRefused);
      }
    }
    if (!probe.has_value()) {
      lost.FireTimer();
    }
  }
  ASSERT_TRUE(probe.has_value());
  EXPECT_EQ(probe->to.address, server);
  FetchResponse answer{.header = lost.OkHeader(1)};
  answer.header.error = RaftError::kFencedLeaderEpoch;
  answer.header.leader_epoch = Epoch(7);
  answer.header.leader_voter = Voter{.key = KeyOf(1), .address = server};
  lost.Respond(*probe, answer);
  EXPECT_EQ(lost.role(), Role::kFollower);
  EXPECT_EQ(lost.epoch(), Epoch(7));
  const auto fetches = lost.TakeSendsOf<FetchRequest>();
  ASSERT_THAT(fetches, SizeIs(1));
  EXPECT_EQ(fetches[0].to, (Voter{.key = KeyOf(1), .address = server}));
}

// --- what followers know of a leader that is leaving ---

// consensus §5 ⚠: it leads until the removal is committed, so it must be fetched from until then.
TEST(Kip853FollowerTest, FollowsALeaderThatHasLeftTheVoterSet) {
  TestNode follower(2, VotersUpTo(3));
  follower.Follow(1, 1);
  std::vector<RecordBatch> log = BatchesAfter({}, {1});
  const RecordBatch removal = MakeBatch(Offset(1), 1, Epoch(1), /*is_control=*/true, 0,
                                        EncodeVotersText(VotersOf({2, 3})), log[0].chain_hash);
  follower.AnswerFetch({log[0], removal}, std::nullopt);
  ASSERT_EQ(follower.core().voters(), VotersOf({2, 3}));
  EXPECT_EQ(follower.core().leader_id(), NodeId(1));
  const auto fetches = follower.TakeSendsOf<FetchRequest>();
  ASSERT_THAT(fetches, SizeIs(1));
  EXPECT_EQ(fetches[0].to, VoterOf(1));
}

// consensus §5 ⚠: whoever does not know yet whether it is in or out must be served.
TEST_F(Kip853ChangeTest, ALeaderServesReplicasThatAreNoVoters) {
  Commit();
  const auto answer = node.AskFor<FetchResponse>(node.FetchFrom(9, 0));
  EXPECT_EQ(answer.header.error, RaftError::kNone);
  EXPECT_THAT(answer.batches, SizeIs(1));
}

// --- whom the newest set leaves out before that is committed ---

// Follower of 2 in epoch 1, whose log ends with its own removal from the voters 1, 2 and 3.
class Kip853LeavingTest : public ::testing::Test {
 protected:
  void FetchOwnRemoval(std::optional<int> high_watermark) {
    node.Follow(2, 1);
    std::vector<RecordBatch> log = BatchesAfter({}, {1});
    log.push_back(MakeBatch(Offset(1), 1, Epoch(1), /*is_control=*/true, 0,
                            EncodeVotersText(VotersOf({2, 3})), log[0].chain_hash));
    node.AnswerFetch(log, high_watermark);
    ASSERT_EQ(node.core().voters(), VotersOf({2, 3}));
  }
  void AnswerVotes(const std::vector<SendRequest>& requests) {
    for (const SendRequest& vote : requests) {
      node.Respond(vote, VoteResponse{.header = node.OkHeader(), .vote_granted = true});
    }
  }

  TestNode node{1, VotersUpTo(3)};
};

// Raft thesis §4.2.2: a server that is not in its newest configuration may still campaign.
TEST_F(Kip853LeavingTest, CampaignsForTheVotesOfTheNewestSetAndHasNoneItself) {
  FetchOwnRemoval(std::nullopt);
  while (node.role() == Role::kFollower) {
    node.FireTimer();
  }
  ASSERT_EQ(node.role(), Role::kProspective);
  std::vector<SendRequest> asked = node.TakeSendsOf<VoteRequest>();
  ASSERT_THAT(asked, SizeIs(2));
  AnswerVotes({asked[0]});
  EXPECT_EQ(node.role(), Role::kProspective) << "one of two, and its own does not count";
  AnswerVotes({asked[1]});
  ASSERT_EQ(node.role(), Role::kCandidate);
  asked = node.TakeSendsOf<VoteRequest>();
  ASSERT_THAT(asked, SizeIs(2));
  AnswerVotes({asked[0]});
  EXPECT_EQ(node.role(), Role::kCandidate);
  AnswerVotes({asked[1]});
  ASSERT_EQ(node.role(), Role::kLeader);
  for (const int peer : {2, 3}) {
    EXPECT_EQ(node.role(), Role::kLeader) << "until the removal is committed";
    node.Receive(node.FetchFrom(peer));
  }
  EXPECT_EQ(node.role(), Role::kResigned);
  EXPECT_EQ(node.Describe().committed_voters, VotersOf({2, 3}));
}

TEST_F(Kip853LeavingTest, IsAnObserverOnceItsRemovalIsCommitted) {
  FetchOwnRemoval(2);
  node.RunFor(std::chrono::seconds(10));
  EXPECT_EQ(node.role(), Role::kFollower);
  EXPECT_THAT(node.TakeSendsOf<VoteRequest>(), IsEmpty());
}

TEST_F(Kip853LeavingTest, CampaignsAfterARestartTooUntilALeaderSaysWhatIsCommitted) {
  FetchOwnRemoval(2);
  node.CrashAndRestart();
  while (node.role() != Role::kProspective) {
    node.FireTimer();
  }
  VoteResponse refusal{.header = node.OkHeader(2), .vote_granted = false};
  refusal.header.leader_voter = VoterOf(2);
  node.Respond(node.TakeSendsOf<VoteRequest>().at(0), refusal);
  ASSERT_EQ(node.role(), Role::kFollower);
  node.AnswerFetch({}, 2);
  node.RunFor(std::chrono::seconds(10));
  EXPECT_EQ(node.role(), Role::kFollower);
}

// consensus §1.3 rule 3: the others still name it leader of the epoch that it must not lead again.
TEST_F(Kip853ChangeTest, ALeaderThatRemovedItselfComesUpResigned) {
  Commit();
  node.Change(VoterChangeKind::kRemove, VoterOf(1));
  const Epoch led = node.epoch();
  node.CrashAndRestart();
  ASSERT_FALSE(node.Describe().is_voter);
  EXPECT_EQ(node.role(), Role::kResigned);
  while (node.role() != Role::kProspective) {
    node.FireTimer();
  }
  EXPECT_EQ(node.epoch(), led + 1);
}

// --- truncation ---

// consensus §1.1 ⚠: an observer that was to become a voter is an observer again.
TEST(Kip853FollowerTest, ATruncatedAdditionMakesItAnObserverAgain) {
  TestNode joiner(4, VotersUpTo(3));
  joiner.Follow(1, 1);
  std::vector<RecordBatch> log = BatchesAfter({}, {1});
  log.push_back(MakeBatch(Offset(1), 1, Epoch(1), /*is_control=*/true, 0,
                          EncodeVotersText(VotersUpTo(4)), log[0].chain_hash));
  joiner.AnswerFetch(log, std::nullopt);
  ASSERT_TRUE(joiner.Describe().is_voter);
  joiner.Follow(2, 2);
  FetchResponse response;
  response.header = joiner.OkHeader(2);
  response.diverging_epoch = EpochEnd{.epoch = Epoch(1), .end_offset = Offset(1)};
  joiner.Respond(joiner.TakeSendsOf<FetchRequest>().back(), response);
  EXPECT_FALSE(joiner.Describe().is_voter);
  EXPECT_TRUE(joiner.has_trace(RaftTraceKind::kVotersChanged));
  joiner.RunFor(std::chrono::seconds(10));
  EXPECT_EQ(joiner.role(), Role::kFollower) << "an observer never campaigns";
}

// --- discovery ---

// consensus §4: a replica that knows addresses only asks whoever is there.
TEST(Kip853JoinerTest, AsksTheServersItWasToldAndFollowsTheLeaderTheyName) {
  RaftConfig config = TestConfig(4, VoterSet());
  config.bootstrap_servers = {VoterOf(2).address};
  TestNode joiner(4, config);
  ASSERT_TRUE(joiner.core().voters().empty());
  joiner.FireTimer();
  const auto fetches = joiner.TakeSendsOf<FetchRequest>();
  ASSERT_THAT(fetches, SizeIs(1));
  EXPECT_EQ(fetches[0].to.address, VoterOf(2).address);
  EXPECT_EQ(HeaderOf(fetches[0].request).receiver.node_id, kAnyNode);
  FetchResponse response;
  response.header = {
      .error = RaftError::kFencedLeaderEpoch, .leader_epoch = Epoch(3), .leader_id = NodeId(1)};
  response.header.leader_voter = VoterOf(1);
  joiner.Respond(fetches[0], response);
  EXPECT_EQ(joiner.role(), Role::kFollower);
  const auto next = joiner.TakeSendsOf<FetchRequest>();
  ASSERT_THAT(next, SizeIs(1));
  EXPECT_EQ(next[0].to, VoterOf(1));
  EXPECT_EQ(HeaderOf(next[0].request).receiver, KeyOf(1));
}

TEST(Kip853JoinerTest, ABootstrapServerAnswersWhoeverDoesNotKnowItsName) {
  TestNode server(2, VotersUpTo(3));
  server.Follow(1, 1);
  FetchRequest fetch = server.FetchFrom(4, 0);
  fetch.header.receiver = {kAnyNode, Uuid()};
  fetch.current_leader_epoch = Epoch(0);
  const auto answer = server.AskFor<FetchResponse>(fetch);
  EXPECT_EQ(answer.header.error, RaftError::kFencedLeaderEpoch);
  EXPECT_EQ(answer.header.leader_voter, VoterOf(1));
}

// It says no to the dial that comes before it would be added; who leads it learns by asking.
TEST(Kip853JoinerTest, AnObserverForGoodRefusesTheDial) {
  RaftConfig config = TestConfig(4, VotersUpTo(3));
  config.is_observer_only = true;
  TestNode observer(4, config);
  BeginQuorumEpochRequest dial{.header = observer.HeaderFrom(1), .leader_epoch = Epoch(1)};
  dial.header.sender_address = VoterOf(1).address;
  EXPECT_EQ(HeaderOf(observer.Ask(dial)).error, RaftError::kObserverOnly);
  EXPECT_EQ(observer.epoch(), Epoch(0)) << "nothing of it is taken over";

  config.is_observer_only = false;
  TestNode joiner(4, config);
  EXPECT_EQ(HeaderOf(joiner.Ask(dial)).error, RaftError::kNone);
}

// Only a question may be addressed to whoever is there (invariant 37, Identity).
TEST(Kip853JoinerTest, OtherRequestsMustNameTheirReceiver) {
  TestNode server(2, VotersUpTo(3));
  VoteRequest vote{.header = server.HeaderFrom(3), .epoch = Epoch(5), .log_end = {}};
  vote.header.receiver = {kAnyNode, Uuid()};
  EXPECT_EQ(HeaderOf(server.Ask(vote)).error, RaftError::kInvalidVoterKey);
  BeginQuorumEpochRequest begin{.header = vote.header, .leader_epoch = Epoch(5)};
  EXPECT_EQ(HeaderOf(server.Ask(begin)).error, RaftError::kInvalidVoterKey);
  EXPECT_EQ(server.epoch(), Epoch(0));
}

// --- whole quorums ---

TEST(Kip853ClusterTest, GrowsFromOneToFiveAndShrinksAgain) {
  TestCluster cluster(1);
  ASSERT_EQ(cluster.RunUntilLeader(), 1);
  for (int id = 2; id <= 5; ++id) {
    cluster.AddJoiner(id);
    cluster.RunFor(milliseconds(1000));
    ASSERT_EQ(cluster.Change(VoterChangeKind::kAdd, VoterOf(id)), ChangeError::kNone) << id;
    cluster.Append(1, "x");
  }
  ASSERT_TRUE(cluster.RunUntilVoters({1, 2, 3, 4, 5}));
  cluster.Crash(4);
  cluster.Crash(5);
  cluster.Append(1, "three of five");
  EXPECT_TRUE(cluster.RunUntil([&] {
    return cluster.node(1).core().high_watermark() == cluster.node(1).core().log_end_offset();
  }));
  cluster.Restart(4);
  cluster.Restart(5);
  cluster.RunFor(milliseconds(2000));
  for (int id = 5; id >= 2; --id) {
    ASSERT_EQ(cluster.Change(VoterChangeKind::kRemove, VoterOf(id)), ChangeError::kNone) << id;
  }
  EXPECT_TRUE(cluster.RunUntilVoters({1}));
  EXPECT_EQ(cluster.Leader(), 1);
}

TEST(Kip853ClusterTest, ALeaderThatIsRemovedIsReplacedAtOnce) {
  TestCluster cluster(3);
  const int first = cluster.RunUntilLeader().value();
  cluster.RunFor(milliseconds(1000));
  ASSERT_EQ(cluster.Change(VoterChangeKind::kRemove, VoterOf(first)), ChangeError::kNone);
  const TimePoint removed = cluster.now();
  const int second = cluster.RunUntilLeader().value();
  EXPECT_NE(second, first);
  EXPECT_LT(cluster.now() - removed, milliseconds(50)) << "nobody waits for a timer";
  cluster.Append(second, "after");
  cluster.RunFor(std::chrono::seconds(5));
  EXPECT_EQ(cluster.Leader(), second);
  EXPECT_EQ(cluster.node(first).role(), Role::kFollower) << "it goes on as an observer";
  EXPECT_EQ(cluster.node(first).core().high_watermark(),
            cluster.node(second).core().high_watermark());
}

// KIP-853: a wiped disk is another replica; the old one goes, the new one comes.
TEST(Kip853ClusterTest, ADiskIsReplacedByRemovingTheOldReplicaAndAddingTheNew) {
  TestCluster cluster(3);
  const int leader = cluster.RunUntilLeader().value();
  const int lost = leader % 3 + 1;
  cluster.RunFor(milliseconds(1000));
  cluster.Crash(lost);
  cluster.ReplaceDisk(lost, /*disk=*/7);
  cluster.RunFor(milliseconds(1000));
  EXPECT_EQ(cluster.node(lost).role(), Role::kFollower);
  EXPECT_FALSE(cluster.node(lost).Describe().is_voter);
  EXPECT_EQ(cluster.Change(VoterChangeKind::kAdd, VoterOf(lost, 7)), ChangeError::kDuplicateVoter);
  ASSERT_EQ(cluster.Change(VoterChangeKind::kRemove, VoterOf(lost)), ChangeError::kNone);
  ASSERT_EQ(cluster.Change(VoterChangeKind::kAdd, VoterOf(lost, 7)), ChangeError::kNone);
  EXPECT_TRUE(cluster.node(leader).core().voters().Contains(KeyOf(lost, 7)));
  cluster.RunFor(milliseconds(1000));
  EXPECT_TRUE(cluster.node(lost).Describe().is_voter);
}

// The scenario of raft-dev 2015 (reliability R14): the change of a leader that lost its place is
// undone by the next one's log.
TEST(Kip853ClusterTest, AChangeThatWasNotCommittedIsUndoneWithTheLeadership) {
  TestCluster cluster(3);
  const int first = cluster.RunUntilLeader().value();
  cluster.AddJoiner(4);
  cluster.RunFor(milliseconds(1000));
  TestNode& old_leader = cluster.node(first);
  old_leader.set_now(cluster.now());
  const ChangeToken add = old_leader.Change(VoterChangeKind::kAdd, VoterOf(4));
  while (old_leader.core().voters().size() == 3 && cluster.DeliverOne()) {
  }
  ASSERT_EQ(old_leader.core().voters().size(), 4u) << "appended, and sent to nobody yet";
  cluster.DropAll();
  cluster.Isolate(first);
  ASSERT_TRUE(cluster.RunUntil([&] {
    const auto leader = cluster.Leader();
    return leader.has_value() && *leader != first;
  }));
  const int second = cluster.Leader().value();
  EXPECT_EQ(cluster.node(second).core().voters(), VotersUpTo(3));
  cluster.Append(second, "x");
  cluster.Heal();
  cluster.RunFor(std::chrono::seconds(5));
  EXPECT_EQ(old_leader.core().voters(), VotersUpTo(3));
  const auto done = old_leader.TakeChange(add);
  ASSERT_TRUE(done.has_value());
  EXPECT_EQ(done->error, ChangeError::kUnknown);
}

// Raft thesis §4.2.2. Only its own log holds the removal: the other can't be elected over that, and
// it can't give it up.
TEST(Kip853ClusterTest, ALeaderThatRemovedItselfAndLostItsPlaceLetsTheOtherGoOn) {
  TestCluster cluster(2);
  const int first = cluster.RunUntilLeader().value();
  const int other = 3 - first;
  cluster.RunFor(milliseconds(1000));
  TestNode& removed = cluster.node(first);
  removed.set_now(cluster.now());
  cluster.Isolate(first);
  removed.Change(VoterChangeKind::kRemove, VoterOf(first));
  ASSERT_EQ(removed.core().voters(), VotersOf({other}));
  ASSERT_TRUE(cluster.RunUntil([&] { return removed.role() != Role::kLeader; }));
  ASSERT_EQ(cluster.node(other).core().voters(), VotersUpTo(2)) << "it has not heard of it";
  cluster.Heal();
  ASSERT_TRUE(cluster.RunUntilVoters({other}));
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.Leader() == other; }));
  cluster.Append(other, "alone");
  EXPECT_EQ(cluster.node(other).core().high_watermark(),
            cluster.node(other).core().log_end_offset());
  cluster.RunFor(std::chrono::seconds(10));
  EXPECT_EQ(cluster.Leader(), other);
  EXPECT_EQ(removed.role(), Role::kFollower) << "it goes on as an observer";
}

TEST(Kip853ClusterTest, AVoterThatMovedIsFoundAgain) {
  TestCluster cluster(3);
  const int leader = cluster.RunUntilLeader().value();
  const int moved = leader % 3 + 1;
  cluster.RunFor(milliseconds(1000));
  cluster.Crash(moved);
  cluster.MoveTo(moved, 9000);
  cluster.node(moved).config().advertised_address = PeerAddress{.host = "controller", .port = 9000};
  cluster.Restart(moved);
  EXPECT_TRUE(cluster.RunUntil([&] {
    const auto now = cluster.Leader();
    return now.has_value() &&
           cluster.node(*now).Describe().committed_voters.Find(NodeId(moved))->address.port == 9000;
  }));
}

// reliability R16, KAFKA-17332: what an observer has acknowledged is on its disk before it counts.
TEST(Kip853JoinerTest, AnObserverSyncsBeforeItFetchesOn) {
  TestNode joiner(4, VotersUpTo(3));
  joiner.Follow(1, 1);
  joiner.auto_sync = false;
  joiner.AnswerFetch(BatchesAfter({}, {1}), std::nullopt);
  EXPECT_THAT(joiner.TakeSendsOf<FetchRequest>(), IsEmpty());
  joiner.Sync();
  const auto fetches = joiner.TakeSendsOf<FetchRequest>();
  ASSERT_THAT(fetches, SizeIs(1));
  EXPECT_EQ(std::get<FetchRequest>(fetches[0].request).fetch_offset, Offset(1));
}

}  // namespace
}  // namespace kvorum::raft
