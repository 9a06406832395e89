// MetadataService.Commit, if_unchanged_since and reason on real processes that die: a transaction
// is seen whole or not at all, by every subscriber and after every death; a compare-and-set loses
// no update; a reason is found in the log.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "client/metadata_watcher.h"
#include "tests/integration/fake_broker.h"
#include "tests/integration/test_util.h"

namespace kvorum::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int kKeysPerTransaction = 12;
// Twelve of them are more than one message of a stream holds.
constexpr size_t kValueBytes = 15'000;

// A transaction that gives all keys of `group` the same value, and makes and deletes a topic.
v1::CommitRequest SetAll(const std::string& group, int round) {
  v1::CommitRequest request;
  request.add_operations()->mutable_create_topics()->add_topics()->set_name(group);
  for (int i = 0; i < kKeysPerTransaction; ++i) {
    v1::PutEntryRequest& put = *request.add_operations()->mutable_put_entry();
    put.set_key(fmt::format("{}/{}", group, i));
    put.set_value(fmt::format("{:08d}{}", round, std::string(kValueBytes, 'v')));
  }
  request.add_operations()->mutable_delete_topics()->add_topics()->set_name(group);
  return request;
}

// Holds what it is told and says when a commit leaves a group of keys that is not of one piece.
class GroupListener : public client::MetadataListener {
 public:
  void OnReset(const v1::Reset&) override {}
  void OnSnapshotBegin() override { rounds_.clear(); }
  std::optional<client::ApplyError> OnSnapshotRecords(const client::Records& records) override {
    for (const v1::MetadataRecord& record : records) {
      Take(record);
    }
    return std::nullopt;
  }
  void OnSnapshotEnd(const v1::Position& position) override { Check(position); }
  std::optional<client::ApplyError> OnCommit(const client::CommittedRecords& commit) override {
    for (const v1::MetadataRecord& record : commit.records) {
      Take(record);
    }
    Check(commit.to);
    return std::nullopt;
  }
  void OnBookmark(const v1::Bookmark&) override {}

  int64_t offset() const { return offset_.load(); }
  // Read when the watcher is stopped.
  const std::vector<std::string>& problems() const { return problems_; }
  int seen_whole() const { return seen_whole_; }

 private:
  void Take(const v1::MetadataRecord& record) {
    if (record.has_entry()) {
      const std::string group = record.entry().key().substr(0, record.entry().key().find('/'));
      rounds_[group][record.entry().key()] = record.entry().value().substr(0, 8);
      changed_.insert(group);
    } else if (record.has_topic()) {
      topics_.insert(record.topic().name());
    } else if (record.has_remove_topic()) {
      topics_.erase(record.remove_topic().name());
    }
  }
  void Check(const v1::Position& position) {
    for (const std::string& group : changed_) {
      const auto& rounds = rounds_[group];
      std::set<std::string> values;
      for (const auto& [key, round] : rounds) {
        values.insert(round);
      }
      if (values.size() != 1 || rounds.size() != kKeysPerTransaction) {
        problems_.push_back(fmt::format("at {}: group {} has {} keys of {} rounds",
                                        position.offset(), group, rounds.size(), values.size()));
      }
      ++seen_whole_;
    }
    if (!topics_.empty()) {
      problems_.push_back(fmt::format("at {}: topic {}", position.offset(), *topics_.begin()));
    }
    changed_.clear();
    offset_.store(position.offset());
  }

  std::map<std::string, std::map<std::string, std::string>> rounds_;
  std::set<std::string> changed_;
  std::set<std::string> topics_;
  std::vector<std::string> problems_;
  int seen_whole_ = 0;
  std::atomic<int64_t> offset_ = -1;
};

std::shared_ptr<client::Endpoints> EndpointsOf(const std::string& text) {
  auto parsed = client::ParseEndpoints(text);
  EXPECT_TRUE(parsed.ok());
  return std::make_shared<client::Endpoints>(*std::move(parsed));
}

// One follower of the stream of one controller.
struct Follower {
  Follower(const Cluster& cluster, int node) {
    client::MetadataWatcherOptions options;
    options.first_endpoint = cluster.endpoint(node);
    watcher = std::make_unique<client::MetadataWatcher>(EndpointsOf(cluster.endpoints()), options,
                                                        listener);
    watcher->Start();
  }
  GroupListener listener;
  std::unique_ptr<client::MetadataWatcher> watcher;
};

TEST(TransactionTest, IsSeenWholeOrNotAtAllWhileLeadersDie) {
  ClusterOptions options;
  // The broker below does not heartbeat while leaders die.
  options.run_flags = {"--broker-session-timeout-ms", "3600000"};
  Cluster cluster(options);
  cluster.StartAll();
  ASSERT_GE(cluster.WaitForLeader(), 0);
  const auto setup = cluster.MakeClient();
  FakeBroker broker(*setup, 1);
  ASSERT_TRUE(broker.Register());
  ASSERT_TRUE(broker.BecomeUnfenced());
  std::vector<std::unique_ptr<Follower>> followers;
  for (int i = 0; i < cluster.size(); ++i) {
    followers.push_back(std::make_unique<Follower>(cluster, i));
  }
  std::atomic<bool> stop = false;
  std::atomic<int> acknowledged = 0;
  std::vector<std::string> refusals;
  std::thread writer([&] {
    const auto client = cluster.MakeClient();
    for (int round = 0; !stop.load(); ++round) {
      const auto answer = client->Commit(SetAll("g" + std::to_string(round % 3), round));
      if (answer.ok()) {
        ++acknowledged;
      } else if (answer.error().outcome == client::Outcome::kNotExecuted &&
                 answer.error().code != grpc::StatusCode::UNAVAILABLE) {
        refusals.push_back(client::ToText(answer.error()));
      }
    }
  });
  for (int death = 0; death < 3; ++death) {
    const int before = acknowledged.load();
    EXPECT_TRUE(Eventually([&] { return acknowledged.load() > before + 10; }));
    const int leader = cluster.WaitForLeader();
    if (leader < 0) {
      ADD_FAILURE() << "no leader after " << death << " deaths";
      break;
    }
    cluster.Kill(leader);
    EXPECT_GE(cluster.WaitForLeader(), 0);
    cluster.Start(leader);
    EXPECT_TRUE(Eventually([&] {
      const auto answer = cluster.Describe(leader);
      return answer.has_value() && answer->header().applied().offset() > 0;
    }));
  }
  stop.store(true);
  writer.join();
  EXPECT_THAT(refusals, IsEmpty());
  const auto end = setup->ListBrokers({});
  ASSERT_TRUE(end.ok());
  for (const auto& follower : followers) {
    EXPECT_TRUE(Eventually(
        [&] { return follower->listener.offset() >= end->header().applied().offset(); }));
    follower->watcher->Stop();
    EXPECT_THAT(follower->listener.problems(), IsEmpty());
    EXPECT_GT(follower->listener.seen_whole(), 10);
    EXPECT_EQ(follower->watcher->status().counters.gaps, 0);
    EXPECT_EQ(follower->watcher->status().fatal_error, "");
  }
  const Entries entries = ListAll(*setup);
  std::map<std::string, std::set<std::string>> rounds;
  for (const auto& [key, value] : entries) {
    rounds[key.substr(0, key.find('/'))].insert(value.substr(0, 8));
  }
  for (const auto& [group, values] : rounds) {
    EXPECT_EQ(values.size(), 1u) << group;
  }
}

// Four clients count up one number, each reading, adding one and writing "if unchanged since": what
// is acknowledged is in the sum, whoever led meanwhile.
TEST(TransactionTest, CompareAndSetByPositionLosesNoUpdate) {
  constexpr int kClients = 4;
  Cluster cluster;
  cluster.StartAll();
  ASSERT_GE(cluster.WaitForLeader(), 0);
  const auto setup = cluster.MakeClient();
  ASSERT_TRUE(setup->PutEntry(MakePut("n", "0")).ok());
  std::atomic<bool> stop = false;
  std::atomic<int> acknowledged = 0;
  std::atomic<int> conflicts = 0;
  std::atomic<int> unknown = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kClients; ++i) {
    threads.emplace_back([&] {
      const auto client = cluster.MakeClient();
      while (!stop.load()) {
        v1::GetEntryRequest get;
        get.set_key("n");
        const auto read = client->GetEntry(get);
        if (!read.ok()) {
          continue;
        }
        v1::PutEntryRequest put =
            MakePut("n", std::to_string(std::stoi(read->entry().value()) + 1));
        *put.mutable_options()->mutable_if_unchanged_since() = read->header().applied();
        const auto written = client->PutEntry(put);
        if (written.ok()) {
          ++acknowledged;
        } else if (written.error().reason_name == "INVALID_UPDATE_VERSION") {
          ++conflicts;
        } else if (written.error().outcome != client::Outcome::kNotExecuted) {
          ++unknown;
        }
      }
    });
  }
  EXPECT_TRUE(Eventually([&] { return acknowledged.load() > 50 && conflicts.load() > 10; }));
  const int leader = cluster.WaitForLeader();
  EXPECT_GE(leader, 0);
  if (leader >= 0) {
    cluster.Kill(leader);
  }
  const int before = acknowledged.load();
  EXPECT_TRUE(Eventually([&] { return acknowledged.load() > before + 50; }));
  stop.store(true);
  for (std::thread& thread : threads) {
    thread.join();
  }
  const Entries entries = ListAll(*setup);
  const int sum = std::stoi(entries.at("n"));
  EXPECT_GE(sum, acknowledged.load());
  EXPECT_LE(sum, acknowledged.load() + unknown.load());
}

TEST(TransactionTest, TheCommandLineCommitsAFileAndTheLogKeepsTheReason) {
  Cluster cluster;
  cluster.StartAll();
  ASSERT_GE(cluster.WaitForLeader(), 0);
  const auto client = cluster.MakeClient();
  ASSERT_TRUE(client->PutEntry(MakePut("old", "v")).ok());
  const std::string file = cluster.path() + "/ops.json";
  std::ofstream(file) << R"({"operations": [
    {"put_entry": {"key": "new", "value": "dg=="}},
    {"delete_entry": {"key": "old"}}],
    "preconditions": [{"entry": {"key": "new", "version": 0}}]})";
  const auto run = [&](std::vector<std::string> args) {
    args.insert(args.begin(),
                {Cluster::BinaryPath("kvorumctl"), "--endpoints", cluster.endpoints()});
    return RunCommand(args);
  };
  const CommandResult dry = run({"commit", "--file", file, "--validate-only"});
  EXPECT_EQ(dry.exit_code, 0) << dry.output;
  EXPECT_THAT(dry.output, HasSubstr("2 operations would be committed"));
  EXPECT_EQ(ListAll(*client).count("new"), 0u);
  const CommandResult done = run({"--reason", "ticket 4711", "commit", "--file", file});
  EXPECT_EQ(done.exit_code, 0) << done.output;
  EXPECT_THAT(done.output, HasSubstr("2 operations committed"));
  EXPECT_EQ(ListAll(*client), (Entries{{"new", "v"}}));

  const CommandResult again = run({"commit", "--file", file});
  EXPECT_EQ(again.exit_code, 4) << again.output;
  EXPECT_THAT(again.output, HasSubstr("INVALID_UPDATE_VERSION"));
  std::ofstream(file) << "{\"operations\": [{\"no_such\": {}}]}";
  EXPECT_EQ(run({"commit", "--file", file}).exit_code, 2);
  EXPECT_EQ(run({"commit", "--file", file + "x"}).exit_code, 2);
  std::ofstream(file) << "{}";
  const CommandResult empty = run({"commit", "--file", file});
  EXPECT_EQ(empty.exit_code, 1) << empty.output;
  EXPECT_THAT(empty.output, HasSubstr("INVALID_REQUEST"));

  const int node = cluster.WaitForLeader();
  ASSERT_GE(node, 0);
  cluster.Kill(node);
  const CommandResult dump = RunCommand(
      {Cluster::BinaryPath("kvorumd"), "dump-log", "--data-dir", cluster.data_dir(node)});
  EXPECT_EQ(dump.exit_code, 0) << dump.output;
  EXPECT_THAT(dump.output, HasSubstr("write_reason { reason: \"ticket 4711\" }"));
}

}  // namespace
}  // namespace kvorum::testing
