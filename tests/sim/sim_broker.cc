#include "tests/sim/sim_broker.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "server/base/check.h"
#include "server/base/errors.h"
#include "server/metadata/metadata_level.h"
#include "tests/sim/checkers/checks.h"
#include "tests/sim/sim_process.h"

namespace kvorum::sim {
namespace {

using std::chrono::milliseconds;

constexpr Duration kStreamWatchInterval = milliseconds(500);
constexpr Duration kIsrChangeInterval = milliseconds(1500);
// Of a broker that rejects at all: one commit in so many.
constexpr int kCommitsPerRejection = 150;

}  // namespace

SimBroker::SimBroker(World& world, ClientChecker& checker, int id, Random random)
    : world_(world), checker_(checker), id_(id), random_(random), finder_(world, random_.Fork()) {}

std::optional<BookmarkCount> SimBroker::bookmarks() const {
  return stream_ == nullptr
             ? std::nullopt
             : std::optional(BookmarkCount{stream_->serial(), stream_checker_->bookmarks()});
}

Offset SimBroker::applied_end() const {
  if (stream_checker_.has_value()) {
    return stream_checker_->end_offset();
  }
  return Offset(state_.position.has_value() ? state_.position->offset() : 0);
}

void SimBroker::Later(Duration delay, void (SimBroker::*task)()) {
  const Duration jittered = DrawBetween(random_, delay / 2, delay * 3 / 2);
  world_.queue.After(jittered, [this, task, life = life_] {
    if (is_up_ && life_ == life) {
      (this->*task)();
    }
  });
}

void SimBroker::Start() {
  KVORUM_CHECK(!is_up_, "broker {} is up", id_);
  ++life_;
  world_.log.Line("broker {} starts, life {}", id_, life_);
  is_up_ = true;
  is_leaving_ = false;
  wants_fence_ = false;
  incarnation_ = Uuid::FromRandom(random_);
  broker_epoch_.reset();
  rejected_.reset();
  is_stuck_ = false;
  if (random_.OneIn(1, 2)) {
    state_ = {};  // lost its disk, or keeps nothing
  }
  read_delay_ =
      !is_calm_ && random_.OneIn(1, 4) ? DrawBetween(random_, {}, milliseconds(300)) : Duration{};
  Later(kRetryDelay, &SimBroker::Register);
  Later(kRetryDelay, &SimBroker::Subscribe);
  Later(kStreamWatchInterval, &SimBroker::WatchStream);
  Later(kIsrChangeInterval, &SimBroker::ChangeIsr);
}

void SimBroker::Crash() {
  KVORUM_CHECK(is_up_, "broker {} is down", id_);
  world_.log.Line("broker {} stops", id_);
  EndStream();
  EndHold();
  is_up_ = false;
}

void SimBroker::Leave() { is_leaving_ = true; }

void SimBroker::CutStream() {
  EndStream();
  EndHold();
}

void SimBroker::Calm() {
  is_calm_ = true;
  is_leaving_ = false;
  read_delay_ = {};
  if (stream_ != nullptr) {
    stream_->SetReadDelay({});
  }
}

void SimBroker::SendCommand(
    controller::Command command,
    void (SimBroker::*on_result)(const CallResult<controller::CommandReply>&)) {
  ClientCall<controller::CommandReply> call;
  call.is_command = true;
  call.invoke = [this, command](SimProcess& process, Now now, TimePoint deadline, auto done) {
    NoteTakeOver(process, command);
    process.node().HandleCommand(now, command, deadline, std::move(done));
  };
  call.on_leave = [this, command, before = world_.ghost.end_offset()](
                      SimProcess& process, const absl::StatusOr<controller::CommandReply>& reply) {
    checker_.OnWriteAnswered(process, command, before, reply);
  };
  Call(std::move(call), on_result);
}

void SimBroker::NoteTakeOver(SimProcess& process, const controller::Command& command) {
  const BrokerLiveness* liveness = process.node().active_controller().liveness();
  const BrokerId id(id_);
  if (std::holds_alternative<v1::RegisterBrokerRequest>(command) && liveness != nullptr &&
      liveness->HasLiveSession(id) && liveness->IsKnownGone(id)) {
    world_.log.Hit(Mark::kBrokerTakenOver);
  }
}

void SimBroker::Register() {
  SendCommand(MakeRegistration(incarnation_), &SimBroker::OnRegistered);
}

void SimBroker::StartTwin() {
  const controller::Command command = MakeRegistration(Uuid::FromRandom(random_));
  auto call = MakeCommandCall(world_, id_, finder_.target(), command);
  call.on_leave = [this, command, before = world_.ghost.end_offset()](
                      SimProcess& process, const absl::StatusOr<controller::CommandReply>& reply) {
    checker_.OnWriteAnswered(process, command, before, reply);
  };
  call.on_result = [this](const CallResult<controller::CommandReply>& result) {
    if (result.answer.ok()) {
      world_.log.Hit(Mark::kTwinRegistered);
      world_.log.Line("a twin of broker {} was registered", id_);
    } else if (GetErrorReason(result.answer.status()) ==
               ErrorReason::kDuplicateBrokerRegistration) {
      world_.log.Hit(Mark::kTwinRefused);
    }
  };
  StartCall(world_, random_, std::move(call));
}

v1::RegisterBrokerRequest SimBroker::MakeRegistration(const Uuid& incarnation) const {
  v1::RegisterBrokerRequest request;
  request.set_cluster_id(world_.options.cluster_id);
  request.set_broker_id(id_);
  request.set_incarnation_id(incarnation.ToBytes());
  v1::Endpoint& endpoint = *request.add_endpoints();
  endpoint.set_name("PLAINTEXT");
  endpoint.set_host(fmt::format("b{}", id_));
  endpoint.set_port(9092);
  if (world_.options.workload.broker_features) {
    const auto support = [&](const char* name, int32_t min_level, int32_t max_level) {
      v1::SupportedFeature& feature = *request.add_features();
      feature.set_name(name);
      feature.set_min_level(min_level);
      feature.set_max_level(max_level);
    };
    support(kMetadataVersionFeature, kMinMetadataLevel, kMaxMetadataLevel);
    support(kSimFeature, 0, kMaxSimFeatureLevel);
  }
  return request;
}

void SimBroker::KeepHold() {
  SimProcess* process = world_.RunningOn(finder_.target());
  if (process == nullptr || world_.IsCut(id_, finder_.target()) ||
      (hold_.has_value() && hold_->process == process->id())) {
    return;
  }
  // Unique on that process, whoever made it.
  const controller::HoldId id =
      ++holds_ * static_cast<uint64_t>(world_.options.brokers) + static_cast<uint64_t>(id_);
  hold_ = {process->id(), id};
  v1::HoldSessionRequest request;
  request.set_cluster_id(world_.options.cluster_id);
  request.set_broker_id(id_);
  request.set_broker_epoch(*broker_epoch_);
  auto done = process->Once<v1::HoldSessionResponse>(
      [this, id](const absl::StatusOr<v1::HoldSessionResponse>&) {
        if (hold_.has_value() && hold_->id == id) {
          hold_.reset();
        }
      });
  process->Post([process, request, id, done = std::move(done)](Now now) {
    process->node().HandleHoldSession(now, request, id, done);
  });
}

void SimBroker::EndHold() {
  if (!hold_.has_value()) {
    return;
  }
  const Hold hold = *std::exchange(hold_, std::nullopt);
  // A kernel that lives closes the connections of a process that does not.
  if (world_.IsCut(id_, hold.process.node) || random_.OneIn(1, 4)) {
    return;
  }
  const NetworkFaults& faults = world_.network_faults;
  const auto tell = [&world = world_, hold, broker = id_] {
    if (SimProcess* process = world.FindProcess(hold.process)) {
      process->Post([&world, process, id = hold.id, broker](Now now) {
        world.checks->OnHoldEnded(*process, broker);
        process->node().HandleHoldEnded(now, id, controller::HoldEnd::kCallerGone);
      });
    }
  };
  world_.queue.After(DrawBetween(random_, faults.min_delay, faults.max_delay), tell);
}

void SimBroker::OnRegistered(const CallResult<controller::CommandReply>& result) {
  if (!result.answer.ok()) {
    Later(kRetryDelay, &SimBroker::Register);
    return;
  }
  broker_epoch_ = std::get<v1::RegisterBrokerResponse>(*result.answer).broker_epoch();
  world_.log.Line("broker {} registered, epoch {}", id_, *broker_epoch_);
  Heartbeat();
  AcknowledgeLater();
}

void SimBroker::Subscribe() {
  if (stream_ != nullptr || is_stuck_) {
    return;
  }
  auto node = world_.controllers.begin();
  std::advance(node, static_cast<int64_t>(random_.Below(world_.controllers.size())));
  const NodeId to = std::exchange(stream_hint_, std::nullopt).value_or(node->first);
  SimProcess* process = world_.RunningOn(to);
  if (process == nullptr || world_.IsCut(id_, to)) {
    Later(kRetryDelay, &SimBroker::Subscribe);
    return;
  }
  v1::SubscribeRequest request;
  request.set_cluster_id(world_.options.cluster_id);
  request.set_subscriber_id(fmt::format("broker-{}", id_));
  request.set_broker_id(id_);
  if (state_.position.has_value()) {
    *request.mutable_resume_from() = *state_.position;
  }
  stream_ = std::make_shared<SimStream>(world_, process->id(), id_, random_.Fork());
  stream_->Connect(this);
  stream_->SetReadDelay(read_delay_);
  stream_checker_.emplace(world_, id_, to, state_);
  world_.log.Line("broker {} subscribes to {} from {}", id_, process->id(), applied_end());
  last_message_ = world_.queue.now();
  process->publisher().Subscribe(stream_, std::move(request));
}

void SimBroker::OnStreamMessage(const std::string& bytes) {
  world_.log.MixNow();
  last_message_ = world_.queue.now();
  v1::SubscribeResponse response;
  KVORUM_CHECK(response.ParseFromString(bytes), "broker {}: a delivery is no SubscribeResponse",
               id_);
  for (const v1::MetadataUpdate& update : response.updates()) {
    if (Rejects(update)) {
      return;
    }
    stream_checker_->OnUpdate(update);
    Offset& applied = world_.applied_by_broker[id_];
    applied = std::max(applied, applied_end());
    if (rejected_.has_value() && applied_end() > *rejected_) {
      rejected_.reset();
    }
    if (update.has_go_away()) {
      stream_hint_ = SimController::ParseClientEndpoint(update.go_away().hint());
    }
  }
  if (read_delay_ > Duration{}) {
    world_.log.Hit(Mark::kSlowSubscriber);
  }
}

// Whether it can not apply `update`; then it stops to follow, says so, and tries again some time
// later.
bool SimBroker::Rejects(const v1::MetadataUpdate& update) {
  if (!world_.options.workload.waits || is_calm_ || !update.has_commit() ||
      update.commit().part() != 0 || !random_.OneIn(1, kCommitsPerRejection)) {
    return false;
  }
  rejected_ = Offset(update.commit().from());
  world_.rejected_by_broker[id_].insert(*rejected_);
  world_.log.Hit(Mark::kBrokerRejected);
  world_.log.Line("broker {} rejects {}", id_, *rejected_);
  is_stuck_ = true;
  EndStream();
  Later(milliseconds(LogUniform(random_, 10, 5000)), &SimBroker::TryAgain);
  return true;
}

void SimBroker::TryAgain() {
  is_stuck_ = false;
  Subscribe();
}

void SimBroker::OnStreamEnd(const absl::Status& status) {
  world_.log.Line("broker {} stream ends: {}", id_, Text(status));
  if (!status.ok() && !absl::IsUnavailable(status)) {
    world_.log.Hit(Mark::kStreamClosedWithError);
  }
  const ErrorReason reason = GetErrorReason(status);
  KVORUM_CHECK(
      reason != ErrorReason::kPositionOutOfRange && reason != ErrorReason::kPositionDiscarded,
      "invariant 32 StreamResume: broker {}: {}", id_, status.ToString());
  EndStream();
}

void SimBroker::EndStream() {
  if (stream_ == nullptr) {
    return;
  }
  state_ = stream_checker_->state();
  stream_checker_.reset();
  stream_->Disconnect();
  if (SimProcess* process = world_.FindProcess(stream_->server())) {
    process->publisher().OnDisconnected(stream_);
  }
  stream_.reset();
  if (is_up_) {
    Later(kRetryDelay, &SimBroker::Subscribe);
  }
}

// A connection can die without a word; bookmarks tell a quiet stream from a dead one.
void SimBroker::WatchStream() {
  const Duration limit =
      world_.options.bookmark_interval * 4 + read_delay_ * 4 + milliseconds(4000);
  if (stream_ != nullptr && world_.queue.now() - last_message_ > limit) {
    world_.log.Line("broker {} stream is silent", id_);
    EndStream();
  }
  Later(kStreamWatchInterval, &SimBroker::WatchStream);
}

void SimBroker::ChangeIsr() {
  Later(kIsrChangeInterval, &SimBroker::ChangeIsr);
  if (is_calm_ || !broker_epoch_.has_value()) {
    return;
  }
  if (std::optional<v1::AlterPartitionRequest> request = DrawIsrChange()) {
    SendCommand(*std::move(request), &SimBroker::OnIsrChanged);
  }
}

void SimBroker::OnIsrChanged(const CallResult<controller::CommandReply>& result) {
  if (result.answer.ok() &&
      std::get<v1::AlterPartitionResponse>(*result.answer).results(0).status().code() == 0) {
    world_.log.Hit(Mark::kIsrChanged);
  }
}

std::optional<v1::AlterPartitionRequest> SimBroker::DrawIsrChange() {
  const MetadataImage& image =
      stream_checker_.has_value() ? stream_checker_->image() : *state_.image;
  v1::AlterPartitionRequest request;
  request.set_cluster_id(world_.options.cluster_id);
  request.set_broker_id(id_);
  request.set_broker_epoch(*broker_epoch_);
  for (const PartitionKey& key : PartitionsInSyncOn(image.topics(), BrokerId(id_))) {
    const Topic* topic = image.topics().Find(key.topic_id);
    const std::optional<Partition> partition =
        topic == nullptr ? std::nullopt : topic->partitions.Find(key.index);
    if (!partition.has_value() || partition->leader != BrokerId(id_) || !random_.OneIn(1, 2)) {
      continue;
    }
    v1::AlterPartitionRequest::Item& item = *request.add_partitions();
    item.set_topic_id(key.topic_id.ToString());
    item.set_partition_index(key.index);
    item.set_leader_epoch(partition->leader_epoch);
    item.set_partition_epoch(partition->partition_epoch);
    const bool shrink = random_.OneIn(1, 2);
    for (const BrokerId replica : partition->replicas) {
      const Broker* broker = image.brokers().Find(replica);
      if (replica == BrokerId(id_) || (!shrink && broker != nullptr && !broker->is_fenced)) {
        v1::IsrMember& member = *item.add_new_isr();
        member.set_broker_id(replica.value());
        member.set_broker_epoch(broker == nullptr ? -1 : broker->epoch.value());
      }
    }
    return request;
  }
  return std::nullopt;
}

}  // namespace kvorum::sim
