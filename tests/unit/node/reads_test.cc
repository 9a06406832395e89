// Reads on any node: behind a barrier of the leader, and not before a position (api.md §2).
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "tests/unit/node/test_cluster.h"

namespace kvorum {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class ReadsTest : public testing::Test {
 protected:
  void Begin() {
    cluster.StartAll();
    leader = cluster.Elect();
    follower = leader % 3 + 1;
    cluster.RunFor(seconds(1));
  }
  CommandAnswer Put(const std::string& key) {
    v1::PutEntryRequest request;
    request.set_key(key);
    request.set_value("value");
    return cluster.Submit(leader, request);
  }
  void PutAndCommit(const std::string& key) {
    const CommandAnswer put = Put(key);
    cluster.RunUntil([&] { return !put->is_waiting(); });
    ASSERT_TRUE(put->is_ok()) << put->status();
  }
  static v1::GetEntryRequest Get(const std::string& key) {
    v1::GetEntryRequest request;
    request.set_key(key);
    return request;
  }
  v1::GetEntryRequest LocalFrom(const std::string& key, int64_t offset, int32_t epoch) const {
    v1::GetEntryRequest request = Get(key);
    request.mutable_options()->set_consistency(v1::CONSISTENCY_LOCAL);
    v1::Position& position = *request.mutable_options()->mutable_min_position();
    position.set_generation(kTestGeneration);
    position.set_offset(offset);
    position.set_epoch(epoch);
    return request;
  }
  Offset LeadersEnd() { return cluster.at(leader).node().core().log_end_offset(); }
  int32_t Epoch() { return cluster.at(leader).node().core().epoch().value(); }

  TestCluster cluster{3};
  int32_t leader = 0;
  int32_t follower = 0;
};

TEST_F(ReadsTest, AFollowerReflectsEveryWriteThatWasAcknowledgedBefore) {
  Begin();
  for (int i = 0; i < 5; ++i) {
    const std::string key = "key" + std::to_string(i);
    PutAndCommit(key);
    const QueryAnswer get = cluster.Query(follower, Get(key));
    EXPECT_TRUE(get->is_waiting()) << "the leader is asked first";
    cluster.RunUntil([&] { return !get->is_waiting(); });
    ASSERT_TRUE(get->is_ok()) << get->status();
    EXPECT_EQ(get->As<v1::GetEntryResponse>().header().node_id(), follower);
  }
}

TEST_F(ReadsTest, WhatShowsTheLeadersSoftStateStaysWithTheLeader) {
  Begin();
  EXPECT_EQ(cluster.Query(follower, v1::ListBrokersRequest())->reason(),
            ErrorReason::kNotController);
  v1::ListBrokersRequest local;
  local.mutable_options()->set_consistency(v1::CONSISTENCY_LOCAL);
  EXPECT_TRUE(cluster.Query(follower, local)->is_ok());
}

TEST_F(ReadsTest, AReadThatComesWhileABarrierIsOnItsWayWaitsForTheNext) {
  Begin();
  const QueryAnswer first = cluster.Query(follower, Get("key"));
  const QueryAnswer second = cluster.Query(follower, Get("key"));
  const QueryAnswer third = cluster.Query(follower, Get("key"));
  EXPECT_EQ(cluster.at(follower).barrier_count, 1);
  cluster.RunUntil([&] { return !third->is_waiting(); });
  EXPECT_EQ(cluster.at(follower).barrier_count, 2) << "one for the first, one for the others";
  for (const QueryAnswer& answer : {first, second, third}) {
    EXPECT_EQ(answer->times, 1);
    EXPECT_EQ(answer->reason(), ErrorReason::kUnknownKey);
  }
}

TEST_F(ReadsTest, ALeaderThatIsCutOffConfirmsNothing) {
  Begin();
  // The leader hears nobody, and asks its followers in vain; barriers do reach it.
  cluster.hold = [this](int32_t, const raft::SendRequest& request) {
    return request.to.key.node_id == NodeId(leader);
  };
  cluster.Settle();
  const QueryAnswer get = cluster.Query(follower, Get("key"));
  cluster.Settle();
  EXPECT_TRUE(get->is_waiting());
  cluster.RunUntil([&] { return !get->is_waiting(); });
  EXPECT_TRUE(absl::IsUnavailable(get->status())) << get->status();
}

TEST_F(ReadsTest, ReadsBehindABarrierAreAnsweredWhenTheLeaderIsGoneOrTheNodeStops) {
  Begin();
  cluster.Kill(leader);
  const QueryAnswer orphan = cluster.Query(follower, Get("key"));
  cluster.Settle();
  EXPECT_EQ(orphan->times, 1);
  EXPECT_TRUE(absl::IsUnavailable(orphan->status())) << orphan->status();
}

TEST_F(ReadsTest, WaitsForAPositionAndNamesWhereItStandsWhenThatTakesTooLong) {
  Begin();
  const int64_t end = LeadersEnd().value() + 1;
  const TimePoint deadline = cluster.now.now + milliseconds(300);
  const QueryAnswer patient = cluster.Query(follower, LocalFrom("key", end, Epoch()));
  const QueryAnswer hasty = cluster.Query(follower, LocalFrom("key", end, Epoch()), deadline);
  cluster.RunUntil([&] { return !hasty->is_waiting(); });
  EXPECT_LT(cluster.now.now, deadline) << "the answer must get there in time";
  EXPECT_EQ(hasty->reason(), ErrorReason::kPositionNotReached);
  EXPECT_EQ(GetErrorFacts(hasty->status()).at("current_offset"), std::to_string(end - 1));
  EXPECT_TRUE(patient->is_waiting());
  PutAndCommit("key");
  cluster.RunUntil([&] { return !patient->is_waiting(); });
  ASSERT_TRUE(patient->is_ok()) << patient->status();
  EXPECT_GE(patient->As<v1::GetEntryResponse>().header().applied().offset(), end);
}

TEST_F(ReadsTest, APositionOfAnotherLogIsRefusedWhenItCanBeTold) {
  Begin();
  const int64_t end = LeadersEnd().value();
  EXPECT_EQ(cluster.Query(follower, LocalFrom("key", end, Epoch() + 1))->reason(),
            ErrorReason::kPositionDiscarded);
  EXPECT_EQ(cluster.Query(follower, LocalFrom("key", -1, 0))->reason(),
            ErrorReason::kInvalidRequest);
  v1::GetEntryRequest other_life = LocalFrom("key", end, Epoch());
  other_life.mutable_options()->mutable_min_position()->set_generation(kTestGeneration + 1);
  EXPECT_EQ(cluster.Query(follower, other_life)->reason(), ErrorReason::kGenerationMismatch);
  const QueryAnswer later = cluster.Query(follower, LocalFrom("key", end + 1, Epoch() + 1));
  EXPECT_TRUE(later->is_waiting());
  PutAndCommit("key");
  cluster.RunUntil([&] { return !later->is_waiting(); });
  EXPECT_EQ(later->reason(), ErrorReason::kPositionDiscarded);
}

TEST_F(ReadsTest, ABarrierForAnotherReplicaOrClusterIsRefused) {
  Begin();
  const auto ask = [this](const std::function<void(v1::RaftRequestHeader&)>& change) {
    v1::ReadBarrierRequest request;
    v1::RaftRequestHeader& header = *request.mutable_header();
    header.set_cluster_id(kTestCluster);
    header.set_generation(kTestGeneration);
    header.mutable_receiver()->set_node_id(leader);
    header.mutable_receiver()->set_directory_id(TestVoter(leader).key.directory_id.ToBytes());
    change(header);
    auto answer = std::make_shared<Answer<v1::ReadBarrierResponse>>();
    cluster.at(leader).node().HandleReadBarrier(cluster.now, request, Into(answer));
    cluster.RunUntil([&] { return !answer->is_waiting(); });
    return (*answer->reply)->header().error();
  };
  EXPECT_EQ(ask([](auto&) {}), v1::RAFT_ERROR_NONE);
  EXPECT_EQ(ask([](auto& h) { h.set_cluster_id("other"); }),
            v1::RAFT_ERROR_INCONSISTENT_CLUSTER_ID);
  EXPECT_EQ(ask([](auto& h) { h.set_generation(1); }), v1::RAFT_ERROR_INVALID_VOTER_KEY);
  EXPECT_EQ(ask([](auto& h) { h.mutable_receiver()->set_directory_id("x"); }),
            v1::RAFT_ERROR_INVALID_VOTER_KEY);
}

}  // namespace
}  // namespace kvorum
