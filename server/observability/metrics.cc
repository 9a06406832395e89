#include "server/observability/metrics.h"

#include <prometheus/text_serializer.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <optional>
#include <sstream>

#include "server/base/check.h"

namespace kvorum {
namespace {

constexpr auto kPatience = std::chrono::seconds(1);
// Seconds. A broker acknowledges at most every 100 ms, and one that hangs is fenced after 9 s.
constexpr std::array kPropagationBuckets = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                            0.25,  0.5,    1.0,   2.5,  5.0,   10.0, 60.0};

struct NodeNumbers {
  raft::RaftDescription raft;
  bool active = false;
  Offset applied;
  std::vector<std::pair<BrokerId, int64_t>> broker_lags;  // of those that have said something
};

struct PublisherNumbers {
  size_t subscribers = 0;
  int64_t slow_endings = 0;
  int64_t max_lag = 0;
  size_t tail_bytes = 0;
};

// The value another thread promised, unless it takes too long.
template <typename T>
std::optional<T> Await(std::future<T> future) {
  if (future.wait_for(kPatience) != std::future_status::ready) {
    return std::nullopt;
  }
  try {
    return future.get();
  } catch (const std::future_error&) {
    return std::nullopt;  // the loop was stopped and the question destroyed
  }
}

std::vector<std::pair<BrokerId, int64_t>> BrokerLags(const Node& node) {
  std::vector<std::pair<BrokerId, int64_t>> lags;
  const BrokerLiveness* liveness = node.active_controller().liveness();
  if (liveness == nullptr) {
    return lags;
  }
  const MetadataImage& image = *node.committed_image();
  for (const auto& [id, broker] : image.brokers().brokers) {
    if (const std::optional<Offset> applied = liveness->AppliedOffset(id)) {
      lags.emplace_back(id, std::max<int64_t>(0, image.provenance().end_offset - *applied));
    }
  }
  return lags;
}

std::optional<NodeNumbers> AskNode(NodeRunner& runner) {
  const auto answer = std::make_shared<std::promise<NodeNumbers>>();
  std::future<NodeNumbers> future = answer->get_future();
  if (!runner.Inspect([answer](Now, const Node& node) {
        answer->set_value({.raft = node.core().Describe(),
                           .active = node.active_controller().is_active(),
                           .applied = node.committed_image()->provenance().end_offset,
                           .broker_lags = BrokerLags(node)});
      })) {
    return std::nullopt;
  }
  return Await(std::move(future));
}

std::optional<PublisherNumbers> AskPublisher(NodeRunner& runner) {
  const auto answer = std::make_shared<std::promise<PublisherNumbers>>();
  std::future<PublisherNumbers> future = answer->get_future();
  if (!runner.publisher().Post([answer](Now, publish::UpdatePublisher& publisher) {
        answer->set_value({.subscribers = publisher.subscription_count(),
                           .slow_endings = publisher.slow_endings(),
                           .max_lag = publisher.max_lag(),
                           .tail_bytes = publisher.tail_bytes()});
      })) {
    return std::nullopt;
  }
  return Await(std::move(future));
}

class FamilyList {
 public:
  void AddGauge(const std::string& name, const std::string& help, double value,
                std::vector<prometheus::ClientMetric::Label> labels = {}) {
    prometheus::MetricFamily family;
    family.name = name;
    family.help = help;
    family.type = prometheus::MetricType::Gauge;
    prometheus::ClientMetric& metric = family.metric.emplace_back();
    metric.label = std::move(labels);
    metric.gauge.value = value;
    families_.push_back(std::move(family));
  }

  void AddGauges(const std::string& name, const std::string& help,
                 std::vector<prometheus::ClientMetric> metrics) {
    prometheus::MetricFamily family;
    family.name = name;
    family.help = help;
    family.type = prometheus::MetricType::Gauge;
    family.metric = std::move(metrics);
    families_.push_back(std::move(family));
  }

  std::string ToText() const {
    std::ostringstream text;
    prometheus::TextSerializer().Serialize(text, families_);
    return text.str();
  }

 private:
  std::vector<prometheus::MetricFamily> families_;
};

double ToDouble(Offset offset) { return static_cast<double>(offset.value()); }

void AddNode(const NodeNumbers& node, FamilyList& list) {
  const raft::RaftDescription& raft = node.raft;
  list.AddGauge("raft_current_state", "Role of this node: 1 for the one named", 1,
                {{"state", std::string(raft::RoleName(raft.role))}});
  list.AddGauge("raft_current_epoch", "Epoch of the quorum", raft.epoch.value());
  list.AddGauge("raft_current_leader", "Node id of the leader; -1: unknown",
                raft.leader_id.has_value() ? raft.leader_id->value() : -1);
  list.AddGauge("raft_high_watermark", "Committed end of the log; -1: unknown",
                raft.high_watermark.has_value() ? ToDouble(*raft.high_watermark) : -1);
  list.AddGauge("raft_log_end_offset", "End of the log", ToDouble(raft.log_end.offset));
  list.AddGauge("raft_log_start_offset", "Start of the log", ToDouble(raft.log_start_offset));
  list.AddGauge("raft_durable_end_offset", "End of what is synced to disk",
                ToDouble(raft.durable_end_offset));
  list.AddGauge("raft_number_of_voters", "Size of the voter set",
                static_cast<double>(raft.voters.size()));
  list.AddGauge("controller_active", "1 on the active controller", node.active ? 1 : 0);
  list.AddGauge("metadata_last_applied_offset", "End of the metadata applied here",
                ToDouble(node.applied));
  std::vector<prometheus::ClientMetric> lags;
  for (const auto& [broker, lag] : node.broker_lags) {
    prometheus::ClientMetric& metric = lags.emplace_back();
    metric.label = {{"broker", std::to_string(broker.value())}};
    metric.gauge.value = static_cast<double>(lag);
  }
  list.AddGauges("broker_metadata_lag",
                 "Committed offsets that a broker has not acknowledged, on the active controller",
                 std::move(lags));
}

}  // namespace

Metrics::Metrics()
    : requests_(prometheus::BuildCounter()
                    .Name("requests_total")
                    .Help("Requests of clients answered, by method and canonical code")
                    .Register(registry_)),
      raft_events_(prometheus::BuildCounter()
                       .Name("raft_events_total")
                       .Help("What raft did, by kind")
                       .Register(registry_)),
      propagation_(prometheus::BuildHistogram()
                       .Name("metadata_propagation_seconds")
                       .Help("From a commit until every broker that serves has said that it has "
                             "applied it; a sample of the commits, on the active controller")
                       .Register(registry_)
                       .Add({}, prometheus::Histogram::BucketBoundaries(
                                    kPropagationBuckets.begin(), kPropagationBuckets.end()))) {}

void Metrics::ObservePropagation(Duration elapsed) {
  propagation_.Observe(std::chrono::duration<double>(elapsed).count());
}

void Metrics::OnReply(std::string_view method, absl::StatusCode code) {
  prometheus::Counter* counter = nullptr;
  {
    MutexLock lock(mutex_);
    prometheus::Counter*& known = request_counters_[{method.data(), code}];
    if (known == nullptr) {
      known = &requests_.Add(
          {{"method", std::string(method)}, {"code", absl::StatusCodeToString(code)}});
    }
    counter = known;
  }
  counter->Increment();
}

void Metrics::CountRaftEvent(raft::RaftTraceKind kind, std::string_view name) {
  const auto index = static_cast<size_t>(kind);
  KVORUM_CHECK(index < kRaftTraceKinds, "trace kind {}", index);
  if (raft_event_counters_[index] == nullptr) {
    raft_event_counters_[index] = &raft_events_.Add({{"kind", std::string(name)}});
  }
  raft_event_counters_[index]->Increment();
}

std::string Metrics::Counters() const {
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, registry_.Collect());
  return text.str();
}

std::string Metrics::Scrape(NodeRunner& runner) const {
  FamilyList list;
  if (const std::optional<NodeNumbers> node = AskNode(runner)) {
    AddNode(*node, list);
  }
  if (const std::optional<PublisherNumbers> publisher = AskPublisher(runner)) {
    list.AddGauge("stream_subscribers", "Open metadata streams",
                  static_cast<double>(publisher->subscribers));
    list.AddGauge("stream_subscriber_max_lag",
                  "Committed offsets not yet sent to the subscriber that is furthest behind",
                  static_cast<double>(publisher->max_lag));
    list.AddGauge("stream_slow_endings",
                  "Streams ended since the start because their subscriber was too slow",
                  static_cast<double>(publisher->slow_endings));
    list.AddGauge("stream_tail_bytes", "Committed updates kept for subscribers",
                  static_cast<double>(publisher->tail_bytes));
  }
  return list.ToText() + Counters();
}

}  // namespace kvorum
