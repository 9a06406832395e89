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

std::shared_ptr<client::Endpoints> StartingAt(const Cluster& cluster, int node) {
  std::vector<std::string> endpoints;
  for (int i = 0; i < cluster.size(); ++i) {
    endpoints.push_back(cluster.endpoint((node + i) % cluster.size()));
  }
  return std::make_shared<client::Endpoints>(std::move(endpoints));
}

}  // namespace

LiveBroker::LiveBroker(const Cluster& cluster, int32_t id, int node)
    : id_(id),
      client_(StartingAt(cluster, node)),
      session_(client_, SessionOptions(id),
               [this](int64_t epoch) { watcher_->SetBroker(id_, epoch); }),
      watcher_(std::make_unique<client::MetadataWatcher>(
          StartingAt(cluster, node), client::MetadataWatcherOptions(),
          static_cast<client::MetadataListener&>(*this))) {}

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

void LiveBroker::OnSnapshotEnd(const v1::Position& position) {
  cache_.OnSnapshotEnd(position);
  OnApplied(position.offset());
}

std::optional<client::ApplyError> LiveBroker::OnCommit(const client::CommittedRecords& commit) {
  std::optional<client::ApplyError> error = cache_.OnCommit(commit);
  if (!error.has_value()) {
    OnApplied(commit.to.offset());
  }
  return error;
}

void LiveBroker::OnApplied(int64_t offset) {
  applied_.store(offset);  // before anybody can hear of it
  session_.SetApplied(offset);
}

}  // namespace kvorum::testing
