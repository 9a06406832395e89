#include "client/controller_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/client/fake_controller.h"

namespace kvorum::client {
namespace {

using std::chrono::milliseconds;
using testing::FakeController;

// An endpoint where nobody listens: bound once, then closed.
std::string DeadEndpoint() { return FakeController().endpoint(); }

ControllerClient MakeClient(std::vector<std::string> endpoints, milliseconds timeout) {
  ControllerClientOptions options;
  options.cluster_id = "cluster-a";
  options.timeout = timeout;
  return ControllerClient(std::make_shared<Endpoints>(std::move(endpoints)), options);
}

grpc::Status PutOk(const v1::PutEntryRequest& /*request*/, v1::PutEntryResponse& response) {
  response.set_version(42);
  response.mutable_header()->set_node_id(2);
  response.mutable_header()->set_leader_id(2);
  return grpc::Status::OK;
}

TEST(ControllerClientTest, FollowsTheLeaderHintAtOnceAndStaysThere) {
  FakeController follower;
  FakeController leader;
  follower.on_put = [&](const auto&, auto&) { return testing::NotController(leader.endpoint()); };
  leader.on_put = PutOk;
  ControllerClient client = MakeClient({follower.endpoint()}, milliseconds(10'000));
  for (int i = 0; i < 3; ++i) {
    const auto answer = client.PutEntry({});
    ASSERT_TRUE(answer.ok()) << ToText(answer.error());
    EXPECT_EQ(answer->version(), 42);
  }
  EXPECT_EQ(follower.call_count(), 1);
  EXPECT_EQ(leader.call_count(), 3);
}

v1::Position PositionAt(uint64_t generation, int64_t offset) {
  v1::Position position;
  position.set_generation(generation);
  position.set_epoch(3);
  position.set_offset(offset);
  return position;
}

TEST(ControllerClientTest, ReadsOfAnyNodeReflectWhatThisClientHasSeenIfItAsksForThat) {
  FakeController node;
  int64_t end = 10;
  uint64_t generation = 7;
  node.on_put = [&](const auto& request, v1::PutEntryResponse& response) {
    PutOk(request, response);
    *response.mutable_header()->mutable_applied() = PositionAt(generation, end);
    return grpc::Status::OK;
  };
  std::vector<v1::ReadOptions> asked;  // the calls come one after the other
  node.on_get = [&](const v1::GetEntryRequest& request, v1::GetEntryResponse& response) {
    asked.push_back(request.options());
    *response.mutable_header()->mutable_applied() = PositionAt(generation, end);
    return grpc::Status::OK;
  };
  ControllerClientOptions options;
  options.reads_own_writes = true;
  ControllerClient client(std::make_shared<Endpoints>(std::vector<std::string>{node.endpoint()}),
                          options);
  v1::GetEntryRequest local;
  local.mutable_options()->set_consistency(v1::CONSISTENCY_LOCAL);

  EXPECT_FALSE(client.last_position().has_value());
  ASSERT_TRUE(client.GetEntry(local).ok());
  EXPECT_FALSE(asked.back().has_min_position()) << "nothing was seen before";
  end = 12;
  ASSERT_TRUE(client.PutEntry({}).ok());
  end = 11;  // a node that is behind
  ASSERT_TRUE(client.GetEntry(local).ok());
  EXPECT_EQ(asked.back().min_position().offset(), 12);
  EXPECT_EQ(client.last_position()->offset(), 12) << "never back";

  ASSERT_TRUE(client.GetEntry({}).ok());
  EXPECT_FALSE(asked.back().has_min_position()) << "a linearizable read needs none";
  v1::GetEntryRequest own = local;
  *own.mutable_options()->mutable_min_position() = PositionAt(7, 5);
  ASSERT_TRUE(client.GetEntry(own).ok());
  EXPECT_EQ(asked.back().min_position().offset(), 5) << "the caller's word counts";

  generation = 8;  // the cluster was recovered
  end = 4;
  ASSERT_TRUE(client.PutEntry({}).ok());
  EXPECT_EQ(client.last_position()->offset(), 4);
}

TEST(ControllerClientTest, SendsTheClusterIdUnlessTheRequestHasOne) {
  FakeController leader;
  std::mutex mutex;
  std::vector<std::string> seen;
  leader.on_get = [&](const v1::GetEntryRequest& request, auto&) {
    const std::lock_guard<std::mutex> lock(mutex);
    seen.push_back(request.cluster_id());
    return grpc::Status::OK;
  };
  ControllerClient client = MakeClient({leader.endpoint()}, milliseconds(10'000));
  v1::GetEntryRequest request;
  ASSERT_TRUE(client.GetEntry(request).ok());
  request.set_cluster_id("cluster-b");
  ASSERT_TRUE(client.GetEntry(request).ok());
  const std::lock_guard<std::mutex> lock(mutex);
  EXPECT_THAT(seen, ::testing::ElementsAre("cluster-a", "cluster-b"));
}

TEST(ControllerClientTest, RepeatsAWriteOfUnknownFateUnderTheSameRequestId) {
  FakeController leader;
  std::vector<std::string> ids;
  leader.on_put = [&](const v1::PutEntryRequest& request, auto&) {
    ids.push_back(request.options().request_id());
    return ids.size() % 2 == 1 ? testing::MakeStatus({grpc::StatusCode::UNKNOWN, "OUTCOME_UNKNOWN",
                                                      "unknown", "read_again_first"})
                               : grpc::Status::OK;
  };
  ControllerClient client = MakeClient({leader.endpoint()}, milliseconds(10'000));
  ASSERT_TRUE(client.PutEntry({}).ok());
  ASSERT_TRUE(client.PutEntry({}).ok());
  ASSERT_EQ(ids.size(), 4u);
  EXPECT_EQ(ids[0].size(), 36u);
  EXPECT_EQ(ids[0], ids[1]);
  EXPECT_EQ(ids[2], ids[3]);
  EXPECT_NE(ids[0], ids[2]);
}

TEST(ControllerClientTest, SendsTheCallersRequestIdAndNoneWhenOnlyValidating) {
  FakeController leader;
  std::vector<std::string> ids;
  leader.on_put = [&](const v1::PutEntryRequest& request, auto&) {
    ids.push_back(request.options().request_id());
    return grpc::Status::OK;
  };
  ControllerClient client = MakeClient({leader.endpoint()}, milliseconds(10'000));
  v1::PutEntryRequest request;
  request.mutable_options()->set_request_id("mine");
  ASSERT_TRUE(client.PutEntry(request).ok());
  request.mutable_options()->clear_request_id();
  request.mutable_options()->set_validate_only(true);
  ASSERT_TRUE(client.PutEntry(request).ok());
  EXPECT_THAT(ids, ::testing::ElementsAre("mine", ""));
}

TEST(ControllerClientTest, ReportsAWriteThatStaysLostAsUnknownAndNotAsUnavailable) {
  FakeController leader;
  leader.on_put = [](const auto&, auto&) {
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "connection reset");
  };
  ControllerClient client = MakeClient({leader.endpoint()}, milliseconds(500));
  const auto answer = client.PutEntry({});
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, grpc::StatusCode::UNKNOWN);
  EXPECT_EQ(answer.error().reason, v1::OUTCOME_UNKNOWN);
  EXPECT_EQ(answer.error().outcome, Outcome::kUnknown);
  EXPECT_GT(leader.call_count(), 1);
}

TEST(ControllerClientTest, AWaitThatALostLeaderCutShortGoesOnWithTheNextOne) {
  FakeController old_leader;
  FakeController next_leader;
  old_leader.on_put = [&](const v1::PutEntryRequest& request, v1::PutEntryResponse& response) {
    EXPECT_EQ(request.options().wait(), v1::WAIT_APPLIED_BY);
    v1::Propagation& propagation = *response.mutable_header()->mutable_propagation();
    *propagation.mutable_position() = testing::At(17, 3);
    propagation.set_outcome(v1::Propagation::OUTCOME_LEADER_CHANGED);
    response.set_version(42);
    return grpc::Status::OK;
  };
  old_leader.on_await_applied = [&](const auto&, auto&) {
    return testing::NotController(next_leader.endpoint());
  };
  int asked = 0;
  next_leader.on_await_applied = [&](const v1::AwaitAppliedRequest& request,
                                     v1::AwaitAppliedResponse& response) {
    EXPECT_EQ(request.cluster_id(), "cluster-a");
    EXPECT_EQ(request.position().offset(), 17);
    EXPECT_EQ(request.position().epoch(), 3);
    EXPECT_EQ(request.wait(), v1::WAIT_APPLIED_BY);
    EXPECT_EQ(request.wait_broker_ids(0), 5);
    EXPECT_LE(request.wait_timeout().seconds(), 4) << "all leaders together have what was given";
    v1::Propagation& propagation = *response.mutable_header()->mutable_propagation();
    *propagation.mutable_position() = request.position();
    // It loses the leadership, too, and wins it again.
    propagation.set_outcome(++asked == 1 ? v1::Propagation::OUTCOME_LEADER_CHANGED
                                         : v1::Propagation::OUTCOME_APPLIED);
    return grpc::Status::OK;
  };
  ControllerClient client = MakeClient({old_leader.endpoint()}, milliseconds(10'000));
  v1::PutEntryRequest request;
  request.mutable_options()->set_wait(v1::WAIT_APPLIED_BY);
  request.mutable_options()->add_wait_broker_ids(5);
  request.mutable_options()->mutable_wait_timeout()->set_seconds(4);
  const auto answer = client.PutEntry(request);
  ASSERT_TRUE(answer.ok()) << ToText(answer.error());
  EXPECT_EQ(answer->version(), 42);
  EXPECT_EQ(answer->header().propagation().outcome(), v1::Propagation::OUTCOME_APPLIED);
  EXPECT_EQ(asked, 2);
  EXPECT_EQ(old_leader.call_count(), 2) << "the write itself is sent once";
}

TEST(ControllerClientTest, RepeatsAReadThatGotLost) {
  FakeController leader;
  std::atomic<int> count{0};
  leader.on_get = [&](const auto&, auto&) {
    return ++count < 3 ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "connection reset")
                       : grpc::Status::OK;
  };
  ControllerClient client = MakeClient({leader.endpoint()}, milliseconds(10'000));
  EXPECT_TRUE(client.GetEntry({}).ok());
  EXPECT_EQ(count.load(), 3);
}

TEST(ControllerClientTest, RepeatsAWriteUntilThereIsALeader) {
  FakeController node;
  std::atomic<int> count{0};
  node.on_put = [&](const v1::PutEntryRequest& request, v1::PutEntryResponse& response) {
    return ++count < 4 ? testing::LeaderNotAvailable() : PutOk(request, response);
  };
  ControllerClient client = MakeClient({node.endpoint()}, milliseconds(10'000));
  EXPECT_TRUE(client.PutEntry({}).ok());
  EXPECT_EQ(count.load(), 4);
}

TEST(ControllerClientTest, GivesUpAtTheDeadlineWithTheLastReason) {
  FakeController a;
  FakeController b;
  a.on_put = [](const auto&, auto&) { return testing::LeaderNotAvailable(); };
  b.on_put = [&](const auto&, auto&) { return testing::NotController(a.endpoint()); };
  ControllerClient client = MakeClient({a.endpoint(), b.endpoint()}, milliseconds(400));
  const auto start = std::chrono::steady_clock::now();
  const auto answer = client.PutEntry({});
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(answer.error().outcome, Outcome::kNotExecuted);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
  EXPECT_GT(a.call_count() + b.call_count(), 3);
  // Back-off: far from as many attempts as would fit.
  EXPECT_LT(a.call_count() + b.call_count(), 100);
}

TEST(ControllerClientTest, PassesByNodesThatAreDownWithoutDoubtAboutAWrite) {
  FakeController leader;
  leader.on_put = PutOk;
  ControllerClient client =
      MakeClient({DeadEndpoint(), DeadEndpoint(), leader.endpoint()}, milliseconds(10'000));
  const auto answer = client.PutEntry({});
  EXPECT_TRUE(answer.ok()) << ToText(answer.error());
}

TEST(ControllerClientTest, SaysThatNothingWasSentWhenNobodyIsThere) {
  ControllerClient client = MakeClient({DeadEndpoint()}, milliseconds(300));
  const auto answer = client.PutEntry({});
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(answer.error().outcome, Outcome::kNotExecuted);
}

TEST(ControllerClientTest, SurvivesAHintToANodeThatIsGone) {
  FakeController follower;
  FakeController new_leader;
  const std::string gone = DeadEndpoint();
  std::atomic<int> count{0};
  follower.on_put = [&](const auto&, auto&) {
    return testing::NotController(++count < 3 ? gone : new_leader.endpoint());
  };
  new_leader.on_put = PutOk;
  ControllerClient client = MakeClient({follower.endpoint()}, milliseconds(10'000));
  EXPECT_TRUE(client.PutEntry({}).ok());
}

TEST(ControllerClientTest, AsksAPinnedNodeOnce) {
  FakeController node;
  node.on_describe_quorum = [](const auto&, auto&) { return testing::LeaderNotAvailable(); };
  ControllerClient client = MakeClient({DeadEndpoint()}, milliseconds(10'000));
  EXPECT_FALSE(client.DescribeQuorum({}, {std::nullopt, node.endpoint()}).ok());
  EXPECT_EQ(node.call_count(), 1);
}

TEST(ControllerClientTest, RefusesToCallNobody) {
  ControllerClient client = MakeClient({}, milliseconds(100));
  EXPECT_EQ(client.GetEntry({}).error().code, grpc::StatusCode::INVALID_ARGUMENT);
}

}  // namespace
}  // namespace kvorum::client
