// A controller of one cluster whose list of voters names another cluster's controllers.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/integration/test_util.h"

namespace kvorum::testing {
namespace {

TEST(TwoClustersTest, AControllerThatWasToldForeignPeersDisturbsNobody) {
  ClusterOptions options = QuietOptions();
  options.run_flags.insert(options.run_flags.end(), {"--log-level", "debug"});
  Cluster cluster(options);
  cluster.StartAll();
  ASSERT_GE(cluster.WaitForLeader(), 0);
  const auto client = cluster.MakeClient();
  ASSERT_TRUE(client->PutEntry(MakePut("k", "v")).ok());
  const auto before = AwaitConvergence(cluster);
  ASSERT_TRUE(before.has_value());

  // The same node ids and directory ids and the true addresses: only the cluster is another.
  std::string voters;
  const std::vector<int> ports = FreePorts(2);
  const std::string stray_controller = fmt::format("127.0.0.1:{}", ports[1]);
  for (int i = 0; i < cluster.size(); ++i) {
    voters += fmt::format("{}{}@{}:00000000-0000-4000-8000-{:012d}", i == 0 ? "" : ",", i + 1,
                          i == 2 ? stray_controller : cluster.controller_endpoint(i), i + 1);
  }
  const std::string data_dir = cluster.path() + "/stray";
  const CommandResult formatted =
      RunCommand({Cluster::BinaryPath("kvorumd"), "format", "--data-dir", data_dir, "--cluster-id",
                  "stray", "--node-id", "3", "--initial-voters", voters});
  ASSERT_EQ(formatted.exit_code, 0) << formatted.output;
  const std::string log = cluster.path() + "/stray.log";
  Process stray({Cluster::BinaryPath("kvorumd"), "run", "--data-dir", data_dir, "--log-level",
                 "debug", "--client-listener", fmt::format("127.0.0.1:{}", ports[0]),
                 "--controller-listener", stray_controller, "--http-listener", "off"},
                log);
  // It has asked both for their votes, and was told that it is a stranger.
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(Eventually([&] { return Contains(cluster.ReadLog(i), "not for this replica"); }))
        << cluster.ReadLog(i) << ReadFile(log);
  }
  ASSERT_TRUE(Eventually([&] { return Contains(ReadFile(log), "refuses our identity"); }))
      << ReadFile(log);
  const auto after = AwaitConvergence(cluster);
  ASSERT_TRUE(after.has_value());
  EXPECT_EQ(after->leader_epoch, before->leader_epoch);
  EXPECT_EQ(after->state_hash, before->state_hash);
  EXPECT_TRUE(client->PutEntry(MakePut("k", "w")).ok());
  EXPECT_FALSE(Contains(ReadFile(log), "is the active controller")) << ReadFile(log);
}

}  // namespace
}  // namespace kvorum::testing
