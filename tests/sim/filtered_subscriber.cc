#include "tests/sim/filtered_subscriber.h"

#include <fmt/format.h>

#include <array>
#include <iterator>
#include <map>
#include <utility>

#include "server/base/check.h"
#include "server/base/errors.h"
#include "tests/sim/client_call.h"
#include "tests/sim/sim_process.h"

namespace kvorum::sim {
namespace {

using std::chrono::milliseconds;

// Neither brokers nor clients; one number each.
constexpr int kFirstActor = 3000;
constexpr Duration kRetryDelay = milliseconds(100);
constexpr Duration kWatchInterval = milliseconds(500);
constexpr Duration kActInterval = milliseconds(1500);
constexpr int64_t kMaxReadDelayMs = 3000;

constexpr std::array kKinds{"broker",        "topic",
                            "partition",     "entry",
                            "config",        "client_quota",
                            "feature_level", "access_control_entry",
                            "producer_ids",  "user_scram_credential"};
// Some are of the clients' topics, some of nobody's.
constexpr std::array kPrefixes{"topic-", "topic-1", "model-", "large-", "model-2", "x"};

}  // namespace

FilteredSubscriber::FilteredSubscriber(World& world, ClientChecker& clients, ModelChecker& model,
                                       int number, Random random)
    : world_(world),
      clients_(clients),
      model_(model),
      number_(number),
      name_(fmt::format("filtered subscriber {}", number)),
      random_(random),
      finder_(world, random_.Fork()) {}

int FilteredSubscriber::actor() const { return kFirstActor + number_; }

Offset FilteredSubscriber::applied_end() const {
  if (checker_.has_value()) {
    return checker_->end_offset();
  }
  return Offset(held_.position.has_value() ? held_.position->offset() : 0);
}

std::optional<BookmarkCount> FilteredSubscriber::bookmarks() const {
  return stream_ == nullptr
             ? std::nullopt
             : std::optional(BookmarkCount{stream_->serial(), checker_->bookmarks()});
}

void FilteredSubscriber::Later(Duration delay, void (FilteredSubscriber::*task)()) {
  world_.queue.After(DrawBetween(random_, delay / 2, delay * 3 / 2),
                     [this, task] { (this->*task)(); });
}

void FilteredSubscriber::Start() {
  request_ = DrawRequest();
  Later(kRetryDelay, &FilteredSubscriber::Subscribe);
  Later(kWatchInterval, &FilteredSubscriber::Watch);
  Later(kActInterval, &FilteredSubscriber::Act);
}

void FilteredSubscriber::Calm() {
  MendPaths();
  is_calm_ = true;
  read_delay_ = {};
  if (stream_ != nullptr) {
    stream_->SetReadDelay({});
  }
}

// --- what it wants ---

void FilteredSubscriber::DrawTopics(v1::SubscribeFilter& filter) {
  for (uint64_t i = 0; i <= random_.Below(3); ++i) {
    switch (random_.Below(3)) {
      case 0:
        filter.add_topic_names(random_.OneIn(1, 2) ? fmt::format("topic-{}", random_.Below(12))
                                                   : fmt::format("model-{}", random_.Below(4)));
        break;
      case 1:
        filter.add_topic_prefixes(kPrefixes[random_.Below(kPrefixes.size())]);
        break;
      default: {
        // One that is there now, or a new one: it may never be.
        const auto& topics = world_.ghost.image()->topics().by_id;
        const Uuid chosen = Uuid::FromRandom(random_);
        auto topic = topics.lower_bound(chosen);
        filter.add_topic_ids((topic == topics.end() ? chosen : topic->key).ToString());
        break;
      }
    }
  }
}

v1::SubscribeRequest FilteredSubscriber::DrawRequest() {
  v1::SubscribeRequest request;
  request.set_cluster_id(world_.options.cluster_id);
  request.set_subscriber_id(name_);
  if (random_.OneIn(1, 6)) {
    request.set_source(v1::SOURCE_LEADER);
  }
  if (random_.OneIn(1, 8)) {
    return request;  // everything
  }
  v1::SubscribeFilter& filter = *request.mutable_filter();
  if (random_.OneIn(1, 2)) {
    for (uint64_t i = 0; i <= random_.Below(3); ++i) {
      filter.add_kinds(kKinds[random_.Below(kKinds.size())]);
    }
  }
  if (random_.OneIn(1, 3)) {
    DrawTopics(filter);
  }
  if (random_.OneIn(1, 2)) {
    filter.set_hosted_by_broker(true);
    request.set_broker_id(
        static_cast<int32_t>(random_.Below(static_cast<uint64_t>(world_.options.brokers))));
  }
  return request;
}

// --- its faults ---

void FilteredSubscriber::Act() {
  if (is_calm_) {
    return;
  }
  Later(kActInterval, &FilteredSubscriber::Act);
  switch (random_.Below(6)) {
    case 0:
      EndStream();
      break;
    case 1:  // something else, from where it is
      EndStream();
      request_ = DrawRequest();
      break;
    case 2:
      if (random_.OneIn(1, 2)) {
        EndStream();
        held_ = {};
      }
      break;
    case 3:
      CutPaths();
      break;
    case 4:
      read_delay_ =
          random_.OneIn(1, 2) ? milliseconds(LogUniform(random_, 20, kMaxReadDelayMs)) : Duration{};
      if (stream_ != nullptr) {
        stream_->SetReadDelay(read_delay_);
      }
      break;
    default:
      break;
  }
  if (request_.has_broker_id()) {
    MovePartition();
  }
}

void FilteredSubscriber::MovePartition() {
  const auto& topics = world_.ghost.image()->topics().by_id;
  const auto topic = topics.lower_bound(Uuid::FromRandom(random_));
  if (topic == topics.end()) {
    return;
  }
  const Uuid id = Uuid::FromRandom(random_);
  v1::AlterPartitionReassignmentsRequest request;
  request.mutable_options()->set_request_id(id.ToString());
  v1::AlterPartitionReassignmentsRequest::Item& item = *request.add_partitions();
  item.mutable_topic()->set_name(*topic->value.name);
  item.set_partition_index(
      static_cast<int32_t>(random_.Below(static_cast<uint64_t>(topic->value.partition_count()))));
  const auto brokers = static_cast<uint64_t>(world_.options.brokers);
  const auto first = static_cast<int32_t>(random_.Below(brokers));
  const auto second = static_cast<int32_t>(random_.Below(brokers));
  item.add_replicas(first);
  if (second != first && random_.OneIn(1, 3)) {
    item.add_replicas(second);
  }
  model_.OnSent(id, request);
  ClientCall<controller::CommandReply> call =
      MakeCommandCall(world_, actor(), finder_.target(), request);
  call.on_leave = [this, id, request, before = world_.ghost.end_offset()](
                      SimProcess& process, const absl::StatusOr<controller::CommandReply>& reply) {
    clients_.OnWriteAnswered(process, request, before, reply);
    if (reply.ok()) {
      model_.OnAcknowledged(process, id, *reply);
    }
  };
  call.on_result = [this](const CallResult<controller::CommandReply>& result) {
    if (result.kind != CallResult<controller::CommandReply>::Kind::kAnswered) {
      finder_.TryAnother();
    } else if (!result.answer.ok()) {
      finder_.OnError(result.answer.status());
    }
  };
  StartCall(world_, random_, std::move(call));
}

void FilteredSubscriber::CutPaths() {
  for (const auto& [id, machine] : world_.controllers) {
    if (random_.OneIn(1, 2)) {
      world_.cut_paths.insert({actor(), id});
    }
  }
  Later(milliseconds(LogUniform(random_, 100, 10'000)), &FilteredSubscriber::MendPaths);
}

void FilteredSubscriber::MendPaths() {
  if (is_calm_) {
    return;  // those that are cut now are not its own doing
  }
  for (const auto& [id, machine] : world_.controllers) {
    world_.cut_paths.erase({actor(), id});
  }
}

// --- its stream ---

void FilteredSubscriber::Subscribe() {
  if (stream_ != nullptr) {
    return;
  }
  auto node = world_.controllers.begin();
  std::advance(node, static_cast<int64_t>(random_.Below(world_.controllers.size())));
  const NodeId to = std::exchange(hint_, std::nullopt).value_or(node->first);
  SimProcess* process = world_.RunningOn(to);
  if (process == nullptr || world_.IsCut(actor(), to)) {
    Later(kRetryDelay, &FilteredSubscriber::Subscribe);
    return;
  }
  v1::SubscribeRequest request = request_;
  if (held_.position.has_value()) {
    *request.mutable_resume_from() = *held_.position;
    request.set_resume_filter_id(held_.filter_id);
  }
  stream_ = std::make_shared<SimStream>(world_, process->id(), actor(), random_.Fork());
  stream_->Connect(this);
  stream_->SetReadDelay(read_delay_);
  checker_.emplace(world_, name_, to, held_, Scope(request_));
  world_.log.Line("{} subscribes to {} from {}: {}", name_, process->id(), applied_end(),
                  request_.ShortDebugString());
  last_message_ = world_.queue.now();
  process->publisher().Subscribe(stream_, std::move(request));
}

void FilteredSubscriber::OnStreamMessage(const std::string& bytes) {
  world_.log.MixNow();
  last_message_ = world_.queue.now();
  v1::SubscribeResponse response;
  KVORUM_CHECK(response.ParseFromString(bytes), "{}: a delivery is no SubscribeResponse", name_);
  for (const v1::MetadataUpdate& update : response.updates()) {
    checker_->OnUpdate(update);
    CheckServer(update);
    if (update.has_go_away()) {
      hint_ = SimController::ParseClientEndpoint(update.go_away().hint());
    }
  }
}

// A stream of the leader only ends with its leadership.
void FilteredSubscriber::CheckServer(const v1::MetadataUpdate& update) const {
  if (request_.source() != v1::SOURCE_LEADER || !update.has_bookmark()) {
    return;
  }
  KVORUM_CHECK(NodeId(update.bookmark().leader_id()) == stream_->server().node,
               "invariant 32 StreamResume: {} wants the leader only, and {} serves it and names {}",
               name_, stream_->server(), update.bookmark().leader_id());
  world_.log.Hit(Mark::kLeaderStream);
}

void FilteredSubscriber::OnStreamEnd(const absl::Status& status) {
  world_.log.Line("{} stream ends: {}", name_, Text(status));
  const std::map<std::string, std::string> facts = GetErrorFacts(status);
  const auto fact = [&](const char* name) -> std::string {
    const auto found = facts.find(name);
    return found == facts.end() ? "" : found->second;
  };
  switch (GetErrorReason(status)) {
    case ErrorReason::kNotController:
      KVORUM_CHECK(request_.source() == v1::SOURCE_LEADER,
                   "invariant 32 StreamResume: {} takes any controller, and is refused: {}", name_,
                   Text(status));
      world_.log.Hit(Mark::kLeaderStreamRefused);
      hint_ = SimController::ParseClientEndpoint(fact("leader_endpoint"));
      break;
    case ErrorReason::kClassShed:
      if (const std::string sent = fact("sent_offset"); !sent.empty()) {
        KVORUM_CHECK(std::stoll(sent) >= applied_end().value(),
                     "invariant 32 StreamResume: {} has {} and was sent {}", name_, applied_end(),
                     sent);
        world_.log.Hit(Mark::kFilteredTooSlow);
      }
      break;
    default:
      KVORUM_CHECK(status.ok() || absl::IsUnavailable(status), "invariant 32 StreamResume: {}: {}",
                   name_, Text(status));
  }
  EndStream();
}

void FilteredSubscriber::EndStream() {
  if (stream_ == nullptr) {
    return;
  }
  held_ = checker_->held();
  checker_.reset();
  const std::shared_ptr<SimStream> stream = std::exchange(stream_, nullptr);
  stream->Disconnect();
  if (SimProcess* process = world_.FindProcess(stream->server())) {
    process->publisher().OnDisconnected(stream);
  }
  Later(kRetryDelay, &FilteredSubscriber::Subscribe);
}

// A connection can die without a word; bookmarks tell a quiet stream from a dead one.
void FilteredSubscriber::Watch() {
  const Duration limit =
      world_.options.bookmark_interval * 4 + read_delay_ * 4 + milliseconds(4000);
  if (stream_ != nullptr && world_.queue.now() - last_message_ > limit) {
    world_.log.Line("{} stream is silent", name_);
    EndStream();
  }
  Later(kWatchInterval, &FilteredSubscriber::Watch);
}

}  // namespace kvorum::sim
