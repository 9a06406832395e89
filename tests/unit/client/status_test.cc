#include "client/status.h"

#include <gtest/gtest.h>

#include "tests/unit/client/fake_controller.h"

namespace kvorum::client {
namespace {

TEST(StatusTest, ReadsReasonOutcomeAdviceAndLeaderFromTheDetails) {
  const CallError error =
      ParseStatus(testing::MakeStatus({grpc::StatusCode::UNAVAILABLE, "NOT_CONTROLLER",
                                       "not_executed", "other_node", "host-2:7400", 250}));
  EXPECT_EQ(error.code, grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(error.reason, v1::NOT_CONTROLLER);
  EXPECT_EQ(error.outcome, Outcome::kNotExecuted);
  EXPECT_EQ(error.retry, RetryAdvice::kOtherNode);
  EXPECT_EQ(error.leader_endpoint, "host-2:7400");
  EXPECT_EQ(error.leader_id, 2);
  EXPECT_EQ(error.leader_epoch, 7);
  EXPECT_EQ(error.retry_delay, std::chrono::milliseconds(250));
  EXPECT_TRUE(error.from_server());
}

TEST(StatusTest, TakesABareTransportErrorForAnUnknownOutcome) {
  const CallError error = ParseStatus({grpc::StatusCode::UNAVAILABLE, "Socket closed"});
  EXPECT_EQ(error.outcome, Outcome::kUnknown);
  EXPECT_FALSE(error.from_server());
}

TEST(StatusTest, KeepsTheNameOfAReasonItDoesNotKnow) {
  const CallError error =
      ParseStatus(testing::MakeStatus({grpc::StatusCode::ABORTED, "FROM_THE_FUTURE"}));
  EXPECT_EQ(error.reason, v1::UNKNOWN);
  EXPECT_EQ(error.reason_name, "FROM_THE_FUTURE");
  EXPECT_EQ(ToAbslStatus(error).code(), absl::StatusCode::kAborted);
}

TEST(StatusTest, IgnoresDetailsOfAnotherDomainAndBytesThatAreNoDetails) {
  EXPECT_FALSE(ParseStatus({grpc::StatusCode::ABORTED, "x", "\xff\xff"}).from_server());
}

TEST(EndpointsTest, FillsInThePortAndDropsRepeats) {
  const auto endpoints = ParseEndpoints("a:1, b ,a:1,[::1]:5,[::1]");
  ASSERT_TRUE(endpoints.ok());
  EXPECT_EQ(*endpoints, (std::vector<std::string>{"a:1", "b:7400", "[::1]:5", "[::1]:7400"}));
}

TEST(EndpointsTest, RefusesWhatIsNoHostAndPort) {
  for (const char* text : {"", ",", "a:0", "a:65536", "a:x", ":7400", "::1", "http://a:1", "a b"}) {
    EXPECT_FALSE(ParseEndpoints(text).ok()) << text;
  }
}

TEST(EndpointsTest, ForgetsALeaderThatDoesNotServe) {
  Endpoints endpoints({"a:1", "b:1"});
  EXPECT_EQ(endpoints.Preferred(), "a:1");
  endpoints.FollowLeader("c:1");
  EXPECT_EQ(endpoints.Preferred(), "c:1");
  endpoints.Avoid("c:1");
  EXPECT_EQ(endpoints.Preferred(), "a:1");
  endpoints.Avoid("a:1");
  EXPECT_EQ(endpoints.Preferred(), "b:1");
}

}  // namespace
}  // namespace kvorum::client
