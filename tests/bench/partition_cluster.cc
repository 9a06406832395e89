#include "tests/bench/partition_cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "server/base/check.h"
#include "tests/support/cluster.h"

namespace kvorum::bench {
namespace {

constexpr int64_t kPartitionsPerRequest = 10'000;
constexpr int32_t kFailing = 0;

double MillisSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

template <typename T>
const T& Checked(const client::Result<T>& result) {
  KVORUM_CHECK(result.ok(), "{}", result.error().message);
  return *result;
}

// Brokers that say they have applied everything.
class Brokers {
 public:
  explicit Brokers(client::ControllerClient& client) : client_(client) {}

  void Add(int32_t id) {
    epochs_[id] = Checked(client_.RegisterBroker(MakeRegistration(id))).broker_epoch();
    while (Beat(id, /*want_fence=*/false).is_fenced()) {
    }
  }
  v1::HeartbeatResponse Beat(int32_t id, bool want_fence) {
    v1::HeartbeatRequest request;
    request.set_broker_id(id);
    request.set_broker_epoch(epochs_.at(id));
    request.set_applied_offset(applied_);
    request.set_want_fence(want_fence);
    const v1::HeartbeatResponse response = Checked(client_.Heartbeat(request));
    applied_ = std::max(applied_, response.header().committed().offset());
    return response;
  }

 private:
  client::ControllerClient& client_;
  std::map<int32_t, int64_t> epochs_;
  int64_t applied_ = 0;
};

}  // namespace

std::optional<v1::CreateTopicsRequest> TopicRequests::Next() {
  v1::CreateTopicsRequest request;
  int64_t room = std::min(left_, per_request_);
  while (room > 0 && request.topics_size() < 1'000) {
    const auto drawn = static_cast<int64_t>(random_.Between(10, 1'000));
    const int64_t count = room < 10 ? room : std::min(drawn, room);
    v1::NewTopic& topic = *request.add_topics();
    topic.set_name(fmt::format("topic-{:06}", topics_++));
    topic.set_partition_count(static_cast<int32_t>(count));
    topic.set_replication_factor(options_.replication_factor);
    room -= count;
    left_ -= count;
  }
  return request.topics().empty() ? std::nullopt : std::optional(std::move(request));
}

v1::RegisterBrokerRequest MakeRegistration(int32_t id) {
  v1::RegisterBrokerRequest request;
  request.set_broker_id(id);
  request.set_incarnation_id(fmt::format("incarnation{:05}", id));
  v1::Endpoint& endpoint = *request.add_endpoints();
  endpoint.set_name("PLAINTEXT");
  endpoint.set_host(fmt::format("broker-{}", id));
  endpoint.set_port(9092);
  request.set_rack(fmt::format("rack-{}", id % 3));
  return request;
}

int RunCluster(const PartitionBenchOptions& options) {
  testing::ClusterOptions cluster_options;
  cluster_options.run_flags = {"--broker-session-timeout-ms", "600000"};
  testing::Cluster cluster(cluster_options);
  cluster.StartAll();
  KVORUM_CHECK(cluster.WaitForLeader() >= 0, "no leader");
  const auto client = cluster.MakeClient(std::chrono::minutes(2));
  Brokers brokers(*client);
  for (int32_t id = 0; id < options.brokers; ++id) {
    brokers.Add(id);
  }
  TopicRequests requests(options, kPartitionsPerRequest - 1'000);
  std::vector<double> latencies;
  const auto start = std::chrono::steady_clock::now();
  while (const auto request = requests.Next()) {
    const auto sent = std::chrono::steady_clock::now();
    Checked(client->CreateTopics(*request));
    latencies.push_back(MillisSince(sent));
  }
  const double created = MillisSince(start);
  std::sort(latencies.begin(), latencies.end());
  v1::GetBrokerRequest get;
  get.set_broker_id(kFailing);
  const v1::BrokerInfo before = Checked(client->GetBroker(get)).broker();
  const auto fenced = std::chrono::steady_clock::now();
  KVORUM_CHECK(brokers.Beat(kFailing, /*want_fence=*/true).is_fenced(), "it is not fenced");
  const double moved = MillisSince(fenced);
  std::cout << fmt::format(
      "three controllers on loopback with fsync: {} partitions of {} replicas, {} brokers\n\n"
      "{:<58}{:>13.2f} us\n{:<58}{:>13.1f} ms\n{:<58}{:>16}\n{:<58}{:>16}\n{:<58}{:>13.1f} ms\n",
      options.partitions, options.replication_factor, options.brokers,
      "create: committed and answered, per partition",
      created * 1000 / static_cast<double>(options.partitions),
      "create: a request of some 9,000 partitions, median", latencies[latencies.size() / 2],
      "fence: leaderships moved", before.leader_count(), "fence: partitions changed",
      before.in_sync_count(), "fence: all committed and answered after", moved);
  return 0;
}

}  // namespace kvorum::bench
