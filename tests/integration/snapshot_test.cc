// Snapshots between real processes.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/integration/test_util.h"

namespace kvorum::testing {
namespace {

// Without a change of leadership nobody waits for longer than this, on any machine that runs tests.
constexpr milliseconds kNoDisturbance{1000};

ClusterOptions SmallLogs() {
  ClusterOptions options = QuietOptions();
  options.run_flags.insert(options.run_flags.end(), {"--snapshot-max-log-bytes", "65536",
                                                     "--log-retention-bytes", "131072"});
  return options;
}

TEST(SnapshotTest, WhoWasDownForTooLongComesBackThroughASnapshotWithoutDisturbingWrites) {
  Cluster cluster(SmallLogs());
  cluster.StartAll();
  const int leader = cluster.WaitForLeader();
  ASSERT_GE(leader, 0);
  const auto client = cluster.MakeClient();
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(client->PutEntry(MakePut(fmt::format("k/{}", i), std::string(20'000, 'v'))).ok());
  }
  const int follower = (leader + 1) % cluster.size();
  const auto before = cluster.Describe(follower);
  ASSERT_TRUE(before.has_value());
  cluster.Kill(follower);
  WriteLoad load(cluster, 2, "load/");
  ASSERT_TRUE(Eventually([&] {
    const auto answer = cluster.Describe(leader);
    return answer.has_value() && answer->log_start_offset() > before->log_end_offset();
  }));
  load.TakeLongestGap();
  cluster.Start(follower);
  ASSERT_TRUE(Eventually([&] {
    const auto answer = cluster.Describe(follower);
    return answer.has_value() && answer->log_start_offset() > before->log_end_offset() &&
           answer->header().applied().offset() > answer->log_start_offset();
  })) << cluster.ReadLog(follower);
  const milliseconds gap = load.TakeLongestGap();
  load.Stop();
  fmt::print("longest time without an acknowledged write: {} ms\n", gap.count());
  EXPECT_LT(gap, kNoDisturbance);
  const auto after = AwaitConvergence(cluster);
  ASSERT_TRUE(after.has_value());
  EXPECT_EQ(after->leader_epoch, before->header().leader_epoch()) << "nobody called an election";
}

TEST(SnapshotTest, KvorumctlMakesOneOnEveryController) {
  Cluster cluster(QuietOptions());
  cluster.StartAll();
  const auto client = cluster.MakeClient();
  ASSERT_TRUE(client->PutEntry(MakePut("k", "v")).ok());
  ASSERT_TRUE(AwaitConvergence(cluster).has_value());
  const CommandResult made = RunCommand(
      {Cluster::BinaryPath("kvorumctl"), "--endpoints", cluster.endpoints(), "snapshot", "make"});
  EXPECT_EQ(made.exit_code, 0) << made.output;
  for (int i = 0; i < cluster.size(); ++i) {
    const auto answer = cluster.Describe(i);
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->latest_snapshot_end(), answer->header().applied().offset());
  }
}

}  // namespace
}  // namespace kvorum::testing
