// Writes with fsync on three real controllers, and on three etcd members under the same load in the
// same run: a table, medians over the rounds.
//   build/release/bin/write_bench [--rounds N] [--seconds S] [--in-flight 1,16,…] [--no-etcd]

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "etcd_kv.grpc.pb.h"
#include "kvorum/v1/entry.grpc.pb.h"
#include "server/base/check.h"
#include "tests/bench/load.h"
#include "tests/support/cluster.h"

namespace kvorum::bench {
namespace {

constexpr size_t kValueBytes = 256;
constexpr uint64_t kKeys = 100'000;

struct Options {
  int rounds = 3;
  double seconds = 3;
  std::vector<int> in_flight = {1, 16, 64, 256, 1000};
  bool no_etcd = false;
};

std::string KeyOf(uint64_t n) { return fmt::format("bench/{:08}", n * 7919 % kKeys); }

class Target {
 public:
  virtual ~Target() = default;
  virtual LoadResult Run(const LoadOptions& options) = 0;
};

class KvorumTarget : public Target {
 public:
  KvorumTarget() {
    cluster_.StartAll();
    leader_ = cluster_.WaitForLeader();
    KVORUM_CHECK(leader_ >= 0, "no leader; logs in {}", cluster_.path());
  }

  LoadResult Run(const LoadOptions& options) override {
    std::vector<std::unique_ptr<v1::EntryService::Stub>> stubs;
    for (const auto& channel : MakeChannels(cluster_.endpoint(leader_), options.channels)) {
      stubs.push_back(v1::EntryService::NewStub(channel));
    }
    const std::string value(kValueBytes, 'v');
    ClosedLoop<v1::EntryService::Stub, v1::PutEntryResponse> loop(
        std::move(stubs), [&value](auto& stub, auto& context, auto& queue, uint64_t n) {
          v1::PutEntryRequest request;
          request.set_key(KeyOf(n));
          request.set_value(value);
          return stub.AsyncPut(&context, request, &queue);
        });
    return loop.Run(options);
  }

 private:
  kvorum::testing::Cluster cluster_;
  int leader_ = -1;
};

class EtcdTarget : public Target {
 public:
  EtcdTarget() : directory_("kvorum-bench-etcd"), ports_(kvorum::testing::FreePorts(6)) {
    std::string members;
    for (int i = 0; i < 3; ++i) {
      members += fmt::format("{}m{}=http://127.0.0.1:{}", i == 0 ? "" : ",", i, PeerPort(i));
    }
    for (int i = 0; i < 3; ++i) {
      const std::string client = fmt::format("http://127.0.0.1:{}", ClientPort(i));
      const std::string peer = fmt::format("http://127.0.0.1:{}", PeerPort(i));
      processes_.emplace_back(
          std::vector<std::string>{
              "etcd", "--name", fmt::format("m{}", i), "--data-dir",
              fmt::format("{}/m{}", directory_.path(), i), "--listen-client-urls", client,
              "--advertise-client-urls", client, "--listen-peer-urls", peer,
              "--initial-advertise-peer-urls", peer, "--initial-cluster", members, "--log-level",
              "error", "--quota-backend-bytes", "8000000000"},
          fmt::format("{}/m{}.log", directory_.path(), i));
    }
    leader_ = FindLeader();
  }

  LoadResult Run(const LoadOptions& options) override {
    std::vector<std::unique_ptr<etcdserverpb::KV::Stub>> stubs;
    for (const auto& channel :
         MakeChannels(fmt::format("127.0.0.1:{}", ClientPort(leader_)), options.channels)) {
      stubs.push_back(etcdserverpb::KV::NewStub(channel));
    }
    const std::string value(kValueBytes, 'v');
    ClosedLoop<etcdserverpb::KV::Stub, etcdserverpb::PutResponse> loop(
        std::move(stubs), [&value](auto& stub, auto& context, auto& queue, uint64_t n) {
          etcdserverpb::PutRequest request;
          request.set_key(KeyOf(n));
          request.set_value(value);
          return stub.AsyncPut(&context, request, &queue);
        });
    return loop.Run(options);
  }

 private:
  int ClientPort(int i) const { return ports_[static_cast<size_t>(2 * i)]; }
  int PeerPort(int i) const { return ports_[static_cast<size_t>(2 * i + 1)]; }

  // The member whose status names itself; etcdctl waits for the connection.
  int FindLeader() {
    for (int attempt = 0; attempt < 60; ++attempt) {
      for (int i = 0; i < 3; ++i) {
        setenv("ETCDCTL_API", "3", 1);
        const auto status = kvorum::testing::RunCommand(
            {"etcdctl", "--endpoints", fmt::format("127.0.0.1:{}", ClientPort(i)), "endpoint",
             "status", "--write-out=simple"});
        // endpoint, id, version, size, is leader, …
        std::vector<std::string> columns;
        size_t start = 0;
        while (start <= status.output.size()) {
          const size_t end = std::min(status.output.find(", ", start), status.output.size());
          columns.push_back(status.output.substr(start, end - start));
          start = end + 2;
        }
        if (status.exit_code == 0 && columns.size() > 4 && columns[4] == "true") {
          return i;
        }
      }
    }
    KVORUM_CHECK(false, "etcd has no leader; logs in {}", directory_.path());
  }

  kvorum::testing::TemporaryDirectory directory_;
  std::vector<int> ports_;
  std::vector<kvorum::testing::Process> processes_;
  int leader_ = 0;
};

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

struct Cell {
  std::vector<double> per_second;
  std::vector<double> p50;
  std::vector<double> p99;
  uint64_t errors = 0;

  void Add(const LoadResult& result) {
    per_second.push_back(result.per_second);
    p50.push_back(result.p50_ms);
    p99.push_back(result.p99_ms);
    errors += result.errors;
  }
};

void Print(const std::string& name, int in_flight, const Cell& cell, const Cell* reference) {
  std::cout << fmt::format("{:<8}{:>10}{:>12.0f}{:>10.2f}{:>10.2f}{:>8}", name, in_flight,
                           Median(cell.per_second), Median(cell.p50), Median(cell.p99),
                           cell.errors);
  if (reference != nullptr) {
    std::cout << fmt::format("{:>9.2f}x", Median(cell.per_second) / Median(reference->per_second));
  }
  std::cout << std::endl;
}

int Main(const Options& options) {
  std::map<std::string, std::map<int, Cell>> cells;
  const bool with_etcd = !options.no_etcd;
  // One system at a time: an idle one beside it still takes its share of two cores.
  for (int round = 0; round < options.rounds; ++round) {
    for (const std::string name : {"etcd", "kvorum"}) {
      if (name == "etcd" && !with_etcd) {
        continue;
      }
      std::unique_ptr<Target> target;
      if (name == "etcd") {
        target = std::make_unique<EtcdTarget>();
      } else {
        target = std::make_unique<KvorumTarget>();
      }
      for (const int in_flight : options.in_flight) {
        LoadOptions load;
        load.in_flight = in_flight;
        load.channels = std::min(in_flight, 8);
        load.duration = std::chrono::milliseconds(static_cast<int64_t>(options.seconds * 1000));
        cells[name][in_flight].Add(target->Run(load));
      }
    }
  }
  std::cout << fmt::format(
      "Put, {}-byte values, fsync, 3 nodes on loopback; medians of {} rounds of {} s\n\n"
      "{:<8}{:>10}{:>12}{:>10}{:>10}{:>8}{:>10}\n",
      kValueBytes, options.rounds, options.seconds, "system", "in flight", "writes/s", "p50 ms",
      "p99 ms", "errors", "vs etcd");
  for (const int in_flight : options.in_flight) {
    if (with_etcd) {
      Print("etcd", in_flight, cells["etcd"][in_flight], nullptr);
    }
    Print("kvorum", in_flight, cells["kvorum"][in_flight],
          with_etcd ? &cells["etcd"][in_flight] : nullptr);
  }
  return 0;
}

}  // namespace
}  // namespace kvorum::bench

int main(int argc, char** argv) {
  kvorum::bench::Options options;
  CLI::App app("Write throughput and latency of three controllers, beside etcd");
  app.add_option("--rounds", options.rounds, "measurements of each point")
      ->check(CLI::Range(1, 99));
  app.add_option("--seconds", options.seconds, "length of one measurement");
  app.add_option("--in-flight", options.in_flight, "requests in flight")->delimiter(',');
  app.add_flag("--no-etcd", options.no_etcd, "measure Kvorum alone");
  CLI11_PARSE(app, argc, argv);
  return kvorum::bench::Main(options);
}
