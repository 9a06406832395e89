#include "server/raft/voter_set.h"

#include <gtest/gtest.h>

#include "server/raft/raft_state.h"
#include "server/raft/voter_history.h"
#include "tests/protocol/raft_harness.h"

namespace kvorum::raft {
namespace {

TEST(VoterSetTest, ContainsAKeyOnlyWithItsDisk) {
  const VoterSet voters = VotersUpTo(3);
  EXPECT_TRUE(voters.Contains(KeyOf(2)));
  EXPECT_FALSE(voters.Contains(KeyOf(2, /*disk=*/1)));
  EXPECT_FALSE(voters.Contains(KeyOf(4)));
  EXPECT_EQ(voters.Find(NodeId(3))->address.port, 7403);
  EXPECT_EQ(voters.Find(NodeId(4)), nullptr);
}

TEST(VoterSetTest, AnyTwoMajoritiesOverlap) {
  for (int size = 1; size <= 9; ++size) {
    const VoterSet voters = VotersUpTo(size);
    EXPECT_GT(2 * voters.majority(), voters.size());
    EXPECT_LE(2 * (voters.majority() - 1), voters.size());
  }
}

TEST(VoterSetDeathTest, RefusesANodeThatIsListedTwice) {
  EXPECT_EXIT(VoterSet({VoterOf(1), VoterOf(1)}), ::testing::ExitedWithCode(70), "listed twice");
}

TEST(VoterHistoryTest, NewestSetOfTheLogHoldsAndTruncationRestoresTheFormer) {
  VoterHistory history(VotersUpTo(1));
  EXPECT_FALSE(history.is_in_log());
  history.Append(Offset(3), VotersUpTo(3));
  history.Append(Offset(7), VotersUpTo(5));
  EXPECT_EQ(history.newest(), VotersUpTo(5));
  history.TruncateTo(Offset(8));
  EXPECT_EQ(history.newest(), VotersUpTo(5));
  history.TruncateTo(Offset(7));
  EXPECT_EQ(history.newest(), VotersUpTo(3));
  history.TruncateTo(Offset(0));
  EXPECT_EQ(history.newest(), VotersUpTo(1));
  EXPECT_FALSE(history.is_in_log());
}

// What a majority has reached is the ⌊n/2⌋+1-th largest (consensus.md §3.4).
TEST(MajorityValueTest, IsTheLargestValueThatAMajorityReaches) {
  struct Case {
    std::vector<int> ends;
    int reached;
  };
  for (const Case& c : {Case{{5}, 5}, Case{{5, 3}, 3}, Case{{5, 3, 1}, 3}, Case{{1, 5, 3}, 3},
                        Case{{9, 9, 0}, 9}, Case{{9, 0, 0}, 0}, Case{{4, 3, 2, 1}, 2},
                        Case{{5, 4, 3, 2, 1}, 3}, Case{{9, 9, 9, 0, 0}, 9}}) {
    const VoterSet voters = VotersUpTo(static_cast<int>(c.ends.size()));
    EXPECT_EQ(
        MajorityValue<int>(voters,
                           [&](const Voter& voter) {
                             return c.ends[static_cast<size_t>(voter.key.node_id.value() - 1)];
                           }),
        c.reached);
  }
}

TEST(ElectionTallyTest, CountsGrantsAndKnowsWhenItIsLost) {
  const VoterSet voters = VotersUpTo(5);
  ElectionTally tally;
  tally.answers[NodeId(1)] = true;
  EXPECT_FALSE(tally.is_won(voters));
  EXPECT_FALSE(tally.is_lost(voters));
  tally.answers[NodeId(2)] = false;
  tally.answers[NodeId(3)] = false;
  EXPECT_FALSE(tally.is_lost(voters));
  tally.answers[NodeId(4)] = false;
  EXPECT_TRUE(tally.is_lost(voters));
  tally.answers[NodeId(3)] = true;
  tally.answers[NodeId(5)] = true;
  EXPECT_TRUE(tally.is_won(voters));
}

TEST(BackoffTest, DoublesUpToItsLimit) {
  const RaftConfig config = TestConfig(1, VotersUpTo(1));
  EXPECT_EQ(BackoffAfter(config, 1), milliseconds(20));
  EXPECT_EQ(BackoffAfter(config, 2), milliseconds(40));
  EXPECT_EQ(BackoffAfter(config, 5), milliseconds(320));
  EXPECT_EQ(BackoffAfter(config, 4'000'000), milliseconds(320));
}

}  // namespace
}  // namespace kvorum::raft
