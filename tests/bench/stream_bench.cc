// Fan-out: one write to any number of subscribers of one controller, and how long after the write
// was sent each of them has it; then as many commits as fit. A message is one of a stream, to one
// subscriber; a delivery is one commit at one subscriber: a message carries what gathered since the
// one before. "server us" and "client us": of CPU a message, of single writes, which the serving
// controller and the thread of all subscribers spend. A table.
//   build/release/bin/stream_bench [--subscribers 10,100,…] [--seconds S] [--node leader|follower]
//                                  [--slow PERCENT] [--partitions N]
//                                  [--streams-per-connection N]

#include <fmt/format.h>
#include <grpcpp/generic/generic_stub.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "kvorum/v1/entry.grpc.pb.h"
#include "kvorum/v1/stream.grpc.pb.h"
#include "kvorum/v1/topic.pb.h"
#include "server/base/check.h"
#include "tests/bench/load.h"
#include "tests/support/cluster.h"

namespace kvorum::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr char kMethod[] = "/kvorum.v1.MetadataStreamService/Subscribe";
// Before the time in each value: found in a message without decoding it, since five thousand
// decoders would be what is measured.
constexpr std::string_view kMark = "kvorum-bench-sent-at";
constexpr auto kTrickle = std::chrono::milliseconds(20);  // between single writes
constexpr auto kQuiet = std::chrono::milliseconds(500);   // without a commit: a flood is over

struct Options {
  std::vector<int> subscribers = {10, 100, 1000, 5000};
  double seconds = 3;
  std::string node = "follower";
  int slow_percent = 1;
  int partitions = 0;
  int streams_per_connection = 250;
};

int64_t NowUs() {
  return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now().time_since_epoch())
      .count();
}

std::string ValueSentNow() {
  const int64_t now = NowUs();
  std::string value(kMark);
  value.append(reinterpret_cast<const char*>(&now), sizeof(now));
  value.resize(256, 'v');
  return value;
}

double Percentile(std::vector<int64_t>& values, double share) {
  if (values.empty()) {
    return 0;
  }
  const auto at =
      values.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), at, values.end());
  return static_cast<double>(*at) / 1000.0;
}

int64_t ResidentKiB(pid_t pid) {
  std::ifstream status(fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) {
      return std::stoll(line.substr(6));
    }
  }
  return 0;
}

// Of a process, so far.
int64_t CpuUsOf(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  // Behind the name, which may hold anything: proc(5), fields 3 and following.
  std::istringstream fields(text.substr(text.rfind(')') + 1));
  std::string skipped;
  for (int field = 3; field < 14; ++field) {
    fields >> skipped;
  }
  int64_t user = 0;
  int64_t system = 0;
  fields >> user >> system;
  return (user + system) * 1'000'000 / sysconf(_SC_CLK_TCK);
}

// Of the calling thread, so far.
int64_t OwnCpuUs() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  const auto us = [](const timeval& time) { return time.tv_sec * 1'000'000 + time.tv_usec; };
  return us(usage.ru_utime) + us(usage.ru_stime);
}

// One raw stream. Lives until its last event came out of the queue.
struct Subscriber {
  std::unique_ptr<grpc::ClientContext> context = std::make_unique<grpc::ClientContext>();
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream;
  grpc::ByteBuffer message;
  bool is_live = false;    // has had its first message
  bool is_slow = false;    // reads no more
  bool is_parked = false;  // and has stopped reading
  enum class Step { kStart, kWrite, kRead, kOver } step = Step::kStart;
};

// What arrived in one phase.
struct Arrivals {
  std::vector<int64_t> delays_us;  // from a write's sending to one subscriber's having it
  int64_t messages = 0;
  int64_t commits = 0;
  int64_t bytes = 0;
};

// All subscribers, on one queue and the calling thread.
class Fan {
 public:
  Fan(const std::string& endpoint, int count, int per_channel) {
    grpc::ByteBuffer request = Serialized(v1::SubscribeRequest());
    for (int i = 0; i < count; ++i) {
      if (i % per_channel == 0) {
        grpc::ChannelArguments arguments;
        arguments.SetInt("kvorum.bench.channel", i);  // else they would share a connection
        arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
        arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
        stubs_.push_back(std::make_unique<grpc::GenericStub>(
            grpc::CreateCustomChannel(endpoint, grpc::InsecureChannelCredentials(), arguments)));
      }
      auto& subscriber = *subscribers_.emplace_back(std::make_unique<Subscriber>());
      subscriber.message = request;
      subscriber.stream = stubs_.back()->PrepareCall(subscriber.context.get(), kMethod, &queue_);
      subscriber.stream->StartCall(&subscriber);
    }
    open_ = count;
    while (live_ < count) {
      Turn(Clock::now() + std::chrono::seconds(30), nullptr);
    }
  }
  ~Fan() {
    for (const auto& subscriber : subscribers_) {
      subscriber->context->TryCancel();
      subscriber->is_slow = false;
      if (subscriber->is_parked) {
        subscriber->stream->Read(&subscriber->message, subscriber.get());
      }
    }
    while (open_ > 0 && Turn(Clock::now() + std::chrono::seconds(30), nullptr)) {
    }
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
    }
  }

  // From now on so many of each hundred, one at least, take no message any more.
  void MakeSlow(int percent) {
    const auto count =
        std::max<size_t>(1, subscribers_.size() * static_cast<size_t>(percent) / 100);
    for (size_t i = 0; i < count; ++i) {
      subscribers_[i * (subscribers_.size() / count)]->is_slow = true;
    }
  }

  void RunUntil(Clock::time_point end, Arrivals* arrivals) {
    while (Clock::now() < end && Turn(end, arrivals)) {
    }
  }

 private:
  static grpc::ByteBuffer Serialized(const google::protobuf::Message& message) {
    const grpc::Slice slice(message.SerializeAsString());
    return grpc::ByteBuffer(&slice, 1);
  }

  // One event; false if none comes until `deadline`.
  bool Turn(Clock::time_point deadline, Arrivals* arrivals) {
    void* tag = nullptr;
    bool ok = false;
    const auto wait = std::chrono::system_clock::now() + (deadline - Clock::now());
    if (queue_.AsyncNext(&tag, &ok, wait) != grpc::CompletionQueue::GOT_EVENT) {
      return false;
    }
    Subscriber& subscriber = *static_cast<Subscriber*>(tag);
    using Step = Subscriber::Step;
    if (!ok) {
      KVORUM_CHECK(subscriber.step == Step::kRead, "a stream did not begin");
      subscriber.step = Step::kOver;
      --open_;
      return true;
    }
    switch (subscriber.step) {
      case Step::kStart:
        subscriber.step = Step::kWrite;
        subscriber.stream->WriteLast(subscriber.message, grpc::WriteOptions(), &subscriber);
        return true;
      case Step::kWrite:
        subscriber.step = Step::kRead;
        break;
      case Step::kRead:
        Note(subscriber, arrivals);
        break;
      case Step::kOver:
        return true;
    }
    subscriber.is_parked = subscriber.is_slow;
    if (subscriber.is_parked) {
      return true;
    }
    subscriber.message.Clear();
    subscriber.stream->Read(&subscriber.message, &subscriber);
    return true;
  }

  void Note(Subscriber& subscriber, Arrivals* arrivals) {
    if (!subscriber.is_live) {
      subscriber.is_live = true;
      ++live_;
    }
    if (arrivals == nullptr) {
      return;
    }
    const int64_t now = NowUs();
    std::vector<grpc::Slice> slices;
    subscriber.message.Dump(&slices);
    ++arrivals->messages;
    for (const grpc::Slice& slice : slices) {
      const std::string_view bytes(reinterpret_cast<const char*>(slice.begin()), slice.size());
      arrivals->bytes += static_cast<int64_t>(bytes.size());
      for (size_t at = bytes.find(kMark); at != std::string_view::npos;
           at = bytes.find(kMark, at + kMark.size())) {
        int64_t sent = 0;
        std::memcpy(&sent, bytes.data() + at + kMark.size(), sizeof(sent));
        arrivals->delays_us.push_back(now - sent);
        ++arrivals->commits;
      }
    }
  }

  grpc::CompletionQueue queue_;
  std::vector<std::unique_ptr<grpc::GenericStub>> stubs_;
  std::vector<std::unique_ptr<Subscriber>> subscribers_;
  int live_ = 0;
  int open_ = 0;
};

// Writes from a thread of its own, so that the subscribers' thread only reads.
class Writer {
 public:
  explicit Writer(const std::string& endpoint)
      : stub_(v1::EntryService::NewStub(MakeChannels(endpoint, 1).front())) {}

  // One write at a time, `pause` after each; its latencies.
  std::vector<int64_t> Trickle(Clock::time_point end, std::chrono::milliseconds pause) {
    std::vector<int64_t> latencies;
    for (Clock::time_point next = Clock::now(); Clock::now() < end; next += pause) {
      std::this_thread::sleep_until(next);
      const int64_t sent = NowUs();
      v1::PutEntryRequest request;
      request.set_key("bench/stream");
      request.set_value(ValueSentNow());
      grpc::ClientContext context;
      v1::PutEntryResponse response;
      if (stub_->Put(&context, request, &response).ok()) {
        latencies.push_back(NowUs() - sent);
      }
    }
    return latencies;
  }

 private:
  std::unique_ptr<v1::EntryService::Stub> stub_;
};

void CreatePartitions(kvorum::testing::Cluster& cluster, int count) {
  const auto client = cluster.MakeClient(std::chrono::seconds(60));
  v1::RegisterBrokerRequest broker;
  broker.set_broker_id(1);
  broker.set_incarnation_id(std::string(16, 'b'));
  v1::Endpoint* endpoint = broker.add_endpoints();
  endpoint->set_name("PLAINTEXT");
  endpoint->set_host("localhost");
  endpoint->set_port(9092);
  const auto registered = client->RegisterBroker(broker);
  KVORUM_CHECK(registered.ok(), "cannot register");
  v1::HeartbeatRequest beat;
  beat.set_broker_id(1);
  beat.set_broker_epoch(registered->broker_epoch());
  int64_t applied = registered->broker_epoch() + 1;
  for (bool fenced = true; fenced;) {
    beat.set_applied_offset(applied);
    const auto answer = client->Heartbeat(beat);
    KVORUM_CHECK(answer.ok(), "no heartbeat");
    fenced = answer->is_fenced();
    applied = answer->header().committed().offset();
  }
  constexpr int kPerTopic = 5'000;
  for (int made = 0; made < count; made += kPerTopic) {
    v1::CreateTopicsRequest request;
    v1::NewTopic* topic = request.add_topics();
    topic->set_name(fmt::format("topic-{}", made));
    topic->set_partition_count(std::min(kPerTopic, count - made));
    topic->set_replication_factor(1);
    const auto answer = client->CreateTopics(request);
    KVORUM_CHECK(answer.ok() && answer->results(0).status().code() == 0, "cannot create topics");
  }
}

void MeasureColdCatchUp(kvorum::testing::Cluster& cluster, int node, int partitions) {
  const auto made_at = Clock::now();
  CreatePartitions(cluster, partitions);
  std::cout << fmt::format("\n{} partitions made in {:.1f} s; ", partitions,
                           std::chrono::duration<double>(Clock::now() - made_at).count());
  // The whole state, decoded, as a broker would.
  const auto stub =
      v1::MetadataStreamService::NewStub(MakeChannels(cluster.endpoint(node), 1).front());
  grpc::ClientContext context;
  const int64_t server_before = CpuUsOf(cluster.process(node).pid());
  const int64_t client_before = OwnCpuUs();
  const auto begun = Clock::now();
  const auto reader = stub->Subscribe(&context, v1::SubscribeRequest());
  size_t bytes = 0;
  size_t records = 0;
  for (v1::SubscribeResponse message; reader->Read(&message);) {
    bytes += message.ByteSizeLong();
    for (const v1::MetadataUpdate& update : message.updates()) {
      records += static_cast<size_t>(update.snapshot_chunk().records_size());
      if (update.has_snapshot_end()) {
        std::cout << fmt::format(
            "a cold subscriber has them after {:.3f} s: {} records, {:.1f} MiB; CPU: {:.3f} s of "
            "the controller, {:.3f} s of the subscriber\n",
            std::chrono::duration<double>(Clock::now() - begun).count(), records,
            static_cast<double>(bytes) / (1 << 20),
            static_cast<double>(CpuUsOf(cluster.process(node).pid()) - server_before) / 1e6,
            static_cast<double>(OwnCpuUs() - client_before) / 1e6);
        context.TryCancel();
        return;
      }
    }
  }
  KVORUM_CHECK(false, "the stream ended before the snapshot did");
}

// Single writes for `duration`: how long they take, and what arrives of them.
std::vector<int64_t> MeasureSingleWrites(Fan& fan, const std::string& leader,
                                         std::chrono::milliseconds duration, Arrivals& arrivals) {
  std::vector<int64_t> writes;
  const Clock::time_point end = Clock::now() + duration;
  std::thread trickle([&] { writes = Writer(leader).Trickle(end, kTrickle); });
  fan.RunUntil(end, &arrivals);
  trickle.join();
  return writes;
}

// As many as four writers can.
void MeasureFlood(Fan& fan, const std::string& leader, std::chrono::milliseconds duration,
                  Arrivals* arrivals) {
  const Clock::time_point end = Clock::now() + duration;
  std::vector<std::thread> writers;
  for (int i = 0; i < 4; ++i) {
    writers.emplace_back([&] { Writer(leader).Trickle(end, std::chrono::milliseconds(0)); });
  }
  fan.RunUntil(end, arrivals);
  for (std::thread& writer : writers) {
    writer.join();
  }
}

// Until what a flood left on its way has arrived.
void Settle(Fan& fan) {
  int64_t commits = 1;
  while (commits > 0) {
    Arrivals arrivals;
    fan.RunUntil(Clock::now() + kQuiet, &arrivals);
    commits = arrivals.commits;
  }
}

int Main(const Options& options) {
  kvorum::testing::Cluster cluster;
  cluster.StartAll();
  const int leader = cluster.WaitForLeader();
  KVORUM_CHECK(leader >= 0, "no leader; logs in {}", cluster.path());
  const int node = options.node == "leader" ? leader : (leader + 1) % cluster.size();
  std::cout << fmt::format(
      "Streams of one {}, 256-byte values, fsync, 3 nodes on loopback, subscribers on one thread\n"
      "{:>11}{:>12}{:>14}{:>14}{:>14}{:>14}{:>14}{:>12}{:>16}{:>11}{:>11}\n",
      options.node, "subscribers", "write p50", "delivered p50", "delivered p99",
      fmt::format("p99, {}% slow", options.slow_percent), "messages/s", "deliveries/s", "MiB/s",
      "KiB/subscriber", "server us", "client us");
  const auto duration = std::chrono::milliseconds(static_cast<int64_t>(options.seconds * 1000));
  for (const int count : options.subscribers) {
    const int64_t before = ResidentKiB(cluster.process(node).pid());
    Fan fan(cluster.endpoint(node), count, options.streams_per_connection);
    const int64_t after = ResidentKiB(cluster.process(node).pid());

    Arrivals single;
    const int64_t server_before = CpuUsOf(cluster.process(node).pid());
    const int64_t client_before = OwnCpuUs();
    std::vector<int64_t> writes =
        MeasureSingleWrites(fan, cluster.endpoint(leader), duration, single);
    const auto per_message = [&](int64_t us) {
      return static_cast<double>(us) / static_cast<double>(std::max<int64_t>(1, single.messages));
    };
    const double server_us = per_message(CpuUsOf(cluster.process(node).pid()) - server_before);
    const double client_us = per_message(OwnCpuUs() - client_before);
    Arrivals flood;
    MeasureFlood(fan, cluster.endpoint(leader), duration, &flood);
    // Some take nothing any more; the flood fills what lies between them and the server.
    fan.MakeSlow(options.slow_percent);
    MeasureFlood(fan, cluster.endpoint(leader), duration, nullptr);
    Settle(fan);
    Arrivals beside_slow;
    MeasureSingleWrites(fan, cluster.endpoint(leader), duration, beside_slow);
    std::cout << fmt::format(
        "{:>11}{:>9.2f} ms{:>11.2f} ms{:>11.2f} ms{:>11.2f} ms{:>14.0f}{:>14.0f}{:>12.1f}{:>16.1f}"
        "{:>11.1f}{:>11.1f}\n",
        count, Percentile(writes, 0.5), Percentile(single.delays_us, 0.5),
        Percentile(single.delays_us, 0.99), Percentile(beside_slow.delays_us, 0.99),
        static_cast<double>(flood.messages) / options.seconds,
        static_cast<double>(flood.commits) / options.seconds,
        static_cast<double>(flood.bytes) / options.seconds / (1 << 20),
        static_cast<double>(after - before) / count, server_us, client_us);
    std::cout.flush();
  }
  if (options.partitions > 0) {
    MeasureColdCatchUp(cluster, leader, options.partitions);
  }
  return 0;
}

}  // namespace
}  // namespace kvorum::bench

int main(int argc, char** argv) {
  kvorum::bench::Options options;
  CLI::App app("Fan-out of committed metadata to subscribers of one controller");
  app.add_option("--subscribers", options.subscribers, "streams open at a time")->delimiter(',');
  app.add_option("--seconds", options.seconds, "length of one measurement");
  app.add_option("--node", options.node, "who serves them")
      ->check(CLI::IsMember({"leader", "follower"}));
  app.add_option("--slow", options.slow_percent, "percent that take nothing in the last part")
      ->check(CLI::Range(0, 50));
  app.add_option("--streams-per-connection", options.streams_per_connection,
                 "1: each subscriber has a connection of its own, as brokers do")
      ->check(CLI::Range(1, 1000));
  app.add_option("--partitions", options.partitions, "and the cold catch-up of so many");
  CLI11_PARSE(app, argc, argv);
  return kvorum::bench::Main(options);
}
