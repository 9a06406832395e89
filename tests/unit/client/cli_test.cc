#include "client/cli/cli.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "tests/unit/client/fake_controller.h"

namespace kvorum::client::cli {
namespace {

using client::testing::At;
using client::testing::FakeController;
using client::testing::FakeStream;
using ::testing::HasSubstr;

struct CliResult {
  ExitCode exit_code;
  std::string out;
  std::string err;
};

CliResult RunWith(const std::string& endpoints, std::vector<std::string> args) {
  args.insert(args.end(), {"--endpoints", endpoints});
  std::ostringstream out;
  std::ostringstream err;
  const ExitCode exit_code = RunCli(args, out, err);
  return {exit_code, out.str(), err.str()};
}

TEST(CliTest, MapsErrorsToExitCodes) {
  const auto code = [](grpc::StatusCode status, v1::ErrorReason reason = v1::UNKNOWN) {
    CallError error;
    error.code = status;
    error.reason = reason;
    return ExitCodeFor(error);
  };
  EXPECT_EQ(code(grpc::StatusCode::NOT_FOUND), ExitCode::kNotFound);
  EXPECT_EQ(code(grpc::StatusCode::ALREADY_EXISTS), ExitCode::kConflict);
  EXPECT_EQ(code(grpc::StatusCode::ABORTED), ExitCode::kConflict);
  EXPECT_EQ(code(grpc::StatusCode::FAILED_PRECONDITION), ExitCode::kConflict);
  EXPECT_EQ(code(grpc::StatusCode::UNAVAILABLE), ExitCode::kUnavailable);
  EXPECT_EQ(code(grpc::StatusCode::RESOURCE_EXHAUSTED), ExitCode::kUnavailable);
  EXPECT_EQ(code(grpc::StatusCode::DEADLINE_EXCEEDED), ExitCode::kTimedOut);
  EXPECT_EQ(code(grpc::StatusCode::UNKNOWN, v1::OUTCOME_UNKNOWN), ExitCode::kTimedOut);
  EXPECT_EQ(code(grpc::StatusCode::UNKNOWN), ExitCode::kFailed);
  EXPECT_EQ(code(grpc::StatusCode::INVALID_ARGUMENT), ExitCode::kFailed);
}

TEST(CliTest, ReadsDurationsWithTheirUnitOnly) {
  EXPECT_EQ(ParseDuration("500ms").count(), 500);
  EXPECT_EQ(ParseDuration("10s").count(), 10'000);
  EXPECT_EQ(ParseDuration("2m").count(), 120'000);
  for (const char* text : {"", "10", "s", "-1s", "0s", "2h", "61m", "9999999999999999999ms"}) {
    EXPECT_EQ(ParseDuration(text).count(), 0) << text;
  }
}

TEST(CliTest, TakesAWrongCommandLineForAUsageError) {
  const std::vector<std::vector<std::string>> wrong = {
      {},
      {"nonsense"},
      {"topic"},
      {"topic", "create"},
      {"topic", "create", "x", "--partitions", "0"},
      {"topic", "create", "x", "--assignment", "0:"},
      {"topic", "create", "x", "--assignment", "1,2"},
      {"topic", "list", "--timeout", "5"},
      {"topic", "list", "--output", "yaml"},
      {"watch", "--from", "yesterday"},
      {"topic", "list", "--endpoints", "a:b"},
  };
  for (const std::vector<std::string>& args : wrong) {
    std::ostringstream out;
    std::ostringstream err;
    EXPECT_EQ(RunCli(args, out, err), ExitCode::kUsage) << ::testing::PrintToString(args);
    EXPECT_EQ(out.str(), "");
    EXPECT_NE(err.str(), "");
  }
}

TEST(CliTest, CreatesATopicWithTheGivenReplicas) {
  FakeController server;
  server.on_create_topics = [](const v1::CreateTopicsRequest& request,
                               v1::CreateTopicsResponse& response) {
    const v1::NewTopic& topic = request.topics(0);
    EXPECT_EQ(topic.assignments_size(), 2);
    EXPECT_EQ(topic.assignments(1).partition_index(), 1);
    EXPECT_THAT(topic.assignments(1).replicas(), ::testing::ElementsAre(3, 1));
    v1::CreateTopicsResponse::Result* result = response.add_results();
    result->set_name(topic.name());
    result->set_partition_count(2);
    return grpc::Status::OK;
  };
  const CliResult run = RunWith(server.endpoint(), {"topic", "create", "orders", "--assignment",
                                                    "0:1,2", "--assignment", "1:3,1"});
  EXPECT_EQ(run.exit_code, ExitCode::kOk) << run.err;
  EXPECT_THAT(run.out, HasSubstr("created topic orders"));
  EXPECT_THAT(run.out, HasSubstr(" ms"));
}

TEST(CliTest, FailsWithTheCodeOfAFailedItem) {
  FakeController server;
  server.on_create_topics = [](const v1::CreateTopicsRequest&, v1::CreateTopicsResponse& response) {
    v1::ItemStatus* status = response.add_results()->mutable_status();
    status->set_code(grpc::StatusCode::ALREADY_EXISTS);
    status->set_reason("TOPIC_ALREADY_EXISTS");
    status->set_message("topic orders exists");
    return grpc::Status::OK;
  };
  const CliResult run = RunWith(server.endpoint(), {"topic", "create", "orders"});
  EXPECT_EQ(run.exit_code, ExitCode::kConflict);
  EXPECT_EQ(run.out, "");
  EXPECT_EQ(run.err, "error: TOPIC_ALREADY_EXISTS: topic orders exists\n");
}

TEST(CliTest, SaysThatALostWriteMayHaveHappened) {
  FakeController server;
  server.on_put = [](const auto&, auto&) {
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "connection reset");
  };
  const CliResult run = RunWith(server.endpoint(), {"entry", "put", "k", "v"});
  EXPECT_EQ(run.exit_code, ExitCode::kTimedOut);
  EXPECT_THAT(run.err, HasSubstr("may or may not"));
}

TEST(CliTest, CollectsAllPagesOfAList) {
  FakeController server;
  server.on_list_topics = [](const v1::ListTopicsRequest& request,
                             v1::ListTopicsResponse& response) {
    const bool first = request.page().page_token().empty();
    response.add_topics()->set_name(first ? "a" : "b");
    response.mutable_page()->set_next_page_token(first ? "more" : "");
    return grpc::Status::OK;
  };
  const CliResult table = RunWith(server.endpoint(), {"topic", "list"});
  EXPECT_EQ(
      table.out,
      "NAME  ID  PARTITIONS  REPLICATION-FACTOR  LEADERLESS  UNDER-REPLICATED  REASSIGNING\n"
      "a                  0                   0           0                 0            0\n"
      "b                  0                   0           0                 0            0\n");
  const CliResult json = RunWith(server.endpoint(), {"topic", "list", "--output", "json"});
  EXPECT_THAT(json.out, HasSubstr("\"partition_count\": 0"));
  EXPECT_THAT(json.out, HasSubstr("\"name\": \"b\""));
}

TEST(CliTest, AsksForNoMoreItemsThanTheLimit) {
  FakeController server;
  server.on_list_topics = [](const v1::ListTopicsRequest& request,
                             v1::ListTopicsResponse& response) {
    for (int i = 0; i < std::min(2, request.page().page_size()); ++i) {
      response.add_topics()->set_name("t");
    }
    response.mutable_page()->set_next_page_token("more");
    return grpc::Status::OK;
  };
  const CliResult run =
      RunWith(server.endpoint(), {"topic", "list", "--limit", "3", "--output", "json"});
  EXPECT_EQ(server.call_count(), 2);
  EXPECT_THAT(run.out, HasSubstr("\"next_page_token\": \"more\""));
}

v1::DescribeQuorumResponse Node(int32_t node_id, int32_t leader_id) {
  v1::DescribeQuorumResponse answer;
  answer.mutable_header()->set_node_id(node_id);
  answer.mutable_header()->set_leader_id(leader_id);
  answer.mutable_header()->set_leader_epoch(3);
  *answer.mutable_header()->mutable_applied() = At(10, 3);
  answer.set_role(node_id == leader_id ? "leader" : "follower");
  answer.set_active_controller(node_id == leader_id);
  return answer;
}

void AnswerAs(FakeController& server, const v1::DescribeQuorumResponse& answer) {
  server.on_describe_quorum = [answer](const auto&, v1::DescribeQuorumResponse& response) {
    response = answer;
    return grpc::Status::OK;
  };
}

TEST(CliTest, FindsAClusterHealthyOnlyWithAnActiveController) {
  FakeController a;
  FakeController b;
  AnswerAs(a, Node(1, 2));
  AnswerAs(b, Node(2, 2));
  const CliResult healthy =
      RunWith(a.endpoint() + "," + b.endpoint(), {"status", "--output", "json"});
  EXPECT_EQ(healthy.exit_code, ExitCode::kOk);
  EXPECT_THAT(healthy.out, HasSubstr("\"health\": \"healthy\", \"leader_id\": 2"));
  EXPECT_EQ(RunWith(a.endpoint(), {"status"}).exit_code, ExitCode::kUnhealthy);
  b.Stop();
  EXPECT_EQ(RunWith(b.endpoint(), {"status"}).exit_code, ExitCode::kUnavailable);
}

TEST(CliTest, AsksTheLeaderForTheQuorumWhereverItIsPointedTo) {
  FakeController follower;
  FakeController leader;
  v1::DescribeQuorumResponse answer = Node(1, 2);
  answer.add_voters()->set_node_id(2);
  answer.mutable_voters(0)->set_client_endpoint(leader.endpoint());
  AnswerAs(follower, answer);
  answer = Node(2, 2);
  answer.add_voters()->set_node_id(2);
  AnswerAs(leader, answer);
  const CliResult run = RunWith(follower.endpoint(), {"quorum", "describe"});
  EXPECT_EQ(run.exit_code, ExitCode::kOk) << run.err;
  EXPECT_THAT(run.out, HasSubstr("answered by     node 2 (leader, active controller)"));
  EXPECT_THAT(run.out, HasSubstr("2*    leader"));
}

TEST(CliTest, WatchesFromNowAndStopsAfterTheCount) {
  FakeController server;
  AnswerAs(server, Node(1, 1));
  server.on_subscribe = [](const v1::SubscribeRequest& request, FakeStream& stream) {
    EXPECT_EQ(request.resume_from().offset(), 10);
    stream.SendHello(request.resume_from(), false);
    v1::MetadataRecord entry;
    entry.mutable_entry()->set_key("k\n");
    entry.mutable_entry()->set_value("v");
    entry.mutable_entry()->set_version(11);
    v1::MetadataRecord no_op;
    no_op.mutable_no_op();
    stream.SendCommit(10, At(11, 3), {no_op});
    stream.SendCommit(11, At(12, 3), {entry});
    stream.WaitForCancel();
    return grpc::Status::OK;
  };
  const CliResult run = RunWith(server.endpoint(), {"watch", "--from", "now", "--count", "1"});
  EXPECT_EQ(run.exit_code, ExitCode::kOk) << run.err;
  EXPECT_EQ(run.out, "11 3 entry key=\"k\\x0a\" version=11 value=\"v\"\n");
}

// All pages are of one state: when a node no longer has it, the list is begun anew.
TEST(CollectPagesTest, BeginsAnewWhenTheStateOfTheFirstPageIsGone) {
  int calls = 0;
  int expire = 1;
  const auto call = [&](const v1::PageRequest& page) -> Result<v1::ListTopicsResponse> {
    ++calls;
    if (page.page_token() == "second" && expire-- > 0) {
      CallError error = LocalError(grpc::StatusCode::ABORTED, "no longer at hand");
      error.reason = v1::PAGE_TOKEN_EXPIRED;
      return error;
    }
    v1::ListTopicsResponse response;
    response.add_topics()->set_name(page.page_token().empty() ? "a" : "b");
    response.mutable_page()->set_next_page_token(page.page_token().empty() ? "second" : "");
    return response;
  };
  const auto merge = [](v1::ListTopicsResponse& all, const v1::ListTopicsResponse& page) {
    all.MergeFrom(page);
    return all.topics_size();
  };
  const auto all = CollectPages<v1::ListTopicsResponse>(100, call, merge);
  ASSERT_TRUE(all.ok());
  ASSERT_EQ(all->topics_size(), 2) << "nothing of the first attempt is left";
  EXPECT_EQ(calls, 4);

  expire = 100;
  const auto never = CollectPages<v1::ListTopicsResponse>(100, call, merge);
  ASSERT_FALSE(never.ok()) << "not for ever";
  EXPECT_EQ(never.error().reason, v1::PAGE_TOKEN_EXPIRED);
}

}  // namespace
}  // namespace kvorum::client::cli
