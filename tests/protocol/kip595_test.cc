// KIP-595 (KRaft): quorum state, Vote, BeginQuorumEpoch, EndQuorumEpoch, Fetch. One test per rule.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/protocol/raft_cluster.h"
#include "tests/protocol/raft_harness.h"

namespace kvorum::raft {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

VoteRequest VoteFrom(const TestNode& node, int candidate, int epoch, OffsetAndEpoch log_end) {
  return VoteRequest{.header = node.HeaderFrom(candidate),
                     .epoch = Epoch(epoch),
                     .log_end = log_end,
                     .pre_vote = false};
}

constexpr OffsetAndEpoch kEmptyLog{};

// Wins an election whose last write, "leader = self", is not synced.
void WinWithoutSync(TestNode& node) {
  while (node.role() != Role::kProspective) {
    node.FireTimer();
  }
  for (const bool synced : {true, false}) {
    const auto votes = node.TakeSendsOf<VoteRequest>();
    node.TakeSends();
    node.auto_sync = synced;
    node.Respond(votes[0], VoteResponse{.header = node.OkHeader(), .vote_granted = true});
  }
}

// --- identity and request checks ---

// consensus: KAFKA-10817; reliability R35, invariant 37.
TEST(Kip595Test, RequestOfAnotherClusterChangesNothing) {
  TestNode node(1, VotersUpTo(3));
  VoteRequest vote = VoteFrom(node, 2, 5, kEmptyLog);
  vote.header.cluster_id = "other";
  const auto answer = node.AskFor<VoteResponse>(vote);
  EXPECT_EQ(answer.header.error, RaftError::kInconsistentClusterId);
  EXPECT_EQ(node.epoch(), Epoch(0));
  vote.header = node.HeaderFrom(2);
  vote.header.generation = 8;
  EXPECT_EQ(node.AskFor<VoteResponse>(vote).header.error, RaftError::kInconsistentClusterId);
  EXPECT_EQ(node.epoch(), Epoch(0));
}

// consensus §2.1 step 6, §2.2 ⚠, here before the epoch is looked at.
TEST(Kip595Test, RequestForAnotherReplicaKeyChangesNothing) {
  TestNode node(1, VotersUpTo(3));
  VoteRequest vote = VoteFrom(node, 2, 5, kEmptyLog);
  vote.header.receiver = KeyOf(1, /*disk=*/9);
  const auto answer = node.AskFor<VoteResponse>(vote);
  EXPECT_EQ(answer.header.error, RaftError::kInvalidVoterKey);
  EXPECT_FALSE(answer.vote_granted);
  EXPECT_EQ(node.epoch(), Epoch(0));
}

// An answer that refuses our identity comes from another cluster: its epoch means nothing here.
TEST(Kip595Test, EpochOfAnAnswerThatRefusesOurIdentityIsNotAdopted) {
  TestNode node(1, VotersUpTo(3));
  node.Follow(2, 3);
  const auto fetches = node.TakeSendsOf<FetchRequest>();
  FetchResponse response;
  response.header = {.error = RaftError::kInconsistentClusterId, .leader_epoch = Epoch(9)};
  node.Respond(fetches.back(), response);
  EXPECT_EQ(node.epoch(), Epoch(3));
}

// reliability §5.4 #18, #19.
TEST(Kip595Test, VoteWithAbsurdValuesIsInvalid) {
  TestNode node(1, VotersUpTo(3));
  const auto error_of = [&](VoteRequest vote) {
    return node.AskFor<VoteResponse>(std::move(vote)).header.error;
  };
  EXPECT_EQ(error_of(VoteFrom(node, 2, -1, kEmptyLog)), RaftError::kInvalidRequest);
  EXPECT_EQ(error_of(VoteFrom(node, 2, 1, {Offset(-1), Epoch(0)})), RaftError::kInvalidRequest);
  EXPECT_EQ(error_of(VoteFrom(node, 2, 1, {Offset(0), Epoch(-1)})), RaftError::kInvalidRequest);
  EXPECT_EQ(error_of(VoteFrom(node, 2, 1, {Offset(1), Epoch(1)})), RaftError::kInvalidRequest);
  EXPECT_EQ(error_of(VoteFrom(node, -1, 1, kEmptyLog)), RaftError::kInvalidRequest);
  EXPECT_EQ(error_of(VoteFrom(node, 1, 1, kEmptyLog)), RaftError::kInvalidRequest);
  EXPECT_EQ(error_of(VoteFrom(node, 2, 1'000'001, kEmptyLog)), RaftError::kInvalidRequest);
  EXPECT_EQ(node.epoch(), Epoch(0));
  EXPECT_EQ(error_of(VoteFrom(node, 2, 1'000'000, kEmptyLog)), RaftError::kNone);
}

// --- votes ---

TEST(Kip595Test, VoteOfAnOlderEpochIsFenced) {
  TestNode node(1, VotersUpTo(3), DiskWith({}, 4));
  const auto answer = node.AskFor<VoteResponse>(VoteFrom(node, 2, 3, kEmptyLog));
  EXPECT_EQ(answer.header.error, RaftError::kFencedLeaderEpoch);
  EXPECT_EQ(answer.header.leader_epoch, Epoch(4));
}

// consensus: appendix A.1; reliability R01, invariants 3 and 4.
TEST(Kip595Test, GrantLeavesOnlyWhenTheVoteIsDurable) {
  TestNode node(1, VotersUpTo(3));
  node.auto_sync = false;
  const RequestToken token = node.Receive(VoteFrom(node, 2, 1, kEmptyLog));
  EXPECT_FALSE(node.TakeReply(token).has_value());
  ASSERT_THAT(node.unsynced(), SizeIs(2));  // the epoch, then the vote
  node.Sync(1);
  EXPECT_FALSE(node.TakeReply(token).has_value());
  node.Sync(1);
  const auto answer = node.TakeReply(token);
  ASSERT_TRUE(answer.has_value());
  EXPECT_TRUE(std::get<VoteResponse>(*answer).vote_granted);
  EXPECT_EQ(node.disk().quorum_state.voted_key, KeyOf(2));
}

// reliability R01: crash between the decision and the sync; the vote was never sent, so another may
// be given.
TEST(Kip595Test, CrashBeforeTheVoteIsDurableNeverGivesTwoVotes) {
  TestNode node(1, VotersUpTo(3));
  node.auto_sync = false;
  const RequestToken token = node.Receive(VoteFrom(node, 2, 1, kEmptyLog));
  node.CrashAndRestart();
  EXPECT_FALSE(node.TakeReply(token).has_value());
  node.auto_sync = true;
  EXPECT_TRUE(node.AskFor<VoteResponse>(VoteFrom(node, 3, 1, kEmptyLog)).vote_granted);
  node.CrashAndRestart();
  EXPECT_FALSE(node.AskFor<VoteResponse>(VoteFrom(node, 2, 1, kEmptyLog)).vote_granted);
}

TEST(Kip595Test, CandidateAsksForVotesOnlyWhenItsOwnIsDurable) {
  TestNode node(1, VotersUpTo(3));
  node.FireTimer();
  while (node.role() != Role::kProspective) {
    node.FireTimer();
  }
  node.auto_sync = false;
  for (const SendRequest& send : node.TakeSendsOf<VoteRequest>()) {
    node.Respond(send, VoteResponse{.header = node.OkHeader(), .vote_granted = true});
  }
  ASSERT_EQ(node.role(), Role::kCandidate);
  EXPECT_THAT(node.TakeSendsOf<VoteRequest>(), IsEmpty());
  node.Sync();
  const auto votes = node.TakeSendsOf<VoteRequest>();
  ASSERT_THAT(votes, SizeIs(2));
  EXPECT_EQ(std::get<VoteRequest>(votes[0].request).epoch, Epoch(1));
}

TEST(Kip595Test, AnswerThatAdoptsAHigherEpochWaitsForItsWrite) {
  TestNode node(1, VotersUpTo(3));
  node.auto_sync = false;
  const RequestToken token =
      node.Receive(BeginQuorumEpochRequest{.header = node.HeaderFrom(2), .leader_epoch = Epoch(4)});
  EXPECT_FALSE(node.TakeReply(token).has_value());
  EXPECT_THAT(node.TakeSends(), IsEmpty());
  node.Sync();
  EXPECT_TRUE(node.TakeReply(token).has_value());
  EXPECT_EQ(node.disk().quorum_state.epoch, Epoch(4));
  EXPECT_THAT(node.TakeSendsOf<FetchRequest>(), SizeIs(1));
}

TEST(Kip595Test, NomineeAsksAgainThoseWhoDidNotAnswer) {
  TestNode node(1, VotersUpTo(3));
  while (node.role() != Role::kProspective) {
    node.FireTimer();
  }
  auto votes = node.TakeSendsOf<VoteRequest>();
  ASSERT_THAT(votes, SizeIs(2));
  node.Fail(votes[0], SendFailure::kOther);
  EXPECT_THAT(node.TakeSendsOf<VoteRequest>(), IsEmpty());
  node.FireTimer();
  const auto again = node.TakeSendsOf<VoteRequest>();
  ASSERT_THAT(again, SizeIs(1));
  EXPECT_EQ(again[0].to, votes[0].to);
}

// consensus §1.3 rule 4 ⚠.
TEST(Kip595Test, RestartedCandidateKeepsItsVoteAndDoesNotCampaignInItsEpoch) {
  TestDisk disk = DiskWith({}, 3);
  disk.quorum_state.voted_key = KeyOf(1);
  TestNode node(1, VotersUpTo(3), disk);
  EXPECT_EQ(node.role(), Role::kUnattached);
  EXPECT_FALSE(node.AskFor<VoteResponse>(VoteFrom(node, 2, 3, kEmptyLog)).vote_granted);
}

// --- start-up ---

// consensus §1.3 rule 3 ⚠, §1.2 ⚠ (leaves with the next epoch), KAFKA-10527; reliability R02,
// invariant 5.
TEST(Kip595Test, RestartedLeaderComesUpResignedAndLeavesWithTheNextEpoch) {
  TestNode node(1, VotersUpTo(3));
  node.WinElection();
  const Epoch led = node.epoch();
  node.CrashAndRestart();
  EXPECT_EQ(node.role(), Role::kResigned);
  EXPECT_EQ(node.epoch(), led);
  EXPECT_EQ(node.core().leader_id(), std::nullopt);
  EXPECT_FALSE(node.AskFor<VoteResponse>(VoteFrom(node, 2, led.value(), {Offset(9), Epoch(0)}))
                   .vote_granted);
  while (node.role() == Role::kResigned) {
    node.FireTimer();
  }
  EXPECT_EQ(node.epoch(), led + 1);
}

TEST(Kip595Test, RestartedFollowerFollowsTheSameLeader) {
  TestNode node(1, VotersUpTo(3));
  node.Follow(3, 2);
  node.CrashAndRestart();
  EXPECT_EQ(node.role(), Role::kFollower);
  EXPECT_EQ(node.core().leader_id(), NodeId(3));
}

TEST(Kip595Test, OneVoterElectsItselfInTheFirstStep) {
  TestNode node(1, VotersUpTo(1));
  node.FireTimer();
  EXPECT_EQ(node.now(), TimePoint());
  EXPECT_TRUE(node.core().is_leader());
  EXPECT_EQ(node.core().high_watermark(), Offset(2));  // LeaderChange and voter set
  node.CrashAndRestart();
  node.FireTimer();
  EXPECT_TRUE(node.core().is_leader());
  EXPECT_EQ(node.epoch(), Epoch(3));  // 1 was led, 2 left Resigned
}

// --- BeginQuorumEpoch ---

TEST(Kip595Test, NewLeaderTellsEveryVoterAtOnceButOnlyWhenItsLeadershipIsDurable) {
  TestNode node(1, VotersUpTo(3));
  WinWithoutSync(node);
  ASSERT_EQ(node.role(), Role::kLeader);
  EXPECT_THAT(node.TakeSends(), IsEmpty());
  ASSERT_THAT(node.unsynced(), SizeIs(1));
  EXPECT_EQ(node.unsynced()[0].quorum_state->leader_id, NodeId(1));
  EXPECT_THAT(node.unsynced()[0].append, SizeIs(1));  // in the same write
  node.Sync();
  EXPECT_THAT(node.TakeSendsOf<BeginQuorumEpochRequest>(), SizeIs(2));
}

TEST(Kip595Test, LeaderTellsOnlyThoseWhoDoNotFetchAgain) {
  TestNode node(1, VotersUpTo(3));
  node.WinElection();
  for (const SendRequest& send : node.TakeSendsOf<BeginQuorumEpochRequest>()) {
    node.Respond(send, BeginQuorumEpochResponse{.header = node.OkHeader(1)});
  }
  node.Advance(milliseconds(400));
  node.Receive(node.FetchFrom(2));
  node.RunFor(milliseconds(400));
  const auto begins = node.TakeSendsOf<BeginQuorumEpochRequest>();
  ASSERT_THAT(begins, SizeIs(1));
  EXPECT_EQ(begins[0].to.key, KeyOf(3));
}

TEST(Kip595Test, BeginQuorumEpochDoesNotResetTheFetchTimer) {
  TestNode node(1, VotersUpTo(3));
  node.Follow(2, 1);
  const TimePoint followed = node.now();
  node.Advance(milliseconds(1000));
  node.Follow(2, 1);
  while (node.role() == Role::kFollower) {
    node.FireTimer();
  }
  EXPECT_EQ(node.now() - followed, milliseconds(1500));
}

// reliability §5.4 #21: never switch silently, never die.
TEST(Kip595Test, SecondLeaderOfOneEpochIsRefused) {
  TestNode node(1, VotersUpTo(3));
  node.Follow(2, 1);
  const auto begin = node.AskFor<BeginQuorumEpochResponse>(
      BeginQuorumEpochRequest{.header = node.HeaderFrom(3), .leader_epoch = Epoch(1)});
  EXPECT_EQ(begin.header.error, RaftError::kInvalidRequest);
  EXPECT_TRUE(node.has_trace(RaftTraceKind::kRequestRejected));
  const auto end = node.AskFor<EndQuorumEpochResponse>(EndQuorumEpochRequest{
      .header = node.HeaderFrom(3), .leader_epoch = Epoch(1), .preferred_candidates = {}});
  EXPECT_EQ(end.header.error, RaftError::kInvalidRequest);
  EXPECT_EQ(node.core().leader_id(), NodeId(2));
}

TEST(Kip595Test, LeaderRefusesAnotherLeaderOfItsEpoch) {
  TestNode node(1, VotersUpTo(3));
  node.WinElection();
  const auto answer = node.AskFor<BeginQuorumEpochResponse>(
      BeginQuorumEpochRequest{.header = node.HeaderFrom(3), .leader_epoch = node.epoch()});
  EXPECT_EQ(answer.header.error, RaftError::kInvalidRequest);
  EXPECT_TRUE(node.core().is_leader());
}

// consensus §1.2: a leader without an address is remembered, not followed.
TEST(Kip595Test, LeaderThatIsNoVoterHereIsRememberedButNotFollowed) {
  TestNode node(1, VotersUpTo(3));
  node.Follow(8, 2);
  EXPECT_EQ(node.role(), Role::kUnattached);
  EXPECT_EQ(node.epoch(), Epoch(2));
  EXPECT_EQ(node.core().leader_id(), NodeId(8));
  EXPECT_FALSE(node.AskFor<VoteResponse>(VoteFrom(node, 2, 2, kEmptyLog)).vote_granted);
}

// --- EndQuorumEpoch ---

TEST(Kip595Test, FirstSuccessorCampaignsAtOnceAndOthersInTurn) {
  const auto time_to_campaign = [](int id) {
    TestNode node(id, VotersUpTo(4));
    node.Follow(4, 1);
    const TimePoint asked = node.now();
    node.Ask(EndQuorumEpochRequest{.header = node.HeaderFrom(4),
                                   .leader_epoch = Epoch(1),
                                   .preferred_candidates = {KeyOf(2), KeyOf(3)}});
    while (node.role() == Role::kFollower) {
      node.FireTimer();
    }
    return node.now() - asked;
  };
  EXPECT_EQ(time_to_campaign(2), Duration::zero());
  EXPECT_EQ(time_to_campaign(3), milliseconds(250));
  EXPECT_EQ(time_to_campaign(1), milliseconds(500));  // not listed
}

// --- Fetch, leader's side ---

// consensus §2.4; §2.0 ⚠: a fetch never raises the epoch of who gets it.
TEST(Kip595Test, FetchIsCheckedInKafkasOrder) {
  TestNode node(1, VotersUpTo(3), DiskWith({}, 4));
  FetchRequest fetch = node.FetchFrom(2);
  const auto error_of = [&](const FetchRequest& request) {
    return node.AskFor<FetchResponse>(request).header.error;
  };
  EXPECT_EQ(error_of(fetch), RaftError::kNotLeaderOrFollower);
  fetch.current_leader_epoch = Epoch(3);
  EXPECT_EQ(error_of(fetch), RaftError::kFencedLeaderEpoch);
  fetch.current_leader_epoch = Epoch(5);
  EXPECT_EQ(error_of(fetch), RaftError::kUnknownLeaderEpoch);
  EXPECT_EQ(node.epoch(), Epoch(4));  // a fetch never raises the epoch
  fetch.fetch_offset = Offset(-1);
  EXPECT_EQ(error_of(fetch), RaftError::kInvalidRequest);
  fetch.fetch_offset = Offset(0);
  fetch.last_fetched_epoch = Epoch(6);
  EXPECT_EQ(error_of(fetch), RaftError::kInvalidRequest);
}

// consensus §2.4 ⚠, R03: the fetch answer precedes the leader's sync of that append.
TEST(Kip595Test, AppendWakesWaitingFetchesBeforeTheLeadersOwnSync) {
  TestNode node(1, VotersUpTo(3));
  node.WinElection();
  node.Receive(node.FetchFrom(2));
  node.Receive(node.FetchFrom(3));
  node.TakeReplies();
  const RequestToken waiting = node.Receive(node.FetchFrom(2));
  ASSERT_FALSE(node.TakeReply(waiting).has_value());
  node.auto_sync = false;
  node.Append("a");
  const auto answer = node.TakeReply(waiting);
  ASSERT_TRUE(answer.has_value());
  EXPECT_THAT(std::get<FetchResponse>(*answer).batches, SizeIs(1));
  EXPECT_THAT(node.unsynced(), SizeIs(1));
}

// consensus §1.3 rule 4 ⚠: else who led could lead the epoch again, with other records.
TEST(Kip595Test, NoBatchOfANewEpochLeavesBeforeItsLeadershipIsDurable) {
  TestNode node(1, VotersUpTo(3));
  WinWithoutSync(node);
  ASSERT_EQ(node.role(), Role::kLeader);
  const RequestToken token = node.Receive(node.FetchFrom(2, 0));
  EXPECT_FALSE(node.TakeReply(token).has_value());
  node.Sync();
  EXPECT_TRUE(node.TakeReply(token).has_value());
}

// consensus §2.4: waiting fetches; reliability R22, R42.
TEST(Kip595Test, HighWatermarkAdvanceWakesThoseWhoDoNotKnowIt) {
  TestNode node(1, VotersUpTo(5));
  node.WinElection();
  const RequestToken behind = node.Receive(node.FetchFrom(3));
  ASSERT_FALSE(node.TakeReply(behind).has_value());
  node.Receive(node.FetchFrom(2));  // a majority now has the first batch
  const auto answer = node.TakeReply(behind);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(std::get<FetchResponse>(*answer).high_watermark, Offset(2));
}

TEST(Kip595Test, FetchThatIsBehindTheHighWatermarkIsAnsweredAtOnce) {
  TestNode node(1, VotersUpTo(3));
  node.WinElection();
  node.Receive(node.FetchFrom(2));
  FetchRequest fetch = node.FetchFrom(3);
  fetch.high_watermark.reset();
  EXPECT_EQ(node.AskFor<FetchResponse>(fetch).high_watermark, Offset(2));
}

// consensus: appendix A.8.
TEST(Kip595Test, FetchIsAnsweredAfterItsMaxWaitWithFreshContent) {
  TestNode node(1, VotersUpTo(3));
  node.WinElection();
  node.Receive(node.FetchFrom(2));
  node.Receive(node.FetchFrom(3));
  node.TakeReplies();
  FetchRequest fetch = node.FetchFrom(2);
  fetch.max_wait_ms = 100;
  const RequestToken token = node.Receive(fetch);
  node.RunFor(milliseconds(99));
  EXPECT_FALSE(node.TakeReply(token).has_value());
  node.RunFor(milliseconds(1));
  const auto answer = node.TakeReply(token);
  ASSERT_TRUE(answer.has_value());
  EXPECT_THAT(std::get<FetchResponse>(*answer).batches, IsEmpty());
  EXPECT_EQ(std::get<FetchResponse>(*answer).high_watermark, Offset(2));
}

TEST(Kip595Test, NewerFetchOfAReplicaAnswersItsOlderOne) {
  TestNode node(1, VotersUpTo(3));
  node.WinElection();
  node.Receive(node.FetchFrom(3));
  const RequestToken older = node.Receive(node.FetchFrom(3));
  const RequestToken newer = node.Receive(node.FetchFrom(3));
  EXPECT_TRUE(node.TakeReply(older).has_value());
  EXPECT_FALSE(node.TakeReply(newer).has_value());
}

// reliability R19, KAFKA-10677; §2.4 "on every exit".
TEST(Kip595Test, LosingTheLeadershipAnswersAllWaitingFetches) {
  TestNode node(1, VotersUpTo(3));
  node.WinElection();
  node.Receive(node.FetchFrom(3));
  const RequestToken voter = node.Receive(node.FetchFrom(3));
  const RequestToken observer = node.Receive(node.FetchFrom(9));
  node.Follow(2, node.epoch().value() + 1);
  for (const RequestToken token : {voter, observer}) {
    const auto answer = node.TakeReply(token);
    ASSERT_TRUE(answer.has_value());
    const ResponseHeader& header = HeaderOf(*answer);
    EXPECT_EQ(header.error, RaftError::kNotLeaderOrFollower);
    EXPECT_EQ(header.leader_id, NodeId(2));
  }
}

// consensus §2.4 step 6 ⚠, §3.5.
TEST(Kip595Test, DivergingFetchIsToldWhereItsEpochEndsAndIsNoProgress) {
  TestNode node(1, VotersUpTo(3), DiskWith({1, 1, 3}, 3));
  node.WinElection();
  FetchRequest fetch = node.FetchFrom(2, 3);
  fetch.last_fetched_epoch = Epoch(2);
  const auto answer = node.AskFor<FetchResponse>(fetch);
  EXPECT_EQ(answer.diverging_epoch, (EpochEnd{.epoch = Epoch(1), .end_offset = Offset(2)}));
  EXPECT_THAT(answer.batches, IsEmpty());
  EXPECT_EQ(node.core().high_watermark(), std::nullopt);
  EXPECT_TRUE(node.has_trace(RaftTraceKind::kDivergingFetch));
}

TEST(Kip595Test, FetchPastTheLeadersEndDiverges) {
  TestNode node(1, VotersUpTo(3));
  node.WinElection();
  FetchRequest fetch = node.FetchFrom(2);
  fetch.fetch_offset = Offset(50);
  const auto answer = node.AskFor<FetchResponse>(fetch);
  EXPECT_EQ(answer.diverging_epoch, (EpochEnd{.epoch = Epoch(1), .end_offset = Offset(2)}));
}

// reliability §5.4 #24, invariant 6.
TEST(Kip595Test, SameOffsetAndEpochWithAnotherChainIsCorruption) {
  TestNode node(1, VotersUpTo(3));
  node.WinElection();
  FetchRequest fetch = node.FetchFrom(2);
  fetch.last_chain_hash ^= 1;
  EXPECT_EQ(node.AskFor<FetchResponse>(fetch).header.error, RaftError::kCorruptLog);
  EXPECT_TRUE(node.has_trace(RaftTraceKind::kRequestRejected));
  EXPECT_EQ(node.core().high_watermark(), std::nullopt);
}

TEST(Kip595Test, ObserversAndWipedVotersFetchButDoNotCommit) {  // R15, R16, invariant 36
  TestNode node(1, VotersUpTo(3));
  node.WinElection();
  node.Receive(node.FetchFrom(9));
  FetchRequest wiped = node.FetchFrom(2);
  wiped.header.sender = KeyOf(2, /*disk=*/5);
  node.Receive(wiped);
  EXPECT_EQ(node.core().high_watermark(), std::nullopt);
  EXPECT_THAT(node.Describe().replicas, SizeIs(5));
}

TEST(Kip595Test, FetchBeyondTheLimitOfWaitingOnesIsAnsweredAtOnce) {
  TestNode node(1, VotersUpTo(3));
  node.WinElection();
  node.Receive(node.FetchFrom(2));
  for (int id = 10; id < 10 + 1024; ++id) {
    node.Receive(node.FetchFrom(id));
  }
  EXPECT_THAT(node.TakeReplies(), SizeIs(1));
  EXPECT_THAT(node.AskFor<FetchResponse>(node.FetchFrom(5000)).batches, IsEmpty());
}

// --- Fetch, follower's side ---

// consensus §2.0 and appendix A.5; R16.
TEST(Kip595Test, NextFetchWaitsForTheSyncOfTheAppend) {
  TestNode node(1, VotersUpTo(3));
  node.Follow(2, 1);
  node.auto_sync = false;
  node.AnswerFetch(BatchesAfter({}, {1, 1}), std::nullopt);
  EXPECT_EQ(node.core().log_end_offset(), Offset(2));
  EXPECT_THAT(node.TakeSends(), IsEmpty());
  node.Sync();
  const auto fetches = node.TakeSendsOf<FetchRequest>();
  ASSERT_THAT(fetches, SizeIs(1));
  EXPECT_EQ(std::get<FetchRequest>(fetches[0].request).fetch_offset, Offset(2));
}

TEST(Kip595Test, FollowerTakesTheHighWatermarkUpToItsOwnEnd) {
  TestNode node(1, VotersUpTo(3));
  node.Follow(2, 1);
  node.AnswerFetch(BatchesAfter({}, {1}), 5);
  EXPECT_EQ(node.core().high_watermark(), Offset(1));
}

TEST(Kip595Test, HighWatermarkThatGoesBackIsIgnored) {
  TestNode node(1, VotersUpTo(3));
  node.Follow(2, 1);
  node.AnswerFetch(BatchesAfter({}, {1, 1}), 2);
  node.AnswerFetch({}, 1);
  EXPECT_EQ(node.core().high_watermark(), Offset(2));
}

// consensus §2.4 ⚠, KAFKA-18723.
TEST(Kip595Test, FollowerDropsBatchesNewerThanItsEpoch) {
  TestNode node(1, VotersUpTo(3));
  node.Follow(2, 1);
  node.AnswerFetch(BatchesAfter({}, {1, 2}), std::nullopt);
  EXPECT_EQ(node.core().log_end_offset(), Offset(1));
  EXPECT_TRUE(node.has_trace(RaftTraceKind::kRequestRejected));
}

// reliability §5.4 #28.
TEST(Kip595Test, FollowerDropsBatchesThatDoNotContinueItsChain) {
  TestNode node(1, VotersUpTo(3));
  node.Follow(2, 1);
  std::vector<RecordBatch> batches = BatchesAfter({}, {1});
  batches[0].chain_hash ^= 1;
  node.AnswerFetch(batches, 1);
  EXPECT_EQ(node.core().log_end_offset(), Offset(0));
  EXPECT_EQ(node.core().high_watermark(), std::nullopt);
  EXPECT_TRUE(node.has_trace(RaftTraceKind::kRequestRejected));
  EXPECT_THAT(node.TakeSendsOf<FetchRequest>(), IsEmpty());  // backs off
  node.FireTimer();
  EXPECT_THAT(node.TakeSendsOf<FetchRequest>(), SizeIs(1));
}

// consensus §3.5: and the epochs that go with the records are forgotten too (⚠, log_shape_test).
TEST(Kip595Test, FollowerTruncatesWhereItIsToldThatLogsDiverge) {
  TestNode node(1, VotersUpTo(3), DiskWith({1, 1, 2, 2}, 2));
  node.Follow(2, 3);
  const auto fetches = node.TakeSendsOf<FetchRequest>();
  FetchResponse response;
  response.header = node.OkHeader(2);
  response.diverging_epoch = EpochEnd{.epoch = Epoch(1), .end_offset = Offset(1)};
  node.auto_sync = false;
  node.Respond(fetches.back(), response);
  EXPECT_EQ(node.core().log_end_offset(), Offset(1));
  EXPECT_THAT(node.TakeSendsOf<FetchRequest>(), IsEmpty());
  node.Sync();
  const auto next = node.TakeSendsOf<FetchRequest>();
  ASSERT_THAT(next, SizeIs(1));
  const auto& fetch = std::get<FetchRequest>(next[0].request);
  EXPECT_EQ(fetch.fetch_offset, Offset(1));
  EXPECT_EQ(fetch.last_chain_hash, node.log().back().chain_hash);
}

// consensus §3.5; reliability R07, invariant 15.
TEST(Kip595DeathTest, TruncationBelowTheHighWatermarkStopsTheProcess) {
  TestNode node(1, VotersUpTo(3));
  node.Follow(2, 1);
  node.AnswerFetch(BatchesAfter({}, {1, 1}), 2);
  const auto fetches = node.TakeSendsOf<FetchRequest>();
  FetchResponse response;
  response.header = node.OkHeader(2);
  response.diverging_epoch = EpochEnd{.epoch = Epoch(1), .end_offset = Offset(1)};
  EXPECT_EXIT(node.Respond(fetches.back(), response), ::testing::ExitedWithCode(70),
              "below the high watermark");
}

TEST(Kip595Test, AnswerToAnOlderRequestIsDropped) {
  TestNode node(1, VotersUpTo(3));
  node.Follow(2, 1);
  const auto fetches = node.TakeSendsOf<FetchRequest>();
  node.Follow(2, 2);  // resets the conversation
  FetchResponse response;
  response.header = {.leader_epoch = Epoch(2), .leader_id = NodeId(2)};
  response.batches = BatchesAfter({}, {1});
  node.Respond(fetches.back(), response);
  EXPECT_EQ(node.core().log_end_offset(), Offset(0));
}

// consensus §2.0: a higher epoch in an answer is adopted, with its leader.
TEST(Kip595Test, AnswerOfAHigherEpochIsFollowed) {
  TestNode node(1, VotersUpTo(3));
  node.Follow(2, 1);
  const auto fetches = node.TakeSendsOf<FetchRequest>();
  FetchResponse response;
  response.header = {
      .error = RaftError::kFencedLeaderEpoch, .leader_epoch = Epoch(4), .leader_id = NodeId(3)};
  node.Respond(fetches.back(), response);
  EXPECT_EQ(node.epoch(), Epoch(4));
  EXPECT_EQ(node.core().leader_id(), NodeId(3));
}

TEST(Kip595Test, AnswerThatNamesUsLeaderOfAnUnknownEpochIsIgnored) {
  TestNode node(1, VotersUpTo(3));
  node.Follow(2, 1);
  const auto fetches = node.TakeSendsOf<FetchRequest>();
  FetchResponse response;
  response.header = {.leader_epoch = Epoch(4), .leader_id = NodeId(1)};
  node.Respond(fetches.back(), response);
  EXPECT_EQ(node.epoch(), Epoch(1));
}

// consensus §4 "Discovery", KAFKA-17030.
TEST(Kip595Test, UnattachedVoterAsksTheOthersWhoLeads) {
  TestNode node(1, VotersUpTo(3));
  node.FireTimer();
  const auto probes = node.TakeSendsOf<FetchRequest>();
  ASSERT_THAT(probes, SizeIs(1));
  EXPECT_EQ(std::get<FetchRequest>(probes[0].request).max_wait_ms, 0u);
  FetchResponse response;
  response.header = {
      .error = RaftError::kUnknownLeaderEpoch, .leader_epoch = Epoch(6), .leader_id = NodeId(3)};
  node.Respond(probes[0], response);
  EXPECT_EQ(node.role(), Role::kFollower);
  EXPECT_EQ(node.core().leader_id(), NodeId(3));
}

TEST(Kip595Test, FollowerWhoseLeaderIsSilentAsksTheOthersForANewOne) {
  TestNode node(1, VotersUpTo(3));
  node.Follow(2, 1);
  auto fetches = node.TakeSendsOf<FetchRequest>();
  node.Fail(fetches[0], SendFailure::kOther);  // retried at once
  fetches = node.TakeSendsOf<FetchRequest>();
  ASSERT_THAT(fetches, SizeIs(1));
  node.Fail(fetches[0], SendFailure::kOther);
  do {
    node.FireTimer();
    fetches = node.TakeSendsOf<FetchRequest>();
  } while (fetches.empty());
  EXPECT_EQ(fetches[0].to.key, KeyOf(3));
  EXPECT_EQ(node.role(), Role::kFollower);
}

// Silent peers cost a bounded time: nobody is asked again before all others were.
TEST(Kip595Test, ProbesAskOneAfterTheOther) {
  RaftConfig config = TestConfig(9, VotersUpTo(3));
  const PeerAddress server{.host = "controller", .port = 9000};
  config.bootstrap_servers = {server, PeerAddress{.host = "own", .port = 9009}};
  config.advertised_address = config.bootstrap_servers[1];
  TestNode observer(9, config);
  std::vector<PeerAddress> asked;
  while (asked.size() < 12) {
    observer.FireTimer();
    for (const SendRequest& probe : observer.TakeSendsOf<FetchRequest>()) {
      asked.push_back(probe.to.address);
      observer.Fail(probe, SendFailure::kOther);
    }
  }
  for (size_t i = 0; i < asked.size(); ++i) {
    EXPECT_EQ(asked[i], asked[i % 4]) << i;
  }
  asked.resize(4);
  EXPECT_THAT(asked, UnorderedElementsAre(VoterOf(1).address, VoterOf(2).address,
                                          VoterOf(3).address, server));
}

// Somebody has told an observer of a later epoch. The leader, who has to hear of it, has moved;
// only its followers know where to, and their answers are of an older epoch.
TEST(Kip595Test, AnAnswerOfAnOlderEpochTellsWhomToAskNext) {
  TestNode observer(4, VotersUpTo(3));
  observer.Receive(VoteRequest{.header = observer.HeaderFrom(3), .epoch = Epoch(6)});
  ASSERT_EQ(observer.epoch(), Epoch(6));
  const Voter moved{.key = KeyOf(2), .address = PeerAddress{.host = "elsewhere", .port = 9002}};
  auto next_probe = [&] {
    std::vector<SendRequest> probes;
    while (probes.empty()) {
      observer.FireTimer();
      probes = observer.TakeSendsOf<FetchRequest>();
    }
    return probes.front();
  };
  FetchResponse answer;
  answer.header = {
      .error = RaftError::kUnknownLeaderEpoch, .leader_epoch = Epoch(4), .leader_id = NodeId(2)};
  answer.header.leader_voter = moved;
  observer.Respond(next_probe(), answer);
  EXPECT_EQ(observer.epoch(), Epoch(6));
  EXPECT_EQ(observer.role(), Role::kUnattached);
  const SendRequest probe = next_probe();
  EXPECT_EQ(probe.to, moved);
  observer.Fail(probe, SendFailure::kOther);
  EXPECT_NE(next_probe().to, moved);  // told once, asked once
}

// --- check-quorum ---

// consensus §4, KAFKA-15489; reliability R17.
TEST(Kip595Test, LeaderThatHearsNoMajorityResigns) {
  TestNode node(1, VotersUpTo(3));
  node.WinElection();
  const TimePoint elected = node.now();
  node.RunFor(milliseconds(2249));
  EXPECT_TRUE(node.core().is_leader());
  node.RunFor(milliseconds(1));
  EXPECT_EQ(node.role(), Role::kResigned);
  EXPECT_EQ(node.now() - elected, milliseconds(2250));
  EXPECT_TRUE(node.has_trace(RaftTraceKind::kCheckQuorumFailed));
}

// consensus §4 ⚠: a parked fetch that runs again is no contact.
TEST(Kip595Test, ArrivalOfAFetchIsContactButItsWaitingIsNot) {
  TestNode node(1, VotersUpTo(3));
  node.WinElection();
  node.RunFor(milliseconds(2000));
  node.Receive(node.FetchFrom(2));
  node.RunFor(milliseconds(2249));
  EXPECT_TRUE(node.core().is_leader());
  node.RunFor(milliseconds(1));
  EXPECT_EQ(node.role(), Role::kResigned);
}

TEST(Kip595Test, OneVoterNeverFailsItsCheckQuorum) {
  TestNode node(1, VotersUpTo(1));
  node.FireTimer();
  EXPECT_EQ(node.core().NextDeadline(), kNever);
}

}  // namespace
}  // namespace kvorum::raft
