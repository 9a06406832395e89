// What a million partitions cost, and how long the leaders of a failed broker's partitions take to
// be elsewhere: `build/release/bin/partition_bench`. In this process, by the code that the active
// controller and the committed image run, without disks and network (`--cluster`: three real
// controllers on loopback, with fsync).

#include <fmt/format.h>
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/base/check.h"
#include "server/controller/active_controller.h"
#include "server/node/commit_applier.h"
#include "server/node/ports.h"
#include "storage/types/record_batch.h"
#include "tests/bench/partition_cluster.h"

namespace kvorum::bench {
namespace {

using controller::ActiveController;
using controller::Command;
using controller::CommandReply;

constexpr int kPartitionsPerRequest = 10'000;
constexpr int32_t kFailures = 9;  // the brokers that are fenced, one after the other: 0, 1, …
constexpr char kClusterId[] = "bench";

double MillisSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

size_t HeapBytes() {
  malloc_trim(0);
  return mallinfo2().uordblks + mallinfo2().hblkhd;
}

class NullFeed : public CommitFeed {
 public:
  void OnCommit(publish::CommittedUpdate) override {}
  void OnImage(std::shared_ptr<const MetadataImage>) override {}
  void OnLeader(publish::LeaderView) override {}
};

// Raft's part: takes batches, and counts what they would take on a disk.
class BenchLog : public controller::LogAppender {
 public:
  Offset log_end_offset() const override { return end_; }
  void Append(Now now, Epoch epoch, int32_t count,
              std::shared_ptr<const std::string> payload) override {
    RecordBatch batch =
        MakeBatch(end_, count, epoch, false, now.wall_ms, std::move(payload), chain_);
    chain_ = batch.chain_hash;
    end_ = batch.end_offset();
    bytes_ += batch.encoded_size();
    records_ += count;
    pending_.push_back(std::move(batch));
  }

  std::vector<RecordBatch> TakePending() { return std::exchange(pending_, {}); }
  size_t bytes() const { return bytes_; }
  int64_t records() const { return records_; }

 private:
  Offset end_{0};
  uint64_t chain_ = GenesisChainHash(kClusterId);
  size_t bytes_ = 0;
  int64_t records_ = 0;
  std::vector<RecordBatch> pending_;
};

// A leader, and the committed image that every node keeps.
class Bench {
 public:
  Bench() : committed_(feed_, GenesisChainHash(kClusterId)) {}

  // A controller that starts from what is committed, as after a failover.
  void Elect() {
    controller_.reset();
    controller::ControllerConfig config;
    config.max_idle_interval = Duration(0);
    controller_ = std::make_unique<ActiveController>(config, 1, log_, Random(1));
    controller_->Activate(now_, Epoch(1), committed_.image());
  }
  void Resign() { controller_.reset(); }

  void Commit() {
    const std::vector<RecordBatch> batches = log_.TakePending();
    committed_.Apply(batches);
    controller_->OnCommitted(now_, committed_.image());
  }

  void Run(const Command& command) {
    bool is_ok = false;
    controller_->HandleCommand(now_, command, kNever, [&](absl::StatusOr<CommandReply> reply) {
      KVORUM_CHECK(reply.ok(), "{}", reply.status().ToString());
      is_ok = true;
    });
    Commit();
    KVORUM_CHECK(is_ok, "no reply");
  }

  void Beat(int32_t id, bool want_fence) {
    v1::HeartbeatRequest request;
    request.set_broker_id(id);
    request.set_broker_epoch(controller_->latest()->brokers().Find(BrokerId(id))->epoch.value());
    request.set_applied_offset(log_.log_end_offset().value());
    request.set_want_fence(want_fence);
    controller_->HandleBrokerReport(now_, request,
                                    [](const absl::StatusOr<controller::BrokerReportReply>& reply) {
                                      KVORUM_CHECK(reply.ok(), "{}", reply.status().ToString());
                                    });
  }

  const TopicsImage& topics() const { return committed_.image()->topics(); }
  const BenchLog& log() const { return log_; }

 private:
  NullFeed feed_;
  BenchLog log_;
  CommitApplier committed_;
  Now now_{TimePoint(std::chrono::seconds(1000)), 1'700'000'000'000};
  std::unique_ptr<ActiveController> controller_;
};

void Line(const std::string& what, const std::string& value) {
  std::cout << fmt::format("{:<58}{:>16}\n", what, value) << std::flush;
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Fences some brokers and unfences each again: once is a few milliseconds, and so an accident. The
// first is told apart: since the controller was just elected, its plan shares all that it changes
// with the committed image, and so copies it.
void FenceSome(Bench& bench, int32_t brokers) {
  const size_t bytes_before = bench.log().bytes();
  const int64_t records_before = bench.log().records();
  std::vector<double> leaders;
  std::vector<double> in_sync;
  std::vector<double> planned;
  std::vector<double> committed;
  std::vector<double> unfenced;
  for (int32_t id = 0; id < std::min(kFailures, brokers); ++id) {
    const BrokerLoad load = bench.topics().LoadOf(BrokerId(id));
    leaders.push_back(load.leaders);
    in_sync.push_back(load.in_sync);
    const auto start = std::chrono::steady_clock::now();
    bench.Beat(id, /*want_fence=*/true);
    planned.push_back(MillisSince(start));
    bench.Commit();
    committed.push_back(MillisSince(start));
    KVORUM_CHECK(bench.topics().LoadOf(BrokerId(id)).leaders == 0, "it still leads");
    const auto back = std::chrono::steady_clock::now();
    bench.Beat(id, /*want_fence=*/false);
    bench.Commit();
    unfenced.push_back(MillisSince(back));
  }
  const auto records = static_cast<double>(bench.log().records() - records_before);
  Line("fence: leaderships moved", fmt::format("{}", Median(leaders)));
  Line("fence: partitions changed", fmt::format("{}", Median(in_sync)));
  Line("fence: bytes of log per change",
       fmt::format("{:.1f} B", static_cast<double>(bench.log().bytes() - bytes_before) / records));
  const auto both = [](const std::vector<double>& values) {
    return fmt::format("{:.1f} ({:.1f}) ms", Median(values), values.front());
  };
  Line("fence (the first): planned, replayed and encoded after", both(planned));
  Line("fence (the first): applied to the committed image after", both(committed));
  Line("unfence: nothing is leaderless", fmt::format("{:.2f} ms", Median(unfenced)));
}

int RunInProcess(const PartitionBenchOptions& options) {
  Bench bench;
  bench.Elect();
  for (int32_t id = 0; id < options.brokers; ++id) {
    bench.Run(MakeRegistration(id));
    bench.Beat(id, /*want_fence=*/false);
    bench.Commit();
  }
  const size_t log_before = bench.log().bytes();
  TopicRequests requests(options, kPartitionsPerRequest - 1'000);
  const auto start = std::chrono::steady_clock::now();
  while (const auto request = requests.Next()) {
    bench.Run(*request);
  }
  const double created = MillisSince(start);
  const auto count = static_cast<double>(bench.topics().partition_count);
  std::cout << fmt::format(
      "in one process, without disks and network: {} partitions of {} replicas in {} topics, {} "
      "brokers\n\n",
      bench.topics().partition_count, options.replication_factor, bench.topics().by_id.size(),
      options.brokers);
  Line("create: planned and committed, per partition",
       fmt::format("{:.2f} us", created * 1000 / count));
  Line("log, per partition created",
       fmt::format("{:.1f} B", static_cast<double>(bench.log().bytes() - log_before) / count));

  const size_t both = HeapBytes();
  bench.Resign();  // the plan goes, the committed image stays
  const size_t one = HeapBytes();
  Line("memory: the leader's plan, per partition",
       fmt::format("{:.1f} B", static_cast<double>(both - one) / count));
  Line("memory: one image and all else, per partition",
       fmt::format("{:.1f} B", static_cast<double>(one) / count));
  bench.Elect();
  FenceSome(bench, options.brokers);
  return 0;
}

}  // namespace
}  // namespace kvorum::bench

int main(int argc, char** argv) {
  kvorum::bench::PartitionBenchOptions options;
  bool with_cluster = false;
  CLI::App app("The cost of many partitions, and of a broker that fails");
  app.add_option("--partitions", options.partitions, "in all")->check(CLI::Range(1, 10'000'000));
  app.add_option("--brokers", options.brokers, "registered and unfenced")
      ->check(CLI::Range(1, 10'000));
  app.add_option("--replication-factor", options.replication_factor, "of each partition")
      ->check(CLI::Range(1, 10));
  app.add_flag("--cluster", with_cluster, "three real controllers instead of this process");
  CLI11_PARSE(app, argc, argv);
  return with_cluster ? kvorum::bench::RunCluster(options) : kvorum::bench::RunInProcess(options);
}
