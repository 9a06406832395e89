// What snapshots cost writes (W7), and how long a restart takes with that state (W6).
//   build/release/bin/snapshot_bench [--controllers 1|3] [--partitions N] [--in-flight N] …

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "kvorum/v1/entry.grpc.pb.h"
#include "server/base/check.h"
#include "tests/bench/load.h"
#include "tests/integration/fake_broker.h"
#include "tests/integration/test_util.h"

namespace kvorum::bench {
namespace {

using std::chrono::milliseconds;
using testing::Cluster;
using testing::ClusterOptions;

constexpr size_t kValueBytes = 256;
constexpr uint64_t kKeys = 100'000;
constexpr int kPartitionsPerTopic = 5'000;

struct Options {
  int controllers = 3;
  int partitions = 500'000;
  int in_flight = 16;
  double seconds = 5;
  int rounds = 3;
};

ClusterOptions MakeClusterOptions(const Options& options) {
  ClusterOptions cluster;
  cluster.controllers = options.controllers;
  // Nothing by itself: snapshots come when the benchmark asks for them, and brokers stay.
  cluster.run_flags = {"--broker-session-timeout-ms", "86400000",
                       "--snapshot-max-log-bytes",    "68719476736",
                       "--log-retention-bytes",       "1073741824"};
  return cluster;
}

// Triggers snapshots on all controllers, one after the other without a pause, from a thread per
// controller. What they hold is what was written meanwhile and before.
class SnapshotMaker {
 public:
  explicit SnapshotMaker(const Cluster& cluster) {
    for (int i = 0; i < cluster.size(); ++i) {
      threads_.emplace_back([this, endpoint = cluster.endpoint(i),
                             client = cluster.MakeClient(std::chrono::minutes(5))] {
        while (!stopping_) {
          const auto made = client->TriggerSnapshot({}, {std::nullopt, endpoint});
          if (!made.ok() && made.error().retry == client::RetryAdvice::kSameNode) {
            continue;  // what is applied is not on its own disk yet
          }
          KVORUM_CHECK(made.ok(), "snapshot: {}", client::ToText(made.error()));
          bytes_ = made->size_bytes();
          ++count_;
        }
      });
    }
  }

  void Stop() {
    stopping_ = true;
    for (std::thread& thread : threads_) {
      thread.join();
    }
    threads_.clear();
  }

  int count() const { return count_; }
  int64_t bytes() const { return bytes_; }

 private:
  std::atomic<bool> stopping_ = false;
  std::atomic<int> count_ = 0;
  std::atomic<int64_t> bytes_ = 0;  // of one
  std::vector<std::thread> threads_;
};

void CreatePartitions(client::ControllerClient& client, int count) {
  testing::FakeBroker broker(client, 1);
  KVORUM_CHECK(broker.Register() && broker.BecomeUnfenced(), "the broker cannot register");
  for (int topic = 0; count > 0; ++topic) {
    v1::CreateTopicsRequest request;
    v1::NewTopic& wanted = *request.add_topics();
    wanted.set_name(fmt::format("topic-{}", topic));
    wanted.set_partition_count(std::min(count, kPartitionsPerTopic));
    wanted.set_replication_factor(1);
    const auto created = client.CreateTopics(request);
    KVORUM_CHECK(created.ok(), "{}", client::ToText(created.error()));
    KVORUM_CHECK(created->results(0).status().code() == 0, "{}",
                 created->results(0).status().message());
    count -= wanted.partition_count();
  }
}

LoadResult RunLoad(const Cluster& cluster, int leader, const Options& options) {
  LoadOptions load;
  load.in_flight = options.in_flight;
  load.channels = std::min(options.in_flight, 8);
  load.duration = milliseconds(static_cast<int64_t>(options.seconds * 1000));
  std::vector<std::unique_ptr<v1::EntryService::Stub>> stubs;
  for (const auto& channel : MakeChannels(cluster.endpoint(leader), load.channels)) {
    stubs.push_back(v1::EntryService::NewStub(channel));
  }
  const std::string value(kValueBytes, 'v');
  ClosedLoop<v1::EntryService::Stub, v1::PutEntryResponse> loop(
      std::move(stubs), [&value](auto& stub, auto& context, auto& queue, uint64_t n) {
        v1::PutEntryRequest request;
        request.set_key(fmt::format("bench/{:08}", n * 7919 % kKeys));
        request.set_value(value);
        return stub.AsyncPut(&context, request, &queue);
      });
  return loop.Run(load);
}

void Print(const std::string& name, const LoadResult& result) {
  std::cout << fmt::format("{:<22}{:>10.0f}{:>9.2f}{:>9.2f}{:>9.2f}{:>9.2f}{:>8}\n", name,
                           result.per_second, result.p50_ms, result.p99_ms, result.p999_ms,
                           result.max_ms, result.errors)
            << std::flush;
}

// From starting the processes, all at once, to the first linearizable read.
milliseconds TimeRestart(Cluster& cluster) {
  for (int i = 0; i < cluster.size(); ++i) {
    cluster.Kill(i);
  }
  const auto begin = std::chrono::steady_clock::now();
  cluster.StartAll();
  KVORUM_CHECK(cluster.WaitForLeader(std::chrono::minutes(2)) >= 0, "no leader after a restart");
  return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - begin);
}

int Main(const Options& options) {
  Cluster cluster(MakeClusterOptions(options));
  cluster.StartAll();
  KVORUM_CHECK(cluster.WaitForLeader() >= 0, "no leader; logs in {}", cluster.path());
  const auto client = cluster.MakeClient(std::chrono::minutes(1));
  CreatePartitions(*client, options.partitions);
  const milliseconds from_log = TimeRestart(cluster);
  const int leader = cluster.WaitForLeader();
  std::cout << fmt::format(
      "{} controllers, {} partitions, {} writes of {} bytes in flight, {} s each\n\n"
      "{:<22}{:>10}{:>9}{:>9}{:>9}{:>9}{:>8}\n",
      options.controllers, options.partitions, options.in_flight, kValueBytes, options.seconds, "",
      "writes/s", "p50 ms", "p99 ms", "p99.9 ms", "max ms", "errors");
  int snapshots = 0;
  int64_t bytes = 0;
  for (int round = 0; round < options.rounds; ++round) {
    Print("without snapshots", RunLoad(cluster, leader, options));
    SnapshotMaker maker(cluster);
    Print("snapshots all the time", RunLoad(cluster, leader, options));
    maker.Stop();
    snapshots += maker.count();
    bytes = maker.bytes();
  }
  const milliseconds from_snapshot = TimeRestart(cluster);
  std::cout << fmt::format(
      "\n{} snapshots of {:.1f} MiB were made\nrestart of all, start to first linearizable read: "
      "{} ms from the log alone, {} ms with a snapshot\n",
      snapshots, static_cast<double>(bytes) / (1 << 20), from_log.count(), from_snapshot.count());
  return 0;
}

}  // namespace
}  // namespace kvorum::bench

int main(int argc, char** argv) {
  kvorum::bench::Options options;
  CLI::App app("The cost of snapshots under write load, and of a restart");
  app.add_option("--controllers", options.controllers, "how many")->check(CLI::IsMember({1, 3}));
  app.add_option("--partitions", options.partitions, "in the state")
      ->check(CLI::Range(1, 4'000'000));
  app.add_option("--in-flight", options.in_flight, "writes in flight")
      ->check(CLI::Range(1, 10'000));
  app.add_option("--seconds", options.seconds, "length of one measurement");
  app.add_option("--rounds", options.rounds, "measurements of each kind")->check(CLI::Range(1, 99));
  CLI11_PARSE(app, argc, argv);
  return kvorum::bench::Main(options);
}
