// Linearizable reads by fetch rounds (Raft §8, thesis §6.4; reliability R05, R06, invariant 26).

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/raft/raft_state.h"
#include "tests/protocol/raft_cluster.h"
#include "tests/protocol/raft_harness.h"

namespace kvorum::raft {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

void Read(TestNode& node, uint64_t token) {
  node.Step(ConfirmLeadership{.token = ReadToken(token)});
}

FetchRequest Echo(const TestNode& node, int peer, uint64_t round) {
  FetchRequest fetch = node.FetchFrom(peer);
  fetch.round = round;
  return fetch;
}

// A leader of three with its epoch committed.
TestNode CommittedLeader() {
  TestNode node(1, VotersUpTo(3));
  node.WinElection();
  node.Receive(node.FetchFrom(2));
  node.Receive(node.FetchFrom(3));
  node.TakeReplies();
  return node;
}

TEST(ReadsTest, ReadWaitsForAMajorityToEchoARoundThatBeganAfterIt) {
  TestNode node = CommittedLeader();
  Read(node, 1);
  EXPECT_THAT(node.TakeReads(), IsEmpty());
  const uint64_t round = node.core().state().round;
  node.Receive(Echo(node, 2, round - 1));  // of before
  EXPECT_THAT(node.TakeReads(), IsEmpty());
  node.Receive(Echo(node, 2, round));
  const auto reads = node.TakeReads();
  ASSERT_THAT(reads, SizeIs(1));
  EXPECT_TRUE(reads[0].confirmed);
  EXPECT_EQ(reads[0].read_offset, Offset(2));
}

TEST(ReadsTest, NewRoundWakesWaitingFetchesOfVoters) {
  TestNode node = CommittedLeader();
  const RequestToken voter = node.Receive(node.FetchFrom(2));
  const RequestToken observer = node.Receive(node.FetchFrom(9));
  ASSERT_FALSE(node.TakeReply(voter).has_value());
  Read(node, 1);
  const auto answer = node.TakeReply(voter);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(std::get<FetchResponse>(*answer).round, 1u);
  EXPECT_FALSE(node.TakeReply(observer).has_value());
}

TEST(ReadsTest, ReadsDuringARoundShareTheNextOne) {
  TestNode node = CommittedLeader();
  Read(node, 1);
  Read(node, 2);
  Read(node, 3);
  EXPECT_EQ(node.core().state().round, 1u);
  node.Receive(Echo(node, 2, 1));
  EXPECT_THAT(node.TakeReads(), SizeIs(1));
  EXPECT_EQ(node.core().state().round, 2u);
  node.Receive(Echo(node, 3, 2));
  EXPECT_THAT(node.TakeReads(), SizeIs(2));
}

// R05: the new leader does not yet know what older leaders committed.
TEST(ReadsTest, ReadWaitsForARecordOfTheOwnEpochToBeCommitted) {
  TestNode node(1, VotersUpTo(3));
  node.WinElection();
  Read(node, 1);
  FetchRequest echo = node.FetchFrom(2, 0);
  echo.round = 1;
  node.Receive(echo);
  EXPECT_THAT(node.TakeReads(), IsEmpty());
  node.Receive(Echo(node, 2, 1));
  const auto reads = node.TakeReads();
  ASSERT_THAT(reads, SizeIs(1));
  EXPECT_EQ(reads[0].read_offset, Offset(2));
}

TEST(ReadsTest, EchoesOfObserversDoNotCount) {
  TestNode node = CommittedLeader();
  Read(node, 1);
  node.Receive(Echo(node, 9, 1));
  FetchRequest wiped = Echo(node, 2, 1);
  wiped.header.sender = KeyOf(2, /*disk=*/5);
  node.Receive(wiped);
  EXPECT_THAT(node.TakeReads(), IsEmpty());
}

TEST(ReadsTest, RoundThatWasNeverGivenOutIsNoEcho) {
  TestNode node = CommittedLeader();
  node.Receive(Echo(node, 2, 1000));
  Read(node, 1);
  EXPECT_THAT(node.TakeReads(), IsEmpty());
}

TEST(ReadsTest, LosingTheLeadershipFailsTheReads) {
  TestNode node = CommittedLeader();
  Read(node, 1);
  node.Follow(2, node.epoch().value() + 1);
  const auto reads = node.TakeReads();
  ASSERT_THAT(reads, SizeIs(1));
  EXPECT_FALSE(reads[0].confirmed);
}

TEST(ReadsTest, FollowerRefuses) {
  TestNode node(1, VotersUpTo(3));
  Read(node, 1);
  EXPECT_FALSE(node.TakeReads().at(0).confirmed);
}

TEST(ReadsTest, TooManyWaitingReadsAreRefused) {
  TestNode node = CommittedLeader();
  for (uint64_t token = 0; token < 10'000; ++token) {
    Read(node, token);
  }
  EXPECT_THAT(node.TakeReads(), IsEmpty());
  Read(node, 10'000);
  const auto reads = node.TakeReads();
  ASSERT_THAT(reads, SizeIs(1));
  EXPECT_FALSE(reads[0].confirmed);
}

TEST(ReadsTest, OneVoterConfirmsAtOnce) {
  TestNode node(1, VotersUpTo(1));
  node.FireTimer();
  Read(node, 1);
  EXPECT_TRUE(node.TakeReads().at(0).confirmed);
}

// R06: rounds of an earlier leadership never confirm one of a later.
TEST(ReadsTest, RoundsGrowAcrossLeadershipsOfAProcess) {
  TestNode node = CommittedLeader();
  Read(node, 1);
  node.Follow(2, node.epoch().value() + 1);
  node.TakeReads();
  node.TakeSends();
  node.WinElection();
  Read(node, 2);
  EXPECT_EQ(node.core().state().round, 2u);
  node.Receive(Echo(node, 2, 1));
  EXPECT_THAT(node.TakeReads(), IsEmpty());
  node.Receive(Echo(node, 2, 2));
  EXPECT_THAT(node.TakeReads(), SizeIs(1));
}

TEST(ReadsTest, DeposedLeaderThatDoesNotKnowItConfirmsNothing) {
  TestCluster cluster(3);
  const int old = cluster.RunUntilLeader().value();
  cluster.RunFor(milliseconds(500));
  cluster.Isolate(old);
  cluster.Step(old, ConfirmLeadership{.token = ReadToken(1)});
  cluster.RunFor(milliseconds(3000));
  const auto reads = cluster.node(old).TakeReads();
  ASSERT_THAT(reads, SizeIs(1));
  EXPECT_FALSE(reads[0].confirmed);
}

TEST(ReadsTest, ReadTakesOneRoundTrip) {
  TestCluster cluster(3);
  const int leader = cluster.RunUntilLeader().value();
  cluster.RunFor(milliseconds(700));
  const TimePoint asked = cluster.now();
  cluster.Step(leader, ConfirmLeadership{.token = ReadToken(1)});
  cluster.DeliverAll();
  const auto reads = cluster.node(leader).TakeReads();
  ASSERT_THAT(reads, SizeIs(1));
  EXPECT_TRUE(reads[0].confirmed);
  EXPECT_EQ(cluster.now(), asked);
}

}  // namespace
}  // namespace kvorum::raft
