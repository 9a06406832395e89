// Snapshots between real processes.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <string>
#include <vector>

#include "tests/integration/stream_reader.h"
#include "tests/integration/test_util.h"

namespace kvorum::testing {
namespace {

using ::testing::IsEmpty;

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

// What the log has forgotten, streams have too.
ClusterOptions SmallLogsAndTails() {
  ClusterOptions options = SmallLogs();
  options.run_flags.insert(options.run_flags.end(), {"--stream-tail-max-bytes", "65536"});
  return options;
}

// Writes until the log of every node of `indexes` begins behind `offset`.
bool WriteUntilForgotten(Cluster& cluster, client::ControllerClient& client, int64_t offset,
                         const std::vector<int>& indexes) {
  return Eventually([&, i = 0]() mutable {
    for (int batch = 0; batch < 20; ++batch) {
      EXPECT_TRUE(
          client.PutEntry(MakePut(fmt::format("k/{}", i++ % 50), std::string(5'000, 'v'))).ok());
    }
    return std::all_of(indexes.begin(), indexes.end(), [&](int index) {
      const auto answer = cluster.Describe(index);
      return answer.has_value() && answer->log_start_offset() > offset;
    });
  });
}

TEST(SnapshotTest, ASubscriberWhosePlaceInTheLogIsGoneIsResetOnEveryNode) {
  Cluster cluster(SmallLogsAndTails());
  cluster.StartAll();
  const auto client = cluster.MakeClient();
  ASSERT_TRUE(client->PutEntry(MakePut("old", "v")).ok());
  const auto before = client->ListBrokers({});
  ASSERT_TRUE(before.ok());
  const v1::Position old = before->header().applied();
  ASSERT_TRUE(WriteUntilForgotten(cluster, *client, old.offset(), {0, 1, 2}));
  const auto state = AwaitConvergence(cluster);
  ASSERT_TRUE(state.has_value());
  const Entries expected = ListAll(*client);
  for (int i = 0; i < cluster.size(); ++i) {
    StreamReader reader(cluster.endpoint(i), old);
    ASSERT_TRUE(reader.AwaitOffset(state->applied)) << "node " << i + 1;
    reader.Stop();
    const StreamChecker seen = reader.Snapshot();
    EXPECT_THAT(seen.problems(), IsEmpty()) << "node " << i + 1;
    EXPECT_EQ(seen.resets(), 1) << "node " << i + 1;
    EXPECT_EQ(seen.last_reset(), v1::Reset::REASON_COMPACTED) << "node " << i + 1;
    EXPECT_EQ(seen.snapshots(), 1) << "node " << i + 1;
    EXPECT_EQ(seen.entries(), expected) << "node " << i + 1;
  }
}

TEST(SnapshotTest, AnOpenStreamGoesOnWithASnapshotThatItsNodeHadToInstall) {
  Cluster cluster(SmallLogsAndTails());
  cluster.StartAll();
  const int leader = cluster.WaitForLeader();
  ASSERT_GE(leader, 0);
  const auto client = cluster.MakeClient();
  ASSERT_TRUE(client->PutEntry(MakePut("old", "v")).ok());
  ASSERT_TRUE(AwaitConvergence(cluster).has_value());
  const int follower = (leader + 1) % cluster.size();
  StreamReader reader(cluster.endpoint(follower));
  const auto before = cluster.Describe(follower);
  ASSERT_TRUE(before.has_value());
  ASSERT_TRUE(reader.AwaitOffset(before->header().applied().offset()));
  cluster.process(follower).Signal(SIGSTOP);
  const bool is_forgotten =
      WriteUntilForgotten(cluster, *client, before->log_end_offset(), {leader});
  cluster.process(follower).Signal(SIGCONT);
  ASSERT_TRUE(is_forgotten);
  const auto state = AwaitConvergence(cluster);
  ASSERT_TRUE(state.has_value());
  ASSERT_TRUE(reader.AwaitOffset(state->applied));
  reader.Stop();
  const StreamChecker seen = reader.Snapshot();
  EXPECT_THAT(seen.problems(), IsEmpty());
  EXPECT_EQ(seen.resets(), 1);
  EXPECT_EQ(seen.last_reset(), v1::Reset::REASON_COMPACTED);
  EXPECT_EQ(seen.entries(), ListAll(*client));
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
