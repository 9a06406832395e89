// Everything stops, politely or not, and comes back.

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "tests/integration/test_util.h"

namespace kvorum::testing {
namespace {

TEST(RestartTest, EveryAcknowledgedWriteSurvivesTheDeathOfAllControllersAtOnce) {
  Cluster cluster;
  cluster.StartAll();
  ASSERT_GE(cluster.WaitForLeader(), 0);
  WriteLoad load(cluster, 4, "load/");
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE(load.AwaitMore(100));
    for (int i = 0; i < cluster.size(); ++i) {
      cluster.process(i).Signal(SIGKILL);
    }
    for (int i = 0; i < cluster.size(); ++i) {
      EXPECT_EQ(cluster.process(i).Wait(), 128 + SIGKILL);
    }
    cluster.StartAll();
  }
  ASSERT_TRUE(load.AwaitMore(20));
  load.Stop();
  ASSERT_TRUE(AwaitConvergence(cluster).has_value());
  ExpectHolds(ListAll(*cluster.MakeClient()), load, "load/");
}

TEST(RestartTest, AnOrderlyStopOfAllUnderLoadExitsWithZeroAndLosesNothing) {
  Cluster cluster;
  cluster.StartAll();
  ASSERT_GE(cluster.WaitForLeader(), 0);
  WriteLoad load(cluster, 2, "load/");
  ASSERT_TRUE(load.AwaitMore(100));
  for (int i = 0; i < cluster.size(); ++i) {
    cluster.process(i).Signal(SIGTERM);
  }
  for (int i = 0; i < cluster.size(); ++i) {
    EXPECT_EQ(cluster.process(i).Wait(), 0) << cluster.ReadLog(i);
  }
  cluster.StartAll();
  ASSERT_TRUE(load.AwaitMore(20));
  load.Stop();
  ASSERT_TRUE(AwaitConvergence(cluster).has_value());
  ExpectHolds(ListAll(*cluster.MakeClient()), load, "load/");
}

TEST(RestartTest, AClusterThatIsRestartedOneByOneServesAllAlong) {
  Cluster cluster;
  cluster.StartAll();
  ASSERT_GE(cluster.WaitForLeader(), 0);
  WriteLoad load(cluster, 2, "load/");
  for (int i = 0; i < cluster.size(); ++i) {
    ASSERT_TRUE(load.AwaitMore(20));
    EXPECT_EQ(cluster.Stop(i), 0) << cluster.ReadLog(i);
    ASSERT_TRUE(load.AwaitMore(20, seconds(5)));
    cluster.Start(i);
    ASSERT_TRUE(Eventually([&] {
      const auto answer = cluster.Describe(i);
      return answer.has_value() && answer->header().leader_id() > 0 && answer->high_watermark() > 0;
    }));
  }
  load.Stop();
  ASSERT_TRUE(AwaitConvergence(cluster).has_value());
  ExpectHolds(ListAll(*cluster.MakeClient()), load, "load/");
}

TEST(RestartTest, VersionsGoOnGrowingAfterARestart) {
  Cluster cluster(QuietOptions());
  cluster.StartAll();
  const auto client = cluster.MakeClient();
  const auto first = client->PutEntry(MakePut("k", "1"));
  ASSERT_TRUE(first.ok()) << client::ToText(first.error());
  const auto before = AwaitConvergence(cluster);
  ASSERT_TRUE(before.has_value());
  for (int i = 0; i < cluster.size(); ++i) {
    cluster.Kill(i);
  }
  cluster.StartAll();
  const auto read = client->GetEntry([] {
    v1::GetEntryRequest request;
    request.set_key("k");
    return request;
  }());
  ASSERT_TRUE(read.ok()) << client::ToText(read.error());
  EXPECT_EQ(read->entry().version(), first->version());
  const auto after = AwaitConvergence(cluster);
  ASSERT_TRUE(after.has_value());
  EXPECT_EQ(after->state_hash, before->state_hash);
  EXPECT_GT(after->leader_epoch, before->leader_epoch);
  const auto second = PutUntilAcknowledged(*client, "k", "2");
  ASSERT_TRUE(second.ok());
  EXPECT_GT(second->version(), first->version());
}

}  // namespace
}  // namespace kvorum::testing
