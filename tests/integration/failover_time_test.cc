// How soon writes go on after the leader's death. A program of its own, which ctest runs alone: the
// promise is about a machine that has time for it.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "tests/integration/test_util.h"

namespace kvorum::testing {
namespace {

using Clock = std::chrono::steady_clock;

// The promise: from the death of the leader to the next acknowledged write.
constexpr milliseconds kFailoverLimit{1000};
constexpr int kKills = 5;

milliseconds Since(Clock::time_point start) {
  return std::chrono::duration_cast<milliseconds>(Clock::now() - start);
}

std::string AllLogs(const Cluster& cluster) {
  std::string logs;
  for (int i = 0; i < cluster.size(); ++i) {
    logs += cluster.ReadLog(i);
  }
  return logs;
}

TEST(FailoverTimeTest, WritesGoOnWithinASecondOfTheLeadersDeathFiveTimesInARow) {
  Cluster cluster;
  cluster.StartAll();
  const auto client = cluster.MakeClient();
  Entries written;
  for (int round = 0; round < kKills; ++round) {
    const int leader = cluster.WaitForLeader();
    ASSERT_GE(leader, 0);
    const std::string before = fmt::format("before/{}", round);
    ASSERT_TRUE(PutUntilAcknowledged(*client, before, "x").ok());
    written[before] = "x";
    ASSERT_TRUE(AwaitConvergence(cluster).has_value());

    const Clock::time_point killed = Clock::now();
    cluster.Kill(leader);
    const std::string after = fmt::format("after/{}", round);
    const auto answer = PutUntilAcknowledged(*client, after, "y");
    const milliseconds elapsed = Since(killed);
    ASSERT_TRUE(answer.ok()) << client::ToText(answer.error());
    written[after] = "y";
    fmt::print("kill {} of node {}: next acknowledged write after {} ms (node {}, epoch {})\n",
               round + 1, leader + 1, elapsed.count(), answer->header().node_id(),
               answer->header().leader_epoch());
    EXPECT_NE(answer->header().node_id(), leader + 1);
    EXPECT_LT(elapsed, kFailoverLimit) << AllLogs(cluster);
    EXPECT_EQ(ListAll(*client), written);

    cluster.Start(leader);
  }
  ASSERT_TRUE(AwaitConvergence(cluster).has_value());
}

}  // namespace
}  // namespace kvorum::testing
