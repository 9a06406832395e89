#include "tests/integration/live_broker.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace kvorum::testing {
namespace {

constexpr uint32_t kPortBase = 9092;

client::BrokerSessionOptions SessionOptions(int32_t id) {
  client::BrokerSessionOptions options;
  options.broker_id = id;
  options.heartbeat_interval = milliseconds(500);
  options.acknowledge_interval = milliseconds(20);
  v1::Endpoint& endpoint = options.endpoints.emplace_back();
  endpoint.set_name("PLAINTEXT");
  endpoint.set_host("localhost");
  endpoint.set_port(kPortBase + static_cast<uint32_t>(id));
  return options;
}

std::shared_ptr<client::Endpoints> EndpointsOf(const Cluster& cluster) {
  std::vector<std::string> endpoints;
  for (int i = 0; i < cluster.size(); ++i) {
    endpoints.push_back(cluster.endpoint(i));
  }
  return std::make_shared<client::Endpoints>(std::move(endpoints));
}

client::MetadataWatcherOptions WatcherOptions(const Cluster& cluster, int node) {
  client::MetadataWatcherOptions options;
  options.first_endpoint = cluster.endpoint(node);
  return options;
}

}  // namespace

LiveBroker::LiveBroker(const Cluster& cluster, int32_t id, int node)
    : id_(id),
      client_(EndpointsOf(cluster)),
      session_(client_, SessionOptions(id),
               [this](int64_t epoch) { watcher_->SetBroker(id_, epoch); }),
      // Noted before anybody can hear of it.
      listener_(cache_, session_, [this] { applied_.store(cache_.position().offset()); }),
      watcher_(std::make_unique<client::MetadataWatcher>(
          EndpointsOf(cluster), WatcherOptions(cluster, node), listener_)) {}

LiveBroker::~LiveBroker() { Stop(); }

bool LiveBroker::Start() {
  session_.Start();
  watcher_->Start();
  return Eventually([this] { return session_.epoch() >= 0 && !session_.is_fenced(); });
}

void LiveBroker::Stop() {
  session_.Stop();
  watcher_->Stop();
}

}  // namespace kvorum::testing
