// The birth of a cluster: controllers on empty directories, and one command.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>

#include "kvorum/v1/cluster.grpc.pb.h"
#include "tests/integration/raw_call.h"
#include "tests/integration/test_util.h"

namespace kvorum::testing {
namespace {

using ::testing::HasSubstr;

constexpr int kConflict = 4;
constexpr int kUnavailable = 5;
constexpr int kUsage = 1;
constexpr int kBadDirectory = 72;

ClusterOptions Unformatted(int controllers = 3) {
  ClusterOptions options = QuietOptions();
  options.controllers = controllers;
  options.is_formatted = false;
  return options;
}

class BootstrapTest : public ::testing::Test {
 protected:
  explicit BootstrapTest(int controllers = 3) : cluster_(Unformatted(controllers)) {}

  std::optional<v1::DescribeNodeResponse> DescribeSelf(int index) {
    const RawAnswer answer = Call(MakeRawChannel(cluster_.endpoint(index)),
                                  {"kvorum.v1.ClusterService/DescribeNode", ""});
    v1::DescribeNodeResponse response;
    return answer.status.ok() && response.ParseFromString(answer.bytes) ? std::optional(response)
                                                                        : std::nullopt;
  }

  RawAnswer Initialize(int index, const v1::InitializeRequest& request) {
    return Call(MakeRawChannel(cluster_.endpoint(index)),
                {"kvorum.v1.ClusterService/Initialize", request.SerializeAsString()});
  }

  void StartWaiting(int index) {
    cluster_.Start(index);
    ASSERT_TRUE(Eventually([&] { return DescribeSelf(index).has_value(); }))
        << cluster_.ReadLog(index);
  }

  void StartAllWaiting() {
    for (int i = 0; i < cluster_.size(); ++i) {
      StartWaiting(i);
    }
  }

  CommandResult Kvorumctl(const std::string& endpoints, std::vector<std::string> args) {
    args.insert(args.begin(), {Cluster::BinaryPath("kvorumctl"), "--endpoints", endpoints});
    return RunCommand(args);
  }

  CommandResult Init(std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"cluster", "init"});
    return Kvorumctl(cluster_.endpoints(), std::move(more));
  }

  v1::InitializeRequest ListOf(const std::vector<int>& indexes) {
    v1::InitializeRequest request;
    request.set_cluster_id("test");
    for (const int i : indexes) {
      *request.add_voters() = DescribeSelf(i)->self();
    }
    return request;
  }

  Cluster cluster_;
};

TEST_F(BootstrapTest, OneCommandMakesAClusterOfEmptyDirectories) {
  ASSERT_NO_FATAL_FAILURE(StartAllWaiting());
  const CommandResult result = Init({"--cluster-id", "born"});
  ASSERT_EQ(result.exit_code, 0) << result.output << cluster_.ReadLog(0);
  EXPECT_THAT(result.output, HasSubstr("born"));
  ASSERT_TRUE(cluster_.MakeClient()->PutEntry(MakePut("k", "v")).ok());
  ASSERT_TRUE(AwaitConvergence(cluster_).has_value());
  EXPECT_EQ(cluster_.Describe(0)->header().cluster_id(), "born");

  // Once, and only once.
  const CommandResult again = Init({"--cluster-id", "born"});
  EXPECT_EQ(again.exit_code, kConflict) << again.output;
  EXPECT_THAT(again.output, HasSubstr("initialized already"));
  const CommandResult another = Init({"--cluster-id", "another"});
  EXPECT_EQ(another.exit_code, kConflict) << another.output;

  // It is a cluster like any other: over a restart too.
  for (int i = 0; i < cluster_.size(); ++i) {
    cluster_.Kill(i);
  }
  cluster_.StartAll();
  EXPECT_EQ(ListAll(*cluster_.MakeClient(kPatience)).size(), 1U);
}

TEST_F(BootstrapTest, WhoWaitsServesNothingAndSaysSo) {
  ASSERT_NO_FATAL_FAILURE(StartWaiting(0));
  const auto channel = MakeRawChannel(cluster_.endpoint(0));
  for (const char* method :
       {"kvorum.v1.EntryService/Put", "kvorum.v1.QuorumService/DescribeQuorum",
        "kvorum.v1.MetadataStreamService/Subscribe", "no.such.Service/Method"}) {
    const RawAnswer answer = Call(channel, {method, ""});
    ASSERT_FALSE(answer.status.ok()) << method;
    EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::UNAVAILABLE) << method;
    EXPECT_EQ(answer.reason(), "CLUSTER_NOT_INITIALIZED") << method;
    EXPECT_EQ(answer.error().outcome, client::Outcome::kNotExecuted) << method;
  }
  const RawAnswer raft =
      Call(MakeRawChannel(cluster_.controller_endpoint(0)), {"kvorum.v1.RaftService/Vote", ""});
  EXPECT_EQ(raft.reason(), "CLUSTER_NOT_INITIALIZED");
  const auto get = [&](const std::string& path) {
    return RunCommand({"curl", "-sS", "-m", "5", "-w", "\n%{http_code}",
                       fmt::format("http://{}{}", cluster_.http_endpoint(0), path)})
        .output;
  };
  EXPECT_THAT(get("/livez"), HasSubstr("\n200"));
  EXPECT_THAT(get("/readyz"), HasSubstr("\n503"));
  EXPECT_EQ(
      Kvorumctl(cluster_.endpoint(0), {"--timeout", "1s", "entry", "put", "k", "v"}).exit_code,
      kUnavailable);
  const CommandResult shown = Kvorumctl(cluster_.endpoint(0), {"cluster", "describe"});
  EXPECT_THAT(shown.output, HasSubstr("uninitialized"));
  cluster_.process(0).Signal(SIGTERM);
  EXPECT_EQ(cluster_.process(0).Wait(), 0) << cluster_.ReadLog(0);
}

TEST_F(BootstrapTest, ItKeepsItsDirectoryIdOverARestartAndDrawsAnotherOnAnotherDisk) {
  ASSERT_NO_FATAL_FAILURE(StartWaiting(0));
  const std::string id = DescribeSelf(0)->self().directory_id();
  EXPECT_EQ(id.size(), 36U);
  cluster_.Kill(0);
  ASSERT_NO_FATAL_FAILURE(StartWaiting(0));
  EXPECT_EQ(DescribeSelf(0)->self().directory_id(), id);
  cluster_.Kill(0);
  std::filesystem::remove_all(cluster_.data_dir(0));
  ASSERT_NO_FATAL_FAILURE(StartWaiting(0));
  EXPECT_NE(DescribeSelf(0)->self().directory_id(), id);
}

TEST_F(BootstrapTest, AHalfDoneInitIsFinishedByRunningItAgain) {
  ASSERT_NO_FATAL_FAILURE(StartAllWaiting());
  ASSERT_TRUE(Initialize(0, ListOf({0, 1, 2})).status.ok());
  ASSERT_TRUE(Eventually([&] {
    const auto state = DescribeSelf(0);
    return state.has_value() && state->initialized();
  }));
  cluster_.Kill(1);  // before it heard of it
  ASSERT_NO_FATAL_FAILURE(StartWaiting(1));
  const CommandResult result = Init();
  ASSERT_EQ(result.exit_code, 0) << result.output;
  ASSERT_TRUE(cluster_.MakeClient()->PutEntry(MakePut("k", "v")).ok());
  ASSERT_TRUE(AwaitConvergence(cluster_).has_value());
  EXPECT_EQ(cluster_.Describe(2)->header().cluster_id(), "test");
}

TEST_F(BootstrapTest, AnInitThatNotAllCanHearChangesNothing) {
  ASSERT_NO_FATAL_FAILURE(StartWaiting(0));
  ASSERT_NO_FATAL_FAILURE(StartWaiting(1));
  const CommandResult result = Init({"--timeout", "2s"});
  EXPECT_NE(result.exit_code, 0) << result.output;
  EXPECT_THAT(result.output, HasSubstr("nothing was changed"));
  EXPECT_FALSE(DescribeSelf(0)->initialized());
  EXPECT_FALSE(DescribeSelf(1)->initialized());
}

TEST_F(BootstrapTest, AnEmptyDiskMayNotComeBackAsAVoterThatIsKnown) {
  ASSERT_NO_FATAL_FAILURE(StartAllWaiting());
  ASSERT_EQ(Init().exit_code, 0);
  const int victim = 1;
  cluster_.Kill(victim);
  std::filesystem::remove_all(cluster_.data_dir(victim));
  ASSERT_NO_FATAL_FAILURE(StartWaiting(victim));
  EXPECT_FALSE(DescribeSelf(victim)->initialized()) << "it formats nothing by itself";
  const CommandResult refused = Init();
  EXPECT_EQ(refused.exit_code, kConflict) << refused.output;
  EXPECT_THAT(refused.output, HasSubstr("empty disk"));
  EXPECT_THAT(refused.output, HasSubstr("remove-voter"));
  EXPECT_FALSE(DescribeSelf(victim)->initialized());
  EXPECT_TRUE(PutUntilAcknowledged(*cluster_.MakeClient(), "k", "v").ok()) << "two are enough";
}

TEST_F(BootstrapTest, InitializeRefusesWhatCanNotBeAndChangesNothing) {
  ASSERT_NO_FATAL_FAILURE(StartAllWaiting());
  const auto expect = [&](const std::string& reason, const v1::InitializeRequest& request) {
    const RawAnswer answer = Initialize(0, request);
    ASSERT_FALSE(answer.status.ok()) << request.ShortDebugString();
    EXPECT_EQ(answer.reason(), reason) << request.ShortDebugString();
    EXPECT_EQ(answer.error().outcome, client::Outcome::kNotExecuted);
  };
  const v1::InitializeRequest good = ListOf({0, 1, 2});
  expect("INVALID_REQUEST", {});
  const auto with = [&good](const std::function<void(v1::InitializeRequest&)>& change) {
    v1::InitializeRequest request = good;
    change(request);
    return request;
  };
  expect("INVALID_REQUEST", with([](auto& r) { r.set_cluster_id("no good"); }));
  expect("INVALID_REQUEST", with([](auto& r) { r.set_cluster_id(std::string(65, 'x')); }));
  expect("INVALID_REQUEST", with([](auto& r) { r.clear_voters(); }));
  expect("INVALID_REQUEST", with([](auto& r) { *r.add_voters() = r.voters(0); }));
  expect("INVALID_REQUEST", with([](auto& r) { r.mutable_voters(1)->set_node_id(-1); }));
  expect("INVALID_REQUEST", with([](auto& r) { r.mutable_voters(1)->set_directory_id("x"); }));
  expect("INVALID_REQUEST",
         with([](auto& r) { r.mutable_voters(1)->set_directory_id(r.voters(0).directory_id()); }));
  expect("INVALID_REQUEST",
         with([](auto& r) { r.mutable_voters(1)->mutable_controller_endpoint()->clear_host(); }));
  expect("INVALID_REQUEST", with([](auto& r) {
           r.mutable_voters(1)->mutable_controller_endpoint()->set_port(65536);
         }));
  expect("INVALID_REQUEST", with([](auto& r) {
           for (int i = 0; i < 65; ++i) {
             *r.add_voters() = r.voters(0);
           }
         }));
  expect("INVALID_VOTER_KEY", ListOf({1, 2}));
  EXPECT_FALSE(DescribeSelf(0)->initialized());
  EXPECT_FALSE(std::filesystem::exists(cluster_.data_dir(0) + "/log"));

  // The good one, twice: and then nothing else any more.
  ASSERT_TRUE(Initialize(0, good).status.ok());
  ASSERT_TRUE(Eventually([&] { return Initialize(0, good).status.ok(); }));
  ASSERT_TRUE(Eventually([&] { return cluster_.Describe(0).has_value(); }));
  expect("CLUSTER_ALREADY_INITIALIZED", with([](auto& r) { r.set_cluster_id("another"); }));
  expect("CLUSTER_ALREADY_INITIALIZED", ListOf({0, 1}));
}

TEST_F(BootstrapTest, TwoClustersAreNeverMixed) {
  Cluster other(QuietOptions());
  other.StartAll();
  ASSERT_GE(other.WaitForLeader(), 0);
  ASSERT_NO_FATAL_FAILURE(StartAllWaiting());
  const CommandResult mixed =
      Kvorumctl(cluster_.endpoint(0) + "," + cluster_.endpoint(1) + "," + other.endpoint(2),
                {"cluster", "init"});
  EXPECT_EQ(mixed.exit_code, kConflict) << mixed.output;
  EXPECT_FALSE(DescribeSelf(0)->initialized());
  ASSERT_EQ(Init().exit_code, 0);
  const CommandResult both =
      Kvorumctl(cluster_.endpoint(0) + "," + other.endpoint(2), {"cluster", "init"});
  EXPECT_EQ(both.exit_code, kConflict) << both.output;
  EXPECT_THAT(both.output, HasSubstr("two clusters"));
}

TEST_F(BootstrapTest, TwoControllersWithOneNodeIdAreNamed) {
  ASSERT_NO_FATAL_FAILURE(StartWaiting(0));
  const std::vector<int> ports = FreePorts(2);
  const std::string endpoint = fmt::format("127.0.0.1:{}", ports[0]);
  Process twin({Cluster::BinaryPath("kvorumd"), "run", "--node-id", "1", "--data-dir",
                cluster_.path() + "/twin", "--client-listener", endpoint, "--controller-listener",
                fmt::format("127.0.0.1:{}", ports[1]), "--http-listener", "off"},
               cluster_.path() + "/twin.log");
  ASSERT_TRUE(Eventually(
      [&] { return Contains(ReadFile(cluster_.path() + "/twin.log"), "kvorumd waiting"); }));
  const CommandResult result =
      Kvorumctl(cluster_.endpoint(0) + "," + endpoint, {"cluster", "init"});
  EXPECT_EQ(result.exit_code, kConflict) << result.output;
  EXPECT_THAT(result.output, HasSubstr("node 1"));
}

TEST_F(BootstrapTest, ADirectoryThatIsNeitherEmptyNorFormattedIsRefused) {
  std::filesystem::create_directories(cluster_.data_dir(0) + "/log");
  cluster_.Start(0);
  EXPECT_EQ(cluster_.process(0).Wait(), kBadDirectory);
  EXPECT_TRUE(Contains(cluster_.ReadLog(0), "no meta.properties")) << cluster_.ReadLog(0);

  ASSERT_NO_FATAL_FAILURE(StartWaiting(1));
  const CommandResult second =
      RunCommand({Cluster::BinaryPath("kvorumd"), "run", "--node-id", "2", "--data-dir",
                  cluster_.data_dir(1), "--client-listener", "127.0.0.1:0", "--controller-listener",
                  "127.0.0.1:0", "--http-listener", "off"});
  EXPECT_EQ(second.exit_code, kBadDirectory);
  EXPECT_THAT(second.output, HasSubstr("another process"));
  const CommandResult renamed = RunCommand({Cluster::BinaryPath("kvorumd"), "run", "--node-id", "x",
                                            "--data-dir", cluster_.data_dir(2)});
  EXPECT_EQ(renamed.exit_code, kUsage);
}

}  // namespace
}  // namespace kvorum::testing
