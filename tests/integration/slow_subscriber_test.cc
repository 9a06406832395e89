// Subscribers that are too slow, or not there any more: they cost the controller a cursor, are told
// where to go on, and nobody else notices.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "client/status.h"
#include "tests/integration/stream_reader.h"
#include "tests/integration/test_util.h"

namespace kvorum::testing {
namespace {

using ::testing::IsEmpty;

// The value of a number on the controller's /metrics; nullopt: it says nothing.
std::optional<double> Metric(const Cluster& cluster, int index, const std::string& name) {
  const CommandResult page = RunCommand(
      {"curl", "-sS", "-m", "5", fmt::format("http://{}/metrics", cluster.http_endpoint(index))});
  std::istringstream lines(page.output);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(name + " ")) {
      return std::stod(line.substr(name.size() + 1));
    }
  }
  return std::nullopt;
}

// One subscription that is read when the test says so, over a window of HTTP/2's default size.
class ReluctantReader {
 public:
  ReluctantReader(const std::string& endpoint, const v1::SubscribeRequest& request) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    stub_ = v1::MetadataStreamService::NewStub(
        grpc::CreateCustomChannel(endpoint, grpc::InsecureChannelCredentials(), arguments));
    checker.OnStreamStart(request);
    stream_ = stub_->Subscribe(&context_, request);
  }
  ~ReluctantReader() { context_.TryCancel(); }

  // Takes the next message; false at the stream's end.
  bool ReadOne() {
    v1::SubscribeResponse response;
    if (!stream_->Read(&response)) {
      return false;
    }
    for (const v1::MetadataUpdate& update : response.updates()) {
      checker.OnUpdate(update);
    }
    return true;
  }
  // Takes everything up to the end: why it ended.
  client::CallError ReadToTheEnd() {
    while (ReadOne()) {
    }
    return client::ParseStatus(stream_->Finish());
  }

  StreamChecker checker;

 private:
  grpc::ClientContext context_;
  std::unique_ptr<v1::MetadataStreamService::Stub> stub_;
  std::unique_ptr<grpc::ClientReader<v1::SubscribeResponse>> stream_;
};

class SlowSubscriberTest : public ::testing::Test {
 protected:
  void Begin(std::vector<std::string> flags) {
    ClusterOptions options = QuietOptions();
    options.run_flags.insert(options.run_flags.end(), flags.begin(), flags.end());
    cluster_ = std::make_unique<Cluster>(options);
    cluster_->StartAll();
    ASSERT_GE(cluster_->WaitForLeader(), 0);
    client_ = cluster_->MakeClient();
  }
  // More than fits between the server and one who does not read.
  void PutMuch(const std::string& prefix) {
    for (int i = 0; i < 60; ++i) {
      ASSERT_TRUE(
          client_->PutEntry(MakePut(fmt::format("{}/{}", prefix, i), std::string(30'000, 'v')))
              .ok());
    }
  }
  bool AwaitMetric(const std::string& name, double value, milliseconds timeout = kPatience) {
    return Eventually([&] { return Metric(*cluster_, 0, name) == value; }, timeout);
  }
  int64_t End() { return client_->ListBrokers({})->header().applied().offset(); }

  // It is told why and where to go on, and from there nothing is missing or comes twice.
  void ExpectToldAndResumable(ReluctantReader& slow) {
    const client::CallError end = slow.ReadToTheEnd();
    EXPECT_EQ(end.code, grpc::StatusCode::RESOURCE_EXHAUSTED) << client::ToText(end);
    EXPECT_EQ(end.reason, v1::CLASS_SHED);
    EXPECT_THAT(end.message, ::testing::HasSubstr("resume from"));
    EXPECT_THAT(slow.checker.problems(), IsEmpty());
    StreamReader resumed(cluster_->endpoint(0), slow.checker.position());
    EXPECT_TRUE(resumed.AwaitOffset(End()));
    EXPECT_THAT(resumed.Snapshot().problems(), IsEmpty());
  }

  std::unique_ptr<Cluster> cluster_;
  std::unique_ptr<client::ControllerClient> client_;
};

TEST_F(SlowSubscriberTest, OneThatTakesNothingIsToldWhereToGoOnAndOthersDoNotNotice) {
  ASSERT_NO_FATAL_FAILURE(
      Begin({"--stream-stall-timeout-ms", "4000", "--stream-bookmark-interval-ms", "200"}));
  ReluctantReader slow(cluster_->endpoint(0), v1::SubscribeRequest());
  ASSERT_TRUE(slow.ReadOne());
  StreamReader lively(cluster_->endpoint(0));
  PutMuch("a");
  EXPECT_TRUE(lively.AwaitOffset(End()));
  ASSERT_TRUE(AwaitMetric("stream_slow_endings", 1));
  ExpectToldAndResumable(slow);
  EXPECT_EQ(lively.streams(), 1);
  EXPECT_THAT(lively.Snapshot().problems(), IsEmpty());
}

TEST_F(SlowSubscriberTest, OneThatIsTooFarBehindIsToldAndComesBackWithASnapshot) {
  ASSERT_NO_FATAL_FAILURE(Begin({"--stream-max-lag", "40"}));
  ReluctantReader slow(cluster_->endpoint(0), v1::SubscribeRequest());
  ASSERT_TRUE(slow.ReadOne());
  PutMuch("a");
  ASSERT_TRUE(AwaitMetric("stream_slow_endings", 1));
  ExpectToldAndResumable(slow);
  PutMuch("b");
  v1::SubscribeRequest request;
  *request.mutable_resume_from() = *slow.checker.position();
  ReluctantReader back(cluster_->endpoint(0), request);
  while (back.checker.snapshots() == 0 && back.ReadOne()) {
  }
  EXPECT_EQ(back.checker.resets(), 1);
  EXPECT_THAT(back.checker.problems(), IsEmpty());
}

// Below the limits, one that fell off the ring is served from the log.
TEST_F(SlowSubscriberTest, OneThatFellOffTheRingGoesOnFromTheLog) {
  ASSERT_NO_FATAL_FAILURE(Begin({"--stream-tail-max-bytes", "65536"}));
  ReluctantReader slow(cluster_->endpoint(0), v1::SubscribeRequest());
  ASSERT_TRUE(slow.ReadOne());
  PutMuch("a");
  const int64_t end = End();
  while (slow.checker.position()->offset() < end && slow.ReadOne()) {
  }
  EXPECT_EQ(slow.checker.position()->offset(), end);
  EXPECT_EQ(slow.checker.snapshots(), 1) << "the one it began with";
  EXPECT_THAT(slow.checker.problems(), IsEmpty());
}

// A host that vanished says nothing and closes nothing: only keepalive finds it.
TEST_F(SlowSubscriberTest, OneWhoseHostIsGoneIsForgotten) {
  ASSERT_NO_FATAL_FAILURE(Begin({"--stream-stall-timeout-ms", "600000"}));
  Process watcher({Cluster::BinaryPath("kvorumctl"), "--endpoints", cluster_->endpoint(0), "watch"},
                  cluster_->path() + "/watch.log");
  ASSERT_TRUE(AwaitMetric("stream_subscribers", 1));
  watcher.Signal(SIGSTOP);
  EXPECT_TRUE(AwaitMetric("stream_subscribers", 0, seconds(40)));
}

}  // namespace
}  // namespace kvorum::testing
