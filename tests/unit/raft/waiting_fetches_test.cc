#include "server/raft/waiting_fetches.h"

#include <gtest/gtest.h>

#include "server/raft/replica_progress.h"
#include "tests/protocol/raft_harness.h"

namespace kvorum::raft {
namespace {

WaitingFetch FetchOf(int replica, int deadline_ms) {
  WaitingFetch fetch;
  fetch.token = RequestToken(static_cast<uint64_t>(replica));
  fetch.replica = KeyOf(replica);
  fetch.deadline = TimePoint(milliseconds(deadline_ms));
  return fetch;
}

TEST(WaitingFetchesTest, KnowsItsEarliestDeadline) {
  WaitingFetches fetches;
  EXPECT_EQ(fetches.next_deadline(), kNever);
  fetches.Add(FetchOf(1, 50));
  fetches.Add(FetchOf(2, 20));
  EXPECT_EQ(fetches.next_deadline(), TimePoint(milliseconds(20)));
}

TEST(WaitingFetchesTest, TakesTheOneOfAReplicaOnce) {
  WaitingFetches fetches;
  fetches.Add(FetchOf(1, 50));
  EXPECT_FALSE(fetches.Take(KeyOf(1, /*disk=*/1)).has_value());
  EXPECT_TRUE(fetches.Take(KeyOf(1)).has_value());
  EXPECT_FALSE(fetches.Take(KeyOf(1)).has_value());
}

TEST(WaitingFetchesTest, TakesThoseWantedInOrderOfArrival) {
  WaitingFetches fetches;
  for (const int id : {3, 1, 2}) {
    fetches.Add(FetchOf(id, id));
  }
  const auto taken = fetches.TakeIf([](const WaitingFetch& f) { return f.replica != KeyOf(1); });
  ASSERT_EQ(taken.size(), 2u);
  EXPECT_EQ(taken[0].replica, KeyOf(3));
  EXPECT_EQ(taken[1].replica, KeyOf(2));
  EXPECT_EQ(fetches.size(), 1u);
  EXPECT_EQ(fetches.TakeAll().size(), 1u);
  EXPECT_TRUE(fetches.empty());
}

TEST(WaitingFetchesDeathTest, RefusesASecondOfTheSameReplica) {
  WaitingFetches fetches;
  fetches.Add(FetchOf(1, 50));
  EXPECT_EXIT(fetches.Add(FetchOf(1, 60)), ::testing::ExitedWithCode(70), "waits twice");
}

// consensus.md §2.6, "LastCaughtUp rule".
TEST(ReplicaProgressTest, IsCaughtUpAtTheLeadersEndOfNowOrOfTheFetchBefore) {
  const auto at = [](int ms) { return TimePoint(milliseconds(ms)); };
  ReplicaProgress progress;
  progress.OnFetch(at(1), Offset(3), Offset(5));
  EXPECT_EQ(progress.last_caught_up(), std::nullopt);
  progress.OnFetch(at(2), Offset(5), Offset(9));  // reached what the leader had at 1
  EXPECT_EQ(progress.last_caught_up(), at(1));
  progress.OnFetch(at(3), Offset(6), Offset(12));  // short of the leader's 9 at 2
  EXPECT_EQ(progress.last_caught_up(), at(1));
  progress.OnFetch(at(4), Offset(12), Offset(12));
  EXPECT_EQ(progress.last_caught_up(), at(4));
  EXPECT_EQ(progress.log_end_offset(), Offset(12));
}

TEST(ReplicaProgressTest, RoundsNeverGoBack) {
  ReplicaProgress progress;
  progress.OnContact(TimePoint(), 4);
  progress.OnContact(TimePoint(milliseconds(1)), 2);
  EXPECT_EQ(progress.round(), 4u);
  EXPECT_EQ(progress.last_contact(), TimePoint(milliseconds(1)));
}

}  // namespace
}  // namespace kvorum::raft
