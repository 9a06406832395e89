// consensus.md §1.2: every row of the transition table, with its epoch and what is written.

#include "server/raft/transitions.h"

#include <gtest/gtest.h>

#include "server/raft/raft_state.h"
#include "tests/protocol/raft_harness.h"

namespace kvorum::raft {
namespace {

// A core at `role`, in epoch 3 (a candidate or leader: 4).
TestNode NodeAt(Role role) {
  TestDisk disk = DiskWith({1, 2}, 3);
  if (role == Role::kResigned) {
    disk.quorum_state.voted_key = KeyOf(1);
    disk.quorum_state.leader_id = NodeId(1);
  }
  TestNode node(1, VotersUpTo(3), disk);
  if (role == Role::kFollower) {
    node.Follow(2, 3);
  }
  if (role == Role::kLeader) {
    node.WinElection();
  }
  if (role == Role::kProspective || role == Role::kCandidate) {
    while (node.role() != Role::kProspective) {
      node.FireTimer();
    }
    if (role == Role::kCandidate) {
      node.Respond(node.TakeSendsOf<VoteRequest>().at(0),
                   VoteResponse{.header = node.OkHeader(), .vote_granted = true});
    }
  }
  EXPECT_EQ(node.role(), role);
  node.TakeTraces();
  return node;
}

constexpr Role kAllRoles[] = {Role::kUnattached, Role::kFollower, Role::kProspective,
                              Role::kCandidate,  Role::kLeader,   Role::kResigned};

void LetTimeEnd(TestNode& node) {
  const Role role = node.role();
  while (node.role() == role) {
    node.FireTimer();
  }
}

void RefusePreVotes(TestNode& node) {
  for (const SendRequest& vote : node.TakeSendsOf<VoteRequest>()) {
    node.Respond(vote, VoteResponse{.header = node.OkHeader(), .vote_granted = false});
  }
}

TEST(TransitionsTest, AnyRoleFollowsTheLeaderOfAHigherEpoch) {
  for (const Role role : kAllRoles) {
    TestNode node = NodeAt(role);
    node.Follow(3, 9);
    EXPECT_EQ(node.role(), Role::kFollower) << RoleName(role);
    const QuorumState expected{
        .epoch = Epoch(9), .voted_key = std::nullopt, .leader_id = NodeId(3)};
    EXPECT_EQ(node.disk().quorum_state, expected) << RoleName(role);
  }
}

TEST(TransitionsTest, AnyRoleIsUnattachedInAHigherEpochWithoutLeader) {
  for (const Role role : kAllRoles) {
    TestNode node = NodeAt(role);
    node.Ask(VoteRequest{
        .header = node.HeaderFrom(3), .epoch = Epoch(9), .log_end = {}, .pre_vote = true});
    EXPECT_EQ(node.role(), Role::kUnattached) << RoleName(role);
    EXPECT_EQ(node.disk().quorum_state, (QuorumState{.epoch = Epoch(9)})) << RoleName(role);
  }
}

TEST(TransitionsTest, WhoKnowsNoLeaderFollowsTheOneOfItsEpoch) {
  for (const Role role : {Role::kUnattached, Role::kProspective, Role::kCandidate}) {
    TestNode node = NodeAt(role);
    const std::optional<ReplicaKey> voted = node.disk().quorum_state.voted_key;
    const Epoch epoch = node.epoch();
    node.Follow(3, epoch.value());
    EXPECT_EQ(node.role(), Role::kFollower) << RoleName(role);
    EXPECT_EQ(node.epoch(), epoch);
    EXPECT_EQ(node.disk().quorum_state.voted_key, voted);  // ⚠ the vote stays
    EXPECT_EQ(node.disk().quorum_state.leader_id, NodeId(3));
  }
}

TEST(TransitionsTest, UnattachedCampaignsWhenItsTimerEnds) {
  TestNode node = NodeAt(Role::kUnattached);
  const QuorumState before = node.disk().quorum_state;
  LetTimeEnd(node);
  EXPECT_EQ(node.role(), Role::kProspective);
  EXPECT_EQ(node.disk().quorum_state, before);
}

TEST(TransitionsTest, FollowerCampaignsWhenItsFetchTimerEndsAndKeepsItsLeader) {
  TestNode node = NodeAt(Role::kFollower);
  const QuorumState before = node.disk().quorum_state;
  LetTimeEnd(node);
  EXPECT_EQ(node.role(), Role::kProspective);
  EXPECT_EQ(node.disk().quorum_state, before);
  EXPECT_EQ(node.core().leader_id(), NodeId(2));
}

TEST(TransitionsTest, ProspectiveReturnsToItsLeaderWhenRefusedOrOutOfTime) {
  for (const bool refused : {true, false}) {
    TestNode node = NodeAt(Role::kFollower);
    LetTimeEnd(node);
    if (refused) {
      RefusePreVotes(node);
    } else {
      LetTimeEnd(node);
    }
    EXPECT_EQ(node.role(), Role::kFollower);
    EXPECT_EQ(node.epoch(), Epoch(3));
  }
}

TEST(TransitionsTest, ProspectiveWithoutLeaderIsUnattachedWhenRefused) {
  TestNode node = NodeAt(Role::kProspective);
  RefusePreVotes(node);
  EXPECT_EQ(node.role(), Role::kUnattached);
  EXPECT_EQ(node.epoch(), Epoch(3));
}

TEST(TransitionsTest, OnlyAWonPreVoteRaisesTheEpoch) {
  TestNode node = NodeAt(Role::kCandidate);
  EXPECT_EQ(node.disk().quorum_state,
            (QuorumState{.epoch = Epoch(4), .voted_key = KeyOf(1), .leader_id = {}}));
}

TEST(TransitionsTest, CandidateLeadsWithAMajority) {
  TestNode node = NodeAt(Role::kLeader);
  EXPECT_EQ(node.disk().quorum_state,
            (QuorumState{.epoch = Epoch(4), .voted_key = KeyOf(1), .leader_id = NodeId(1)}));
  EXPECT_EQ(std::get<Leader>(node.core().state().role).high_watermark, std::nullopt);
}

TEST(TransitionsTest, CandidateIsProspectiveWhenItsTimerEnds) {
  TestNode node = NodeAt(Role::kCandidate);
  const QuorumState before = node.disk().quorum_state;
  LetTimeEnd(node);
  EXPECT_EQ(node.role(), Role::kProspective);
  EXPECT_EQ(node.disk().quorum_state, before);
}

TEST(TransitionsTest, LeaderResignsInItsEpochAndItsStateIsKept) {
  TestNode node = NodeAt(Role::kLeader);
  const QuorumState before = node.disk().quorum_state;
  LetTimeEnd(node);  // check-quorum
  EXPECT_EQ(node.role(), Role::kResigned);
  EXPECT_EQ(node.disk().quorum_state, before);
}

TEST(TransitionsTest, ResignedLeavesWithTheNextEpoch) {
  TestNode node = NodeAt(Role::kResigned);
  LetTimeEnd(node);
  EXPECT_TRUE(node.has_trace(RaftTraceKind::kBecameUnattached));
  EXPECT_EQ(node.disk().quorum_state, (QuorumState{.epoch = Epoch(4)}));
}

TEST(TransitionsTest, LeadershipIsAnnouncedOnceForEachChange) {
  TestNode node = NodeAt(Role::kUnattached);
  node.TakeLeadership();
  node.WinElection();
  auto changes = node.TakeLeadership();
  ASSERT_EQ(changes.size(), 2u);  // epoch 4 unknown, then ours
  EXPECT_EQ(changes[0].leader_id, std::nullopt);
  EXPECT_TRUE(changes[1].is_leader);
  EXPECT_EQ(changes[1].epoch_start_offset, Offset(2));
  node.Receive(node.FetchFrom(2));
  node.Append("a");
  EXPECT_TRUE(node.TakeLeadership().empty());
}

// The impossible ones stop the process.
TEST(TransitionsDeathTest, RefusesWhatMustNotHappen) {
  const auto state_of = [](TestNode& node) -> RaftState& {
    return const_cast<RaftState&>(node.core().state());
  };
  TestNode follower = NodeAt(Role::kFollower);
  TestNode leader = NodeAt(Role::kLeader);
  TestNode observer(7, VotersUpTo(3));
  using ::testing::ExitedWithCode;
  EXPECT_EXIT(BecomeFollower(state_of(follower), Epoch(3), VoterOf(3)), ExitedWithCode(70),
              "leaders 2 and 3 in epoch 3");
  EXPECT_EXIT(BecomeFollower(state_of(follower), Epoch(2), VoterOf(3)), ExitedWithCode(70),
              "epoch 2 after 3");
  EXPECT_EXIT(BecomeFollower(state_of(follower), Epoch(9), VoterOf(1)), ExitedWithCode(70),
              "follower of itself");
  EXPECT_EXIT(BecomeProspective(state_of(leader)), ExitedWithCode(70), "leader of 4 campaigns");
  EXPECT_EXIT(BecomeCandidate(state_of(follower)), ExitedWithCode(70), "candidate from role");
  EXPECT_EXIT(BecomeLeader(state_of(follower)), ExitedWithCode(70), "leader from role");
  EXPECT_EXIT(BecomeResigned(state_of(follower)), ExitedWithCode(70), "follower resigns");
  EXPECT_EXIT(BecomeProspective(state_of(observer)), ExitedWithCode(70), "observer campaigns");
}

}  // namespace
}  // namespace kvorum::raft
