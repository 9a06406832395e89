// Writes that wait for brokers which are silent, leave, refuse, or hear of it from another leader
// (api.md §3).

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/integration/fake_broker.h"
#include "tests/integration/live_broker.h"
#include "tests/integration/test_util.h"

namespace kvorum::testing {
namespace {

using ::testing::HasSubstr;
using Status = v1::Propagation::BrokerStatus;
using PutResult = client::Result<v1::PutEntryResponse>;

v1::PutEntryRequest WaitingPut(std::string_view key, seconds timeout) {
  v1::PutEntryRequest request = MakePut(key, "v");
  request.mutable_options()->set_wait(v1::WAIT_APPLIED_BY_ALL);
  request.mutable_options()->mutable_wait_timeout()->set_seconds(timeout.count());
  return request;
}

ClusterOptions WithSessionsOf(milliseconds timeout) {
  ClusterOptions options;
  options.run_flags = {"--broker-session-timeout-ms", fmt::format("{}", timeout.count())};
  return options;
}

// A write that waits, in a thread of its own.
class PendingPut {
 public:
  PendingPut(client::ControllerClient& client, v1::PutEntryRequest request)
      : thread_([this, &client, request = std::move(request)] {
          result_ = std::make_unique<PutResult>(client.PutEntry(request));
        }) {}
  ~PendingPut() { Finish(); }

  const PutResult& Finish() {
    if (thread_.joinable()) {
      thread_.join();
    }
    return *result_;
  }

 private:
  std::unique_ptr<PutResult> result_;
  std::thread thread_;
};

// What one node says of a key.
struct Local {
  int64_t version = -1;  // -1: it has none
  int64_t applied = -1;
};

Local ReadLocal(client::ControllerClient& client, const std::string& endpoint,
                const std::string& key) {
  v1::GetEntryRequest request;
  request.set_key(key);
  request.mutable_options()->set_consistency(v1::CONSISTENCY_LOCAL);
  client::CallOptions there;
  there.endpoint = endpoint;
  const auto answer = client.GetEntry(request, there);
  return answer.ok() ? Local{answer->entry().version(), answer->header().applied().offset()}
                     : Local{};
}

// Waits until `key` is committed, as one sees by a node's having applied it.
Local AwaitLocal(client::ControllerClient& client, const std::string& endpoint,
                 const std::string& key) {
  Local local;
  EXPECT_TRUE(Eventually([&] {
    local = ReadLocal(client, endpoint, key);
    return local.version >= 0;
  }));
  return local;
}

TEST(WaitingWritesTest, AWaitOutlivesTheLeaderThatTookTheWrite) {
  Cluster cluster(WithSessionsOf(seconds(600)));
  cluster.StartAll();
  ASSERT_GE(cluster.WaitForLeader(), 0);
  const auto client = cluster.MakeClient(seconds(30));
  const auto other = cluster.MakeClient();
  FakeBroker broker(*other, 1);
  ASSERT_TRUE(broker.Register());
  ASSERT_TRUE(broker.BecomeUnfenced());

  PendingPut put(*client, WaitingPut("k", seconds(20)));
  const int leader = cluster.WaitForLeader();
  const int follower = (leader + 1) % cluster.size();
  const Local before = AwaitLocal(*other, cluster.endpoint(follower), "k");
  cluster.Kill(leader);
  ASSERT_GE(cluster.WaitForLeader(), 0);
  ASSERT_TRUE(Eventually([&] { return broker.Heartbeat(before.applied).ok(); }));
  const PutResult& answer = put.Finish();
  ASSERT_TRUE(answer.ok()) << client::ToText(answer.error());
  const v1::Propagation& propagation = answer->header().propagation();
  EXPECT_EQ(propagation.outcome(), v1::Propagation::OUTCOME_APPLIED)
      << propagation.ShortDebugString();
  ASSERT_EQ(propagation.brokers_size(), 1);
  EXPECT_EQ(propagation.brokers(0).state(), Status::STATE_APPLIED);
  EXPECT_EQ(ReadLocal(*other, cluster.endpoint(follower), "k").version, before.version)
      << "it was not carried out twice";
}

TEST(WaitingWritesTest, ABrokerThatCannotApplyItIsReportedWithItsWords) {
  Cluster cluster(WithSessionsOf(seconds(600)));
  cluster.StartAll();
  ASSERT_GE(cluster.WaitForLeader(), 0);
  const auto client = cluster.MakeClient(seconds(30));
  const auto other = cluster.MakeClient();
  LiveBroker good(cluster, 1, 0);
  ASSERT_TRUE(good.Start());
  FakeBroker refuses(*other, 2);
  ASSERT_TRUE(refuses.Register());
  ASSERT_TRUE(refuses.BecomeUnfenced());

  PendingPut put(*client, WaitingPut("k", seconds(300)));  // nobody waits for that
  const Local leader = AwaitLocal(*other, cluster.endpoint(cluster.WaitForLeader()), "k");
  ASSERT_TRUE(refuses.Reject(leader.version, "no room for it"));
  const PutResult& answer = put.Finish();
  ASSERT_TRUE(answer.ok()) << client::ToText(answer.error());
  const v1::Propagation& propagation = answer->header().propagation();
  EXPECT_EQ(propagation.outcome(), v1::Propagation::OUTCOME_NOT_REACHABLE)
      << propagation.ShortDebugString();
  ASSERT_EQ(propagation.brokers_size(), 2);
  EXPECT_EQ(propagation.brokers(0).state(), Status::STATE_APPLIED);
  EXPECT_EQ(propagation.brokers(1).state(), Status::STATE_REJECTED);
  EXPECT_THAT(propagation.brokers(1).message(), HasSubstr("no room for it"));

  const auto brokers = other->ListBrokers({});
  ASSERT_TRUE(brokers.ok());
  EXPECT_THAT(brokers->brokers(1).last_rejection(), HasSubstr("no room for it"));
  const CommandResult lag = RunCommand(
      {Cluster::BinaryPath("kvorumctl"), "--endpoints", cluster.endpoints(), "broker", "lag"});
  EXPECT_EQ(lag.exit_code, 0);
  EXPECT_THAT(lag.output, HasSubstr("no room for it"));
}

TEST(WaitingWritesTest, WhoIsFencedOrRemovedMeanwhileIsWaitedForNoLonger) {
  Cluster cluster(WithSessionsOf(seconds(2)));
  cluster.StartAll();
  ASSERT_GE(cluster.WaitForLeader(), 0);
  const auto client = cluster.MakeClient(seconds(60));
  const auto other = cluster.MakeClient();
  LiveBroker good(cluster, 1, 0);
  ASSERT_TRUE(good.Start());
  FakeBroker silent(*other, 2);
  ASSERT_TRUE(silent.Register());
  ASSERT_TRUE(silent.BecomeUnfenced());
  {
    PendingPut put(*client, WaitingPut("fenced", seconds(300)));
    const PutResult& answer = put.Finish();
    ASSERT_TRUE(answer.ok()) << client::ToText(answer.error());
    const v1::Propagation& propagation = answer->header().propagation();
    EXPECT_EQ(propagation.outcome(), v1::Propagation::OUTCOME_APPLIED)
        << propagation.ShortDebugString();
    ASSERT_EQ(propagation.brokers_size(), 2);
    EXPECT_EQ(propagation.brokers(0).state(), Status::STATE_APPLIED);
    EXPECT_EQ(propagation.brokers(1).state(), Status::STATE_FENCED_MEANWHILE);
  }
  FakeBroker leaves(*other, 3);
  ASSERT_TRUE(leaves.Register());
  ASSERT_TRUE(leaves.BecomeUnfenced());
  PendingPut put(*client, WaitingPut("removed", seconds(300)));
  AwaitLocal(*other, cluster.endpoint(cluster.WaitForLeader()), "removed");
  v1::UnregisterBrokerRequest unregister;
  unregister.set_broker_id(3);
  ASSERT_TRUE(other->UnregisterBroker(unregister).ok());
  const PutResult& answer = put.Finish();
  ASSERT_TRUE(answer.ok()) << client::ToText(answer.error());
  EXPECT_EQ(answer->header().propagation().outcome(), v1::Propagation::OUTCOME_APPLIED)
      << answer->header().propagation().ShortDebugString();
}

}  // namespace
}  // namespace kvorum::testing
