// Changing the voters and the leader, as an operator sees it: what is refused and why, and what
// becomes of clients meanwhile.
#include "server/node/quorum_changes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "tests/unit/node/test_cluster.h"

namespace kvorum {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

v1::QuorumVoter WireVoter(int32_t id) {
  const raft::Voter voter = TestVoter(id);
  v1::QuorumVoter wire;
  wire.set_node_id(id);
  wire.set_directory_id(voter.key.directory_id.ToString());
  wire.mutable_controller_endpoint()->set_host(voter.address.host);
  wire.mutable_controller_endpoint()->set_port(voter.address.port);
  return wire;
}

v1::AddVoterRequest Add(int32_t id) {
  v1::AddVoterRequest request;
  *request.mutable_voter() = WireVoter(id);
  return request;
}

v1::RemoveVoterRequest Remove(int32_t id) {
  v1::RemoveVoterRequest request;
  request.set_node_id(id);
  request.set_directory_id(TestVoter(id).key.directory_id.ToString());
  return request;
}

v1::TransferLeadershipRequest TransferTo(int32_t id) {
  v1::TransferLeadershipRequest request;
  request.set_node_id(id);
  return request;
}

std::vector<int32_t> IdsOf(const v1::QuorumView& view) {
  std::vector<int32_t> ids;
  for (const v1::QuorumVoter& voter : view.voters()) {
    ids.push_back(voter.node_id());
  }
  return ids;
}

// --- the form of requests ---

absl::Status FormError(const QuorumCommand& command) {
  QuorumChanges changes;
  absl::Status told = absl::OkStatus();
  const auto event = changes.Begin(
      command, kNever, [&](const absl::StatusOr<QuorumReply>& reply) { told = reply.status(); });
  EXPECT_EQ(event.has_value(), told.ok());
  EXPECT_EQ(changes.empty(), !told.ok()) << "who was told waits no more";
  return told;
}

TEST(QuorumChangesTest, MalformedRequestsAreRefusedByField) {
  EXPECT_TRUE(FormError(Add(4)).ok());
  const auto expect = [](const QuorumCommand& command, ErrorReason reason, const char* field) {
    const absl::Status status = FormError(command);
    EXPECT_EQ(GetErrorReason(status), reason) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(field));
  };
  v1::AddVoterRequest add = Add(4);
  add.mutable_voter()->set_node_id(-1);
  expect(add, ErrorReason::kInvalidRequest, "node_id");
  add = Add(4);
  add.mutable_voter()->set_directory_id("x");
  expect(add, ErrorReason::kInvalidRequest, "directory_id");
  add.mutable_voter()->set_directory_id(Uuid().ToString());
  expect(add, ErrorReason::kInvalidRequest, "directory_id");
  add = Add(4);
  add.mutable_voter()->mutable_controller_endpoint()->set_port(65'536);
  expect(add, ErrorReason::kInvalidRequest, "controller_endpoint.port");
  add = Add(4);
  add.mutable_voter()->mutable_controller_endpoint()->set_host(std::string(256, 'h'));
  expect(add, ErrorReason::kInvalidRequest, "controller_endpoint.host");
  add = Add(4);
  add.mutable_voter()->mutable_controller_endpoint()->set_name("EXTERNAL");
  expect(add, ErrorReason::kUnimplementedField, "controller_endpoint.name");
  expect(v1::AddVoterRequest(), ErrorReason::kInvalidRequest, "directory_id");
  expect(v1::UpdateVoterRequest(), ErrorReason::kInvalidRequest, "directory_id");
  expect(v1::RemoveVoterRequest(), ErrorReason::kInvalidRequest, "directory_id");
  expect(TransferTo(-1), ErrorReason::kInvalidRequest, "node_id");
}

// Rows 45 and 46 of the table of bad inputs.
TEST(QuorumChangesTest, EveryRefusalHasItsCodeAndItsOutcome) {
  using absl::StatusCode;
  using raft::ChangeError;
  struct Row {
    ChangeError error;
    ErrorReason reason;
    StatusCode code;
  };
  const std::vector<Row> rows = {
      {ChangeError::kNothingCommitted, ErrorReason::kLeaderNotAvailable, StatusCode::kUnavailable},
      {ChangeError::kChangePending, ErrorReason::kVoterChangePending,
       StatusCode::kFailedPrecondition},
      {ChangeError::kDuplicateVoter, ErrorReason::kDuplicateVoter, StatusCode::kAlreadyExists},
      {ChangeError::kVoterNotFound, ErrorReason::kVoterNotFound, StatusCode::kNotFound},
      {ChangeError::kLastVoter, ErrorReason::kLastVoter, StatusCode::kFailedPrecondition},
      {ChangeError::kTooManyVoters, ErrorReason::kPolicyViolation, StatusCode::kInvalidArgument},
      {ChangeError::kQuorumAtRisk, ErrorReason::kQuorumAtRisk, StatusCode::kFailedPrecondition},
      {ChangeError::kNotCaughtUp, ErrorReason::kVoterNotCaughtUp, StatusCode::kFailedPrecondition},
      {ChangeError::kUnreachable, ErrorReason::kVoterUnreachable, StatusCode::kUnavailable},
      {ChangeError::kOtherReplica, ErrorReason::kInvalidVoterKey, StatusCode::kFailedPrecondition},
      {ChangeError::kTimedOut, ErrorReason::kDeadlineExceeded, StatusCode::kDeadlineExceeded},
      {ChangeError::kUnknown, ErrorReason::kOutcomeUnknown, StatusCode::kUnknown},
      {ChangeError::kOtherLeader, ErrorReason::kOtherLeaderElected, StatusCode::kAborted},
  };
  for (const Row& row : rows) {
    const absl::Status status = ToStatus(row.error, "the values");
    EXPECT_EQ(GetErrorReason(status), row.reason) << status;
    EXPECT_EQ(status.code(), row.code) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("the values"));
  }
  EXPECT_EQ(GetErrorFacts(ToStatus(ChangeError::kTimedOut, "")).at("outcome"), "not_executed");
}

// --- whole nodes ---

class QuorumChangesNodeTest : public testing::Test {
 protected:
  void Begin() {
    cluster.StartAll();
    leader = cluster.Elect();
    follower = leader % 3 + 1;
    cluster.RunFor(seconds(1));
  }
  absl::StatusOr<QuorumReply> Change(const QuorumCommand& command) {
    const auto answer = cluster.ChangeQuorum(leader, command);
    cluster.RunUntil([&] { return !answer->is_waiting(); });
    EXPECT_EQ(answer->times, 1);
    return *answer->reply;
  }
  ErrorReason Refusal(const QuorumCommand& command) {
    return GetErrorReason(Change(command).status());
  }
  v1::DescribeQuorumResponse Describe(int32_t id) {
    auto answer = std::make_shared<Answer<v1::DescribeQuorumResponse>>();
    cluster.at(id).node().HandleDescribeQuorum(cluster.now, {}, Into(answer));
    return **answer->reply;
  }

  TestCluster cluster{3};
  int32_t leader = 0;
  int32_t follower = 0;
};

TEST_F(QuorumChangesNodeTest, AddsAReplicaThatHasCaughtUp) {
  Begin();
  EXPECT_EQ(Refusal(Add(4)), ErrorReason::kVoterNotCaughtUp) << "nobody has heard of it";
  const int32_t joiner = cluster.StartJoiner();
  cluster.RunFor(seconds(1));
  EXPECT_EQ(Describe(joiner).role(), "observer");
  EXPECT_EQ(cluster.at(joiner).StateHash(), cluster.at(leader).StateHash());

  const auto reply = Change(Add(joiner));
  ASSERT_TRUE(reply.ok()) << reply.status();
  const auto& added = std::get<v1::AddVoterResponse>(*reply);
  EXPECT_THAT(IdsOf(added.quorum()), ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(added.quorum().majority(), 3);
  EXPECT_EQ(added.quorum().fault_tolerance(), 1);
  EXPECT_EQ(added.header().node_id(), leader);
  cluster.RunFor(seconds(1));
  EXPECT_NE(Describe(joiner).role(), "observer");
  EXPECT_EQ(Describe(joiner).committed_voters_size(), 4);
  EXPECT_EQ(Refusal(Add(joiner)), ErrorReason::kDuplicateVoter);
}

TEST_F(QuorumChangesNodeTest, RefusesWhatCannotBe) {
  Begin();
  cluster.StartJoiner();
  cluster.RunFor(seconds(1));
  v1::AddVoterRequest elsewhere = Add(4);
  elsewhere.mutable_voter()->mutable_controller_endpoint()->set_host("nowhere");
  EXPECT_EQ(Refusal(elsewhere), ErrorReason::kVoterUnreachable);
  *elsewhere.mutable_voter()->mutable_controller_endpoint() =
      WireVoter(follower).controller_endpoint();
  EXPECT_EQ(Refusal(elsewhere), ErrorReason::kInvalidVoterKey) << "another node lives there";
  EXPECT_EQ(Refusal(Remove(7)), ErrorReason::kVoterNotFound);
  EXPECT_EQ(Refusal(TransferTo(4)), ErrorReason::kVoterNotFound) << "an observer cannot lead";
  v1::AddVoterRequest foreign = Add(4);
  foreign.set_cluster_id("another");
  EXPECT_EQ(Refusal(foreign), ErrorReason::kInconsistentClusterId);
  const auto answer = cluster.ChangeQuorum(follower, Add(4));
  EXPECT_EQ(answer->reason(), ErrorReason::kNotController);
  EXPECT_EQ(Describe(leader).voters_size(), 3);
}

TEST_F(QuorumChangesNodeTest, ShowsTheNewestAndTheCommittedVoters) {
  Begin();
  cluster.hold = [&](int32_t from, const raft::SendRequest&) { return from != leader; };
  const auto answer = cluster.ChangeQuorum(leader, Remove(follower));
  cluster.Settle();
  ASSERT_TRUE(answer->is_waiting());
  const v1::DescribeQuorumResponse seen = Describe(leader);
  EXPECT_EQ(seen.voters_size(), 2);
  EXPECT_EQ(seen.committed_voters_size(), 3);
  EXPECT_TRUE(seen.voter_change_pending());
  EXPECT_EQ(seen.voters_offset() + 1, seen.log_end_offset());
  EXPECT_EQ(seen.fault_tolerance(), 0);
  cluster.hold = nullptr;
  cluster.RunUntil([&] { return !answer->is_waiting(); });
}

TEST_F(QuorumChangesNodeTest, ADryRunSaysWhatWouldBe) {
  Begin();
  v1::RemoveVoterRequest request = Remove(follower);
  request.set_validate_only(true);
  const auto reply = Change(request);
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(std::get<v1::RemoveVoterResponse>(*reply).quorum().voters_size(), 2);
  EXPECT_EQ(Describe(leader).voters_size(), 3);
}

// Row 46: the leader itself, "OK then resign".
TEST_F(QuorumChangesNodeTest, ALeaderRemovesItselfAndTheWritesOfBeforeAreKept) {
  Begin();
  const CommandAnswer put = cluster.Submit(leader, PutRequest("key", "value"));
  const auto reply = Change(Remove(leader));
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_TRUE(put->is_ok()) << put->status();
  const int32_t removed = leader;
  leader = cluster.Elect();
  EXPECT_NE(leader, removed);
  cluster.RunFor(seconds(1));
  EXPECT_EQ(Describe(removed).role(), "observer");
  EXPECT_EQ(cluster.at(removed).StateHash(), cluster.at(leader).StateHash());
  const CommandAnswer after = cluster.Submit(removed, PutRequest("key", "other"));
  EXPECT_EQ(after->reason(), ErrorReason::kNotController) << "it still knows who leads";
}

TEST_F(QuorumChangesNodeTest, TransfersLeadershipAndRefusesWritesMeanwhile) {
  Begin();
  // The target's disk holds it back, so that the transfer has to wait.
  cluster.at(follower).disk_is_slow = true;
  const CommandAnswer before = cluster.Submit(leader, PutRequest("a", "1"));
  cluster.at(leader).node().Execute(cluster.now);
  cluster.Settle();
  ASSERT_TRUE(before->is_ok()) << before->status();
  const auto transfer = cluster.ChangeQuorum(leader, TransferTo(follower));
  const CommandAnswer during = cluster.Submit(leader, PutRequest("b", "1"));
  EXPECT_EQ(during->reason(), ErrorReason::kLeaderNotAvailable) << "refused, and nothing appended";
  cluster.at(follower).disk_is_slow = false;
  cluster.RunUntil([&] { return !transfer->is_waiting(); });
  ASSERT_TRUE(transfer->is_ok()) << transfer->status();
  EXPECT_EQ(transfer->As<v1::TransferLeadershipResponse>().header().leader_id(), follower);
  EXPECT_EQ(cluster.Elect(), follower);
}

TEST_F(QuorumChangesNodeTest, TakesWritesAgainAfterATransferThatFailed) {
  Begin();
  cluster.at(follower).disk_is_slow = true;
  const CommandAnswer before = cluster.Submit(leader, PutRequest("a", "1"));
  cluster.at(leader).node().Execute(cluster.now);
  cluster.Settle();
  ASSERT_TRUE(before->is_ok());
  EXPECT_EQ(Refusal(TransferTo(follower)), ErrorReason::kVoterNotCaughtUp);
  const CommandAnswer after = cluster.Submit(leader, PutRequest("b", "1"));
  cluster.at(leader).node().Execute(cluster.now);
  cluster.Settle();
  EXPECT_TRUE(after->is_ok()) << after->status();
}

// Else a transfer that fails looks like silence of the brokers it refused.
TEST_F(QuorumChangesNodeTest, AHeartbeatThatIsRefusedMeanwhileIsASignOfLife) {
  Begin();
  v1::RegisterBrokerRequest registration;
  registration.set_broker_id(1);
  registration.set_incarnation_id(std::string(16, 'a'));
  v1::Endpoint& endpoint = *registration.add_endpoints();
  endpoint.set_name("PLAINTEXT");
  endpoint.set_host("host");
  endpoint.set_port(9092);
  const CommandAnswer registered = cluster.Submit(leader, registration);
  cluster.at(leader).node().Execute(cluster.now);
  cluster.Settle();
  ASSERT_TRUE(registered->is_ok()) << registered->status();
  v1::HeartbeatRequest beat;
  beat.set_broker_id(1);
  beat.set_broker_epoch(registered->As<v1::RegisterBrokerResponse>().broker_epoch());
  const auto heartbeat = [&] {
    auto answer = std::make_shared<Answer<controller::BrokerReportReply>>();
    cluster.at(leader).node().HandleBrokerReport(cluster.now, beat, Into(answer));
    cluster.at(leader).node().Execute(cluster.now);
    cluster.Settle();
    return answer;
  };
  ASSERT_TRUE(heartbeat()->is_ok());

  cluster.at(follower).disk_is_slow = true;
  const CommandAnswer before = cluster.Submit(leader, PutRequest("a", "1"));
  cluster.at(leader).node().Execute(cluster.now);
  cluster.Settle();
  const auto transfer = cluster.ChangeQuorum(leader, TransferTo(follower));
  cluster.now.now += milliseconds(500);
  ASSERT_TRUE(transfer->is_waiting());
  EXPECT_EQ(heartbeat()->reason(), ErrorReason::kLeaderNotAvailable);
  EXPECT_EQ(cluster.at(leader).node().active_controller().liveness()->HeartbeatAgeMs(BrokerId(1)),
            0);
}

TEST_F(QuorumChangesNodeTest, EveryChangeIsAnsweredWhenTheNodeStops) {
  Begin();
  cluster.hold = [&](int32_t from, const raft::SendRequest&) { return from != leader; };
  const auto answer = cluster.ChangeQuorum(leader, Remove(follower));
  cluster.Settle();
  ASSERT_TRUE(answer->is_waiting());
  cluster.at(leader).node().BeginShutdown(cluster.now);
  cluster.at(leader).node().Execute(cluster.now);
  cluster.RunUntil([&] { return cluster.at(leader).node().is_shut_down(); });
  EXPECT_EQ(answer->times, 1);
  EXPECT_EQ(answer->reason(), ErrorReason::kOutcomeUnknown);
  EXPECT_EQ(cluster.ChangeQuorum(leader, Add(4))->reason(), ErrorReason::kShuttingDown);
}

TEST_F(QuorumChangesNodeTest, TellsWhoTheControllersAre) {
  Begin();
  const int32_t joiner = cluster.StartJoiner();
  cluster.RunFor(seconds(1));
  auto answer = std::make_shared<Answer<v1::DescribeClusterResponse>>();
  cluster.at(leader).node().HandleDescribeCluster(cluster.now, {}, Into(answer));
  ASSERT_TRUE(answer->is_ok()) << answer->status();
  const v1::DescribeClusterResponse& seen = **answer->reply;
  EXPECT_EQ(seen.header().committed().generation(), kTestGeneration);
  EXPECT_EQ(seen.fault_tolerance(), 1);
  ASSERT_EQ(seen.controllers_size(), 4);
  for (const v1::ControllerNode& node : seen.controllers()) {
    EXPECT_EQ(node.leader(), node.node_id() == leader);
    EXPECT_EQ(node.voter(), node.node_id() != joiner);
  }
}

}  // namespace
}  // namespace kvorum
