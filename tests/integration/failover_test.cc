// The leader dies: who takes over, how soon, and what is left of what was acknowledged.

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "tests/integration/test_util.h"

namespace kvorum::testing {
namespace {

using Clock = std::chrono::steady_clock;

constexpr milliseconds kHandOverLimit{1000};

milliseconds Since(Clock::time_point start) {
  return std::chrono::duration_cast<milliseconds>(Clock::now() - start);
}

TEST(FailoverTest, KeepsEveryAcknowledgedWriteAcrossDeathsOfTheLeaderUnderLoad) {
  Cluster cluster;
  cluster.StartAll();
  ASSERT_GE(cluster.WaitForLeader(), 0);
  WriteLoad load(cluster, 4, "load/");
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(load.AwaitMore(50));
    const int leader = cluster.WaitForLeader();
    ASSERT_GE(leader, 0);
    cluster.Kill(leader);
    ASSERT_TRUE(load.AwaitMore(50));
    cluster.Start(leader);
    ASSERT_TRUE(AwaitConvergence(cluster).has_value() || load.AwaitMore(1));
  }
  load.Stop();
  ExpectHolds(ListAll(*cluster.MakeClient()), load, "load/");
}

TEST(FailoverTest, AControllerThatWasKilledCatchesUpWhenItReturns) {
  Cluster cluster(QuietOptions());
  cluster.StartAll();
  const int leader = cluster.WaitForLeader();
  ASSERT_GE(leader, 0);
  const auto client = cluster.MakeClient();
  ASSERT_TRUE(client->PutEntry(MakePut("before", "x")).ok());
  cluster.Kill(leader);
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(PutUntilAcknowledged(*client, fmt::format("meanwhile/{}", i), "y").ok());
  }
  cluster.Start(leader);
  const auto common = AwaitConvergence(cluster);
  ASSERT_TRUE(common.has_value());
  EXPECT_GT(common->applied, 200);

  v1::GetEntryRequest read;
  read.set_key("meanwhile/199");
  read.mutable_options()->set_consistency(v1::CONSISTENCY_LOCAL);
  client::CallOptions there;
  there.endpoint = cluster.endpoint(leader);
  const auto answer = client->GetEntry(read, there);
  ASSERT_TRUE(answer.ok()) << client::ToText(answer.error());
  EXPECT_EQ(answer->entry().value(), "y");
  EXPECT_EQ(answer->header().node_id(), leader + 1);
}

TEST(FailoverTest, AMinorityNeitherWritesNorReadsLinearizablyButReadsLocally) {
  Cluster cluster;
  cluster.StartAll();
  const int leader = cluster.WaitForLeader();
  ASSERT_GE(leader, 0);
  ASSERT_TRUE(cluster.MakeClient()->PutEntry(MakePut("k", "v")).ok());
  ASSERT_TRUE(AwaitConvergence(cluster).has_value());
  for (int i = 0; i < cluster.size(); ++i) {
    if (i != leader) {
      cluster.Kill(i);
    }
  }
  // It led until now, so it may still think so: nothing may be acknowledged all the same.
  const auto client = cluster.MakeClient(milliseconds(2500));
  const auto write = client->PutEntry(MakePut("lonely", "v"));
  ASSERT_FALSE(write.ok());
  v1::GetEntryRequest read;
  read.set_key("k");
  ASSERT_FALSE(client->GetEntry(read).ok());

  read.mutable_options()->set_consistency(v1::CONSISTENCY_LOCAL);
  client::CallOptions there;
  there.endpoint = cluster.endpoint(leader);
  const auto local = client->GetEntry(read, there);
  ASSERT_TRUE(local.ok()) << client::ToText(local.error());
  EXPECT_EQ(local->entry().value(), "v");

  for (int i = 0; i < cluster.size(); ++i) {
    if (i != leader) {
      cluster.Start(i);
    }
  }
  EXPECT_TRUE(cluster.MakeClient()->PutEntry(MakePut("together", "v")).ok());
}

// It does not know that time has passed, and believes that it leads: no clock may be trusted.
TEST(FailoverTest, ALeaderThatWasFrozenServesNothingStaleWhenItThaws) {
  Cluster cluster;
  cluster.StartAll();
  const int frozen = cluster.WaitForLeader();
  ASSERT_GE(frozen, 0);
  const auto client = cluster.MakeClient();
  ASSERT_TRUE(client->PutEntry(MakePut("k", "old")).ok());
  ASSERT_TRUE(AwaitConvergence(cluster).has_value());
  cluster.process(frozen).Signal(SIGSTOP);
  ASSERT_TRUE(Eventually([&] {
    for (int i = 0; i < cluster.size(); ++i) {
      const auto answer = i == frozen ? std::nullopt : cluster.Describe(i);
      if (answer.has_value() && answer->active_controller()) {
        return true;
      }
    }
    return false;
  }));
  // A new client: the old one would wait for the frozen node until its deadline.
  ASSERT_TRUE(PutUntilAcknowledged(*cluster.MakeClient(), "k", "new").ok());

  v1::GetEntryRequest read;
  read.set_key("k");
  client::CallOptions there;
  there.endpoint = cluster.endpoint(frozen);
  there.timeout = seconds(5);
  cluster.process(frozen).Signal(SIGCONT);
  bool served = false;
  for (int i = 0; i < 20; ++i) {
    const auto answer = client->GetEntry(read, there);
    EXPECT_TRUE(!answer.ok() || answer->entry().value() == "new");
    served |= answer.ok();
  }
  const auto write = client->PutEntry(MakePut("k", "from the past"), there);
  EXPECT_TRUE(!write.ok() || served) << "it led again, or it refused";
  ASSERT_TRUE(AwaitConvergence(cluster).has_value());
  EXPECT_EQ(ListAll(*client).at("k"), write.ok() ? "from the past" : "new");
}

TEST(FailoverTest, AnOrderlyStopOfTheLeaderHandsOverFasterThanAnElectionTimeout) {
  Cluster cluster;
  cluster.StartAll();
  const int leader = cluster.WaitForLeader();
  ASSERT_GE(leader, 0);
  const auto client = cluster.MakeClient();
  ASSERT_TRUE(client->PutEntry(MakePut("k", "v")).ok());
  ASSERT_TRUE(AwaitConvergence(cluster).has_value());
  const Clock::time_point asked = Clock::now();
  cluster.process(leader).Signal(SIGTERM);
  ASSERT_TRUE(Eventually([&] {
    for (int i = 0; i < cluster.size(); ++i) {
      const auto answer = i == leader ? std::nullopt : cluster.Describe(i);
      if (answer.has_value() && answer->active_controller()) {
        return true;
      }
    }
    return false;
  }));
  const milliseconds elapsed = Since(asked);
  EXPECT_EQ(cluster.process(leader).Wait(), 0);
  fmt::print("hand-over took {} ms\n", elapsed.count());
  EXPECT_LT(elapsed, kHandOverLimit);
  EXPECT_TRUE(PutUntilAcknowledged(*client, "k", "w").ok());
}

}  // namespace
}  // namespace kvorum::testing
