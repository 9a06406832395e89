// Stream-only observers: they join a running cluster by themselves, serve streams and reads like
// any controller, and are never voters.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "client/metadata_cache.h"
#include "client/metadata_watcher.h"
#include "tests/integration/stream_reader.h"
#include "tests/integration/test_util.h"

namespace kvorum::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ObserverTest : public ::testing::Test {
 protected:
  // Three voters that serve, and an observer that follows them.
  void Begin(const ClusterOptions& options = {}) {
    cluster_ = std::make_unique<Cluster>(options);
    cluster_->StartAll();
    ASSERT_GE(cluster_->WaitForLeader(), 0);
    observer_ = cluster_->AddObserver();
    cluster_->Start(observer_);
    ASSERT_TRUE(AwaitObserver()) << cluster_->ReadLog(observer_);
    client_ = cluster_->MakeClient();
  }
  // Waits until the observer has applied something and knows a leader.
  bool AwaitObserver() {
    return Eventually([&] {
      const auto seen = cluster_->Describe(observer_);
      return seen.has_value() && seen->role() == "observer" && seen->header().leader_id() > 0 &&
             seen->header().applied().offset() > 0;
    });
  }
  int64_t Put(const std::string& key) {
    const auto put = PutUntilAcknowledged(*client_, key, "v");
    EXPECT_TRUE(put.ok()) << client::ToText(put.error());
    return put.ok() ? put->header().committed().offset() : -1;
  }
  CommandResult Quorum(std::vector<std::string> args) {
    std::vector<std::string> argv = {Cluster::BinaryPath("kvorumctl"),
                                     "--endpoints",
                                     cluster_->endpoints(),
                                     "--timeout",
                                     "10s",
                                     "quorum"};
    argv.insert(argv.end(), args.begin(), args.end());
    return RunCommand(argv);
  }
  // What the leader says of the observer.
  std::optional<v1::ReplicaStatus> Status() {
    const int leader = cluster_->WaitForLeader();
    const auto seen = leader < 0 ? std::nullopt : cluster_->Describe(leader);
    if (seen.has_value()) {
      for (const v1::ReplicaStatus& replica : seen->observers()) {
        if (replica.node_id() == observer_ + 1) {
          return replica;
        }
      }
    }
    return std::nullopt;
  }

  std::unique_ptr<Cluster> cluster_;
  std::unique_ptr<client::ControllerClient> client_;
  int observer_ = -1;
};

TEST_F(ObserverTest, StreamsWhatIsCommittedAndTellsItsLag) {
  ASSERT_NO_FATAL_FAILURE(Begin(QuietOptions()));
  Put("before");
  StreamReader reader(cluster_->endpoint(observer_));
  const int64_t end = Put("after");
  EXPECT_TRUE(reader.AwaitOffset(end));
  EXPECT_THAT(reader.Snapshot().problems(), IsEmpty());
  EXPECT_EQ(reader.Snapshot().entries().size(), 2U);
  EXPECT_TRUE(Eventually([&] {
    const auto status = Status();
    return status.has_value() && status->log_end_offset() >= end &&
           status->last_fetch_age_ms() >= 0 &&
           status->client_endpoint() == cluster_->endpoint(observer_);
  })) << "the leader tells how far it is, and where clients find it";
  ASSERT_TRUE(AwaitConvergence(*cluster_).has_value()) << "its state is everybody's";

  // One that stands still falls behind, and the leader says so.
  cluster_->process(observer_).Signal(SIGSTOP);
  int64_t later = 0;
  EXPECT_TRUE(Eventually([&] {  // what it was just doing it may end
    later = Put("while it stands still");
    const auto behind = Status();
    return behind.has_value() && behind->log_end_offset() < later;
  }));
  cluster_->process(observer_).Signal(SIGCONT);
  EXPECT_TRUE(Eventually([&] {
    const auto status = Status();
    return status.has_value() && status->log_end_offset() >= later;
  }));
}

TEST_F(ObserverTest, ItsSubscribersGoOnElsewhereFromWhereTheyWere) {
  ASSERT_NO_FATAL_FAILURE(Begin());
  auto parsed = client::ParseEndpoints(cluster_->endpoints());
  ASSERT_TRUE(parsed.ok());
  client::MetadataCache cache;
  client::MetadataWatcherOptions options;
  options.first_endpoint = cluster_->endpoint(observer_);
  client::MetadataWatcher watcher(std::make_shared<client::Endpoints>(*std::move(parsed)), options,
                                  cache);
  watcher.Start();
  WriteLoad load(*cluster_, 3, "load/");
  ASSERT_TRUE(load.AwaitMore(100));
  ASSERT_TRUE(Eventually([&] { return cache.position().offset() > 0; }));
  EXPECT_EQ(watcher.status().endpoint, cluster_->endpoint(observer_));
  cluster_->Kill(observer_);
  ASSERT_TRUE(load.AwaitMore(100));
  load.Stop();
  const int64_t end = Put("last");
  EXPECT_TRUE(Eventually([&] { return cache.position().offset() >= end; }));
  watcher.Stop();
  const client::WatcherStatus status = watcher.status();
  EXPECT_EQ(status.counters.gaps, 0);
  EXPECT_EQ(status.counters.duplicates, 0);
  EXPECT_EQ(status.counters.resets, 0);
  EXPECT_EQ(status.counters.snapshots, 1) << "it went on from its position";
  EXPECT_NE(status.endpoint, cluster_->endpoint(observer_));
}

TEST_F(ObserverTest, TakesOverASubscriberAndFollowsWhenTheLeaderDies) {
  ASSERT_NO_FATAL_FAILURE(Begin());
  Put("before");
  const auto answer = client_->ListBrokers({});
  ASSERT_TRUE(answer.ok());
  // Where a subscriber of another controller is.
  StreamReader reader(cluster_->endpoint(observer_), answer->header().applied());
  WriteLoad load(*cluster_, 3, "load/");
  ASSERT_TRUE(load.AwaitMore(50));
  const int leader = cluster_->WaitForLeader();
  cluster_->Kill(leader);
  ASSERT_TRUE(load.AwaitMore(100));
  load.Stop();
  const int64_t end = Put("last");
  EXPECT_TRUE(reader.AwaitOffset(end)) << "at " << reader.offset() << " of " << end;
  const StreamChecker seen = reader.Snapshot();
  EXPECT_THAT(seen.problems(), IsEmpty());
  EXPECT_EQ(seen.snapshots(), 0);
  EXPECT_EQ(reader.streams(), 1) << "the stream outlives the leader";
}

TEST_F(ObserverTest, RefusesWritesWithTheLeadersAddressAndAnswersReads) {
  ASSERT_NO_FATAL_FAILURE(Begin(QuietOptions()));
  Put("a");
  client::CallOptions there;
  there.endpoint = cluster_->endpoint(observer_);
  const auto put = client_->PutEntry(MakePut("b", "1"), there);
  ASSERT_FALSE(put.ok());
  EXPECT_EQ(put.error().reason, v1::NOT_CONTROLLER);
  const int leader = cluster_->WaitForLeader();
  EXPECT_EQ(put.error().leader_endpoint, cluster_->endpoint(leader));
  v1::GetEntryRequest get;
  get.set_key("a");
  const auto linearizable = client_->GetEntry(get, there);
  ASSERT_TRUE(linearizable.ok()) << client::ToText(linearizable.error());
  EXPECT_EQ(linearizable->entry().value(), "v");

  // A client that reads its own writes, from a node that need not have them yet.
  auto parsed = client::ParseEndpoints(cluster_->endpoints());
  ASSERT_TRUE(parsed.ok());
  client::ControllerClientOptions options;
  options.reads_own_writes = true;
  client::ControllerClient session(std::make_shared<client::Endpoints>(*std::move(parsed)),
                                   options);
  for (int i = 0; i < 20; ++i) {
    const std::string value = fmt::format("{}", i);
    ASSERT_TRUE(session.PutEntry(MakePut("mine", value)).ok());
    v1::GetEntryRequest mine;
    mine.set_key("mine");
    mine.mutable_options()->set_consistency(v1::CONSISTENCY_LOCAL);
    const auto read = session.GetEntry(mine, there);
    ASSERT_TRUE(read.ok()) << client::ToText(read.error());
    EXPECT_EQ(read->entry().value(), value);
  }

  // A stream may insist on the leader.
  v1::SubscribeRequest subscribe;
  subscribe.set_source(v1::SOURCE_LEADER);
  const auto stub = v1::MetadataStreamService::NewStub(
      grpc::CreateChannel(cluster_->endpoint(observer_), grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  const auto stream = stub->Subscribe(&context, subscribe);
  v1::SubscribeResponse response;
  EXPECT_FALSE(stream->Read(&response));
  const grpc::Status status = stream->Finish();
  EXPECT_EQ(client::ParseStatus(status).reason, v1::NOT_CONTROLLER);
}

TEST_F(ObserverTest, IsNeverAVoter) {
  ASSERT_NO_FATAL_FAILURE(Begin(QuietOptions()));
  const CommandResult added =
      Quorum({"add-voter", "--node-id", std::to_string(observer_ + 1), "--controller-endpoint",
              cluster_->controller_endpoint(observer_)});
  EXPECT_EQ(added.exit_code, 4) << added.output;
  EXPECT_THAT(added.output, HasSubstr("OBSERVER_ONLY"));
  // With two voters down it does not stand in for one of them.
  const int leader = cluster_->WaitForLeader();
  cluster_->Kill((leader + 1) % 3);
  cluster_->Kill((leader + 2) % 3);
  client::CallOptions soon;
  soon.timeout = std::chrono::milliseconds(1500);
  EXPECT_FALSE(client_->PutEntry(MakePut("alone", "1"), soon).ok());
  const auto seen = cluster_->Describe(observer_);
  ASSERT_TRUE(seen.has_value());
  EXPECT_EQ(seen->role(), "observer");
}

TEST_F(ObserverTest, ComesBackWithWhatItHas) {
  ASSERT_NO_FATAL_FAILURE(Begin(QuietOptions()));
  Put("a");
  EXPECT_EQ(cluster_->Stop(observer_), 0);
  Put("b");
  cluster_->Start(observer_);
  ASSERT_TRUE(AwaitObserver());
  StreamReader reader(cluster_->endpoint(observer_));
  EXPECT_TRUE(reader.AwaitOffset(Put("c")));
  EXPECT_EQ(reader.Snapshot().entries().size(), 3U);
}

TEST_F(ObserverTest, WaitsForItsClusterAndRefusesWhatCannotBe) {
  Cluster cluster(QuietOptions());
  const int observer = cluster.AddObserver();
  cluster.Start(observer);  // before there is anything to follow
  ASSERT_TRUE(Eventually(
      [&] { return cluster.ReadLog(observer).find("kvorumd waiting") != std::string::npos; }));
  cluster.StartAll();
  EXPECT_TRUE(Eventually([&] {
    const auto seen = cluster.Describe(observer);
    return seen.has_value() && seen->header().applied().offset() > 0;
  })) << cluster.ReadLog(observer);

  const auto run = [&](const std::string& dir, std::vector<std::string> args) {
    std::vector<std::string> argv = {Cluster::BinaryPath("kvorumd"),
                                     "run",
                                     "--observer",
                                     "--data-dir",
                                     dir,
                                     "--client-listener",
                                     "127.0.0.1:0",
                                     "--controller-listener",
                                     "127.0.0.1:0",
                                     "--http-listener",
                                     "off"};
    argv.insert(argv.end(), args.begin(), args.end());
    return RunCommand(argv);
  };
  const std::vector<std::string> servers = {"--quorum-bootstrap-servers",
                                            cluster.controller_endpoint(0)};
  const std::string empty = cluster.path() + "/empty";
  const CommandResult without_servers = run(empty, {"--node-id", "9"});
  EXPECT_EQ(without_servers.exit_code, 1);
  EXPECT_THAT(without_servers.output, HasSubstr("quorum-bootstrap-servers"));
  const CommandResult without_id = run(empty, servers);
  EXPECT_EQ(without_id.exit_code, 72);
  EXPECT_THAT(without_id.output, HasSubstr("node-id"));
  const CommandResult taken = run(empty, {"--node-id", "2", servers[0], servers[1]});
  EXPECT_EQ(taken.exit_code, 72);
  EXPECT_THAT(taken.output, HasSubstr("node-id 2"));
  const CommandResult foreign = run(cluster.path() + "/foreign", {"--node-id", "9", "--cluster-id",
                                                                  "other", servers[0], servers[1]});
  EXPECT_EQ(foreign.exit_code, 72);
  EXPECT_THAT(foreign.output, HasSubstr("configured for cluster other"));
  cluster.Kill(2);
  const CommandResult voter = run(cluster.data_dir(2), servers);
  EXPECT_EQ(voter.exit_code, 72);
  EXPECT_THAT(voter.output, HasSubstr("is a voter's"));
}

}  // namespace
}  // namespace kvorum::testing
