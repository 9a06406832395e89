// A broker without the brokering: registers, heartbeats, keeps a copy of the metadata and
// acknowledges what it has applied. Shows how the client library is used, and serves tests: it
// verifies its stream and writes what it saw to a file.

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include "client/broker_session.h"
#include "client/controller_client.h"
#include "client/endpoints.h"
#include "client/metadata_cache.h"
#include "client/metadata_watcher.h"
#include "client/record_text.h"

namespace kvorum::client {
namespace {

constexpr int kExitOk = 0;
constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr timespec kTurn{0, 50'000'000};  // of the main loop: 50 ms
constexpr int kDefaultPortBase = 9092;

struct DemoOptions {
  int32_t id = 0;
  std::string endpoints = "localhost:7400";
  std::string rack;
  std::string advertise;
  int heartbeat_interval_ms = 2000;
  bool print_updates = true;
  std::string state_file;
};

// Hands everything to the cache, tells the session how far it is, and prints it. Owned by
// DemoBroker; called on the watcher's thread.
class DemoListener : public MetadataListener {
 public:
  DemoListener(MetadataCache& cache, BrokerSession& session, bool print)
      : cache_(cache), session_(session), print_(print) {}

  // Changes seen so far: the main loop rewrites the state file when it has moved.
  int64_t change_count() const { return change_count_.load(); }

  void OnReset(const v1::Reset& reset) override {
    Print(fmt::format("reset {}: {}", v1::Reset::Reason_Name(reset.reason()), reset.message()));
    cache_.OnReset(reset);
  }
  void OnSnapshotBegin() override { cache_.OnSnapshotBegin(); }
  std::optional<ApplyError> OnSnapshotRecords(const Records& records) override {
    snapshot_record_count_ += records.size();
    return Refused(cache_.OnSnapshotRecords(records));
  }
  void OnSnapshotEnd(const v1::Position& position) override {
    cache_.OnSnapshotEnd(position);
    Print(fmt::format("{} {} snapshot records={}", position.offset(), position.epoch(),
                      std::exchange(snapshot_record_count_, 0)));
    OnApplied(position.offset());
  }
  std::optional<ApplyError> OnCommit(const CommittedRecords& commit) override {
    std::optional<ApplyError> error = Refused(cache_.OnCommit(commit));
    if (error.has_value()) {
      return error;
    }
    int64_t offset = commit.from;
    for (const v1::MetadataRecord& record : commit.records) {
      Print(fmt::format("{} {} {}", offset++, commit.to.epoch(), RecordText(record)));
    }
    OnApplied(commit.to.offset());
    return std::nullopt;
  }
  void OnBookmark(const v1::Bookmark& bookmark) override {
    cache_.OnBookmark(bookmark);
    OnApplied(bookmark.position().offset());
  }

 private:
  std::optional<ApplyError> Refused(std::optional<ApplyError> error) {
    if (error.has_value()) {
      session_.SetRejected(error->offset, error->message);
    }
    return error;
  }
  void OnApplied(int64_t offset) {
    session_.SetApplied(offset);
    change_count_.fetch_add(1);
  }
  void Print(const std::string& line) const {
    if (print_) {
      fmt::print("{}\n", line);
      std::fflush(stdout);
    }
  }

  MetadataCache& cache_;
  BrokerSession& session_;
  const bool print_;
  int snapshot_record_count_ = 0;
  std::atomic<int64_t> change_count_{0};
};

std::string Quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    quoted +=
        byte < 0x20 || c == '"' || c == '\\' ? fmt::format("\\u{:04x}", byte) : std::string(1, c);
  }
  return quoted + "\"";
}

std::string StateJson(const DemoOptions& options, const BrokerSessionStatus& session,
                      const WatcherStatus& watcher, const MetadataSnapshot& snapshot) {
  size_t partition_count = 0;
  for (const auto& [name, topic] : snapshot.topics) {
    partition_count += topic->partitions.size();
  }
  const StreamCounters& counters = watcher.counters;
  std::string json = "{\n";
  const auto number = [&json](const char* key, auto value) {
    json += fmt::format("  \"{}\": {},\n", key, value);
  };
  const auto text = [&json](const char* key, const std::string& value) {
    json += fmt::format("  \"{}\": {},\n", key, Quoted(value));
  };
  number("broker_id", options.id);
  number("broker_epoch", session.epoch);
  number("fenced", session.fenced);
  number("registrations", session.registration_count);
  number("heartbeats", session.heartbeat_count);
  number("acknowledges", session.acknowledge_count);
  number("acknowledged_offset", session.acknowledged_offset);
  text("generation", fmt::format("{:016x}", snapshot.position.generation()));
  number("epoch", snapshot.position.epoch());
  number("offset", snapshot.position.offset());
  text("digest", fmt::format("{:016x}", snapshot.digest));
  number("brokers", snapshot.brokers.size());
  number("topics", snapshot.topics.size());
  number("partitions", partition_count);
  number("entries", snapshot.entries.size());
  number("live", watcher.live);
  number("node_id", watcher.node_id);
  text("endpoint", watcher.endpoint);
  number("streams", watcher.stream_count);
  number("commits", counters.commits);
  number("snapshots", counters.snapshots);
  number("resets", counters.resets);
  number("gaps", counters.gaps);
  number("duplicates", counters.duplicates);
  number("malformed", counters.malformed);
  text("last_error", watcher.last_error.empty() ? session.last_error : watcher.last_error);
  json +=
      fmt::format("  \"fatal_error\": {}\n}}\n",
                  Quoted(watcher.fatal_error.empty() ? session.fatal_error : watcher.fatal_error));
  return json;
}

// Readers see the old contents or the new, never a part.
void WriteAtomically(const std::string& path, const std::string& contents) {
  const std::string temporary = path + ".tmp";
  {
    std::ofstream file(temporary, std::ios::trunc);
    file << contents;
  }
  if (std::rename(temporary.c_str(), path.c_str()) != 0) {
    fmt::print(stderr, "cannot write {}\n", path);
  }
}

BrokerSessionOptions SessionOptions(const DemoOptions& options, const std::string& advertise) {
  const size_t colon = advertise.rfind(':');
  BrokerSessionOptions session;
  session.broker_id = options.id;
  session.rack = options.rack;
  session.heartbeat_interval = std::chrono::milliseconds(options.heartbeat_interval_ms);
  v1::Endpoint& endpoint = session.endpoints.emplace_back();
  endpoint.set_name("PLAINTEXT");
  endpoint.set_host(advertise.substr(0, colon));
  endpoint.set_port(static_cast<uint32_t>(std::stoul(advertise.substr(colon + 1))));
  return session;
}

MetadataWatcherOptions WatcherOptions(const DemoOptions& options) {
  MetadataWatcherOptions watcher;
  watcher.subscriber_id = fmt::format("demo_broker {}", options.id);
  return watcher;
}

// Everything the process consists of. Lives on the main thread.
class DemoBroker {
 public:
  DemoBroker(DemoOptions options, std::vector<std::string> endpoints, const std::string& advertise)
      : options_(std::move(options)),
        endpoints_(std::make_shared<Endpoints>(std::move(endpoints))),
        client_(endpoints_),
        session_(client_, SessionOptions(options_, advertise),
                 [this](int64_t epoch) { OnRegistered(epoch); }),
        listener_(cache_, session_, options_.print_updates),
        watcher_(endpoints_, WatcherOptions(options_), listener_) {}

  int Run(const sigset_t& signals) {
    session_.Start();
    bool watching = false;
    while (sigtimedwait(&signals, nullptr, &kTurn) < 0) {
      if (!watching && session_.epoch() >= 0) {
        watcher_.Start();
        watching = true;
      }
      WriteStateIfChanged();
      if (!session_.status().fatal_error.empty() || !watcher_.status().fatal_error.empty()) {
        break;
      }
    }
    session_.Stop();
    watcher_.Stop();
    WriteState();
    return Report();
  }

 private:
  void OnRegistered(int64_t epoch) {
    watcher_.SetBroker(options_.id, epoch);
    fmt::print("registered broker {} with epoch {}\n", options_.id, epoch);
    std::fflush(stdout);
  }

  void WriteStateIfChanged() {
    const BrokerSessionStatus session = session_.status();
    const WatcherStatus watcher = watcher_.status();
    const auto seen =
        std::make_tuple(listener_.change_count(), session.epoch, session.fenced,
                        session.acknowledged_offset, watcher.live, watcher.stream_count);
    if (seen != written_) {
      written_ = seen;
      WriteState();
    }
  }

  void WriteState() const {
    if (!options_.state_file.empty()) {
      WriteAtomically(options_.state_file, StateJson(options_, session_.status(), watcher_.status(),
                                                     *cache_.Snapshot()));
    }
  }

  int Report() const {
    const WatcherStatus watcher = watcher_.status();
    const StreamCounters& counters = watcher.counters;
    fmt::print("stopped at offset {}: commits={} snapshots={} gaps={} duplicates={} malformed={}\n",
               cache_.position().offset(), counters.commits, counters.snapshots, counters.gaps,
               counters.duplicates, counters.malformed);
    const std::string fatal =
        watcher.fatal_error.empty() ? session_.status().fatal_error : watcher.fatal_error;
    if (!fatal.empty()) {
      fmt::print(stderr, "demo_broker {}: {}\n", options_.id, fatal);
    }
    const bool clean = counters.gaps + counters.duplicates + counters.malformed == 0;
    return fatal.empty() && clean ? kExitOk : kExitFailed;
  }

  const DemoOptions options_;
  const std::shared_ptr<Endpoints> endpoints_;
  ControllerClient client_;
  MetadataCache cache_;
  BrokerSession session_;
  DemoListener listener_;
  MetadataWatcher watcher_;
  std::tuple<int64_t, int64_t, bool, int64_t, bool, int64_t> written_{-1, -1, true, -1, false, -1};
};

int Main(int argc, char** argv) {
  DemoOptions options;
  CLI::App app("A broker that follows Kvorum's metadata and does nothing else.", "demo_broker");
  app.add_option("--id", options.id, "Broker id")->required()->check(CLI::NonNegativeNumber);
  app.add_option("--endpoints", options.endpoints, "Controllers, host:port,host:port")
      ->envname("KVORUM_ENDPOINTS")
      ->capture_default_str();
  app.add_option("--rack", options.rack, "Rack of this broker");
  app.add_option("--advertise", options.advertise, "host:port told to clients");
  app.add_option("--heartbeat-interval-ms", options.heartbeat_interval_ms, "Between heartbeats")
      ->check(CLI::Range(10, 600'000))
      ->capture_default_str();
  app.add_option("--print-updates", options.print_updates, "Print each change as a line")
      ->capture_default_str();
  app.add_option("--state-file", options.state_file,
                 "Write position, digest and counters here as JSON, at every change and at exit");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  if (options.advertise.empty()) {
    options.advertise = fmt::format("localhost:{}", kDefaultPortBase + options.id % 10'000);
  }
  const Result<std::vector<std::string>> endpoints = ParseEndpoints(options.endpoints);
  const Result<std::vector<std::string>> advertise = ParseEndpoints(options.advertise);
  if (!endpoints.ok() || !advertise.ok()) {
    fmt::print(stderr, "demo_broker: {}\n",
               endpoints.ok() ? advertise.error().message : endpoints.error().message);
    return kExitUsage;
  }
  // Blocked before any thread starts, so that only the main loop takes them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return DemoBroker(std::move(options), *endpoints, advertise->front()).Run(signals);
}

}  // namespace
}  // namespace kvorum::client

int main(int argc, char** argv) { return kvorum::client::Main(argc, argv); }
