#include "server/node/node.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "server/base/check.h"
#include "server/base/errors.h"
#include "server/base/mutants.h"
#include "server/node/control_codec.h"

namespace kvorum {
namespace {

constexpr size_t kMaxEndpointBytes = 320;    // host of 255, port, brackets
constexpr size_t kMaxKnownEndpoints = 1024;  // observers beyond it are not told to clients

raft::RaftConfig WithCodec(raft::RaftConfig config) {
  config.encode_control = EncodeControlBatch;
  config.encode_voters = EncodeVoterSet;
  config.decode_control = DecodeVoterSet;
  return config;
}

bool IsEmpty(const raft::Effects& effects) {
  return effects.writes.empty() && effects.sends.empty() && effects.replies.empty() &&
         !effects.high_watermark.has_value() && effects.reads.empty() &&
         effects.leadership.empty() && effects.traces.empty() && !effects.store_chunk.has_value() &&
         !effects.freeze_snapshot.has_value() && effects.delete_snapshots.empty() &&
         !effects.installed.has_value() && effects.changes.empty();
}

}  // namespace

class Node::Appender : public controller::LogAppender {
 public:
  // `levels`: what is known of the peers; all is borrowed.
  Appender(const Node& node, raft::RaftCore& core, const std::map<NodeId, LevelRange>& levels)
      : node_(node), core_(core), levels_(levels) {}

  Offset log_end_offset() const override { return core_.log_end_offset(); }
  std::vector<VoterLevels> voter_levels() const override {
    std::vector<VoterLevels> voters;
    for (const auto& [id, voter] : core_.voters().voters()) {
      const auto known = levels_.find(id);
      voters.push_back({id, known == levels_.end() ? std::nullopt : std::optional(known->second)});
    }
    return voters;
  }
  absl::Status CheckIsOnLog(const v1::Position& position) const override {
    return node_.CheckIsOnLog(position);
  }
  void Append(Now now, Epoch epoch, int32_t record_count,
              std::shared_ptr<const std::string> payload) override {
    bytes_ += payload->size();
    core_.Step(now, raft::AppendRecords{epoch, record_count, std::move(payload)});
  }

  // Appended since the executor took over what was appended before.
  size_t bytes() const { return bytes_; }
  void OnTakenOver() { bytes_ = 0; }

 private:
  size_t bytes_ = 0;
  const Node& node_;
  raft::RaftCore& core_;
  const std::map<NodeId, LevelRange>& levels_;
};

class Node::Target : public EffectTarget {
 public:
  explicit Target(Node& node) : node_(node) {}

  void OnWriteDone(Now now, raft::WriteDone done) override {
    node_.Step(now, done);
    node_.recent_.Evict(node_.core_.durable_end_offset());
    node_.MaybeMakeSnapshot(now);
  }
  void OnInstalled(const SnapshotManifest& manifest) override { node_.snapshots_.Load(manifest); }
  void OnSnapshotDamaged(Now now, const SnapshotId& id, const absl::Status& status) override {
    node_.ports_.observer.OnSnapshotDamaged(id, status);
    node_.snapshots_.OnDamaged(id);
    node_.MaybeMakeSnapshot(now);
  }
  void OnDone(Now now, raft::Event event) override { node_.Step(now, std::move(event)); }
  void OnHighWatermark(Now now) override { node_.ApplyCommitted(now); }
  void OnReadConfirmed(Now now, const raft::ReadConfirmed& read) override {
    node_.OnReadConfirmed(now, read);
  }
  void OnQuorumChangeDone(const raft::QuorumChangeDone& change) override {
    node_.OnQuorumChangeDone(change);
  }
  void OnLeadership(Now now, const raft::LeadershipChange& change) override {
    node_.OnLeadership(now, change);
  }

 private:
  Node& node_;
};

class Node::SnapshotTarget : public SnapshotOwner {
 public:
  explicit SnapshotTarget(Node& node) : node_(node) {}

  void StepRaft(Now now, raft::Event event) override { node_.Step(now, std::move(event)); }
  void OnImageLoaded(Now now, std::shared_ptr<const MetadataImage> image,
                     uint64_t chain_hash) override {
    if (node_.executor_.failed()) {
      return;
    }
    node_.applier_.ResetTo(std::move(image), chain_hash);
    node_.OnApplied(now);
    node_.is_apply_due_ = true;
    if (KVORUM_MUTANT(ApplyAhead)) {
      node_.ApplyCommitted(now);
    }
  }
  void OnStorageError(const absl::Status& status) override { node_.executor_.Fail(status); }

 private:
  Node& node_;
};

Node::Node(NodeConfig config, Ports ports, const RecoveredState& recovered, Random random, Now now)
    : config_(std::move(config)),
      ports_(ports),
      core_(WithCodec(config_.raft), recovered, random.Fork(), now.now),
      recent_(config_.recent_batches_max_bytes),
      applier_(ports.feed, GenesisChainHash(config_.raft.cluster_id)),
      appender_(std::make_unique<Appender>(*this, core_, metadata_levels_)),
      controller_(config_.controller, config_.raft.generation, *appender_, random.Fork()),
      target_(std::make_unique<Target>(*this)),
      executor_({ports.storage, ports.transport, ports.host, ports.observer, recent_, *target_},
                config_.client_endpoint),
      snapshot_target_(std::make_unique<SnapshotTarget>(*this)),
      snapshots_(config_.snapshots, {ports.storage, ports.host, core_, *snapshot_target_}),
      pages_(config_.pinned_pages, config_.raft.generation) {
  client_endpoints_[config_.raft.self.node_id] = config_.client_endpoint;
  controller_.SetPropagationObserver(
      [this](Duration elapsed) { ports_.observer.OnPropagated(elapsed); });
  metadata_levels_[config_.raft.self.node_id] = LevelRange();
  if (!core_.snapshots().empty()) {
    snapshots_.Load(core_.snapshots().back());
  }
}

Node::~Node() = default;

void Node::Step(Now now, raft::Event event) {
  if (!executor_.failed()) {
    core_.Step(now, std::move(event));
  }
}

void Node::LearnEndpoint(NodeId peer, const std::optional<ReplicaKey>& key,
                         const std::string& endpoint) {
  if (peer < NodeId(0) || endpoint.empty() || endpoint.size() > kMaxEndpointBytes) {
    return;
  }
  const raft::Voter* voter = core_.voters().Find(peer);
  if (voter != nullptr && key.has_value() && *key != voter->key) {
    return;  // an observer may have a voter's node id, but not its place in the hints
  }
  if (voter == nullptr && client_endpoints_.size() >= kMaxKnownEndpoints &&
      !client_endpoints_.contains(peer)) {
    return;
  }
  if (std::string& known = client_endpoints_[peer]; known != endpoint) {
    known = endpoint;
  }
}

template <typename Header>
void Node::LearnLevels(NodeId peer, const Header& header) {
  if (core_.voters().Find(peer) != nullptr) {
    // A release that says nothing knows the first level.
    metadata_levels_[peer] = {std::max(header.min_metadata_level, kMinMetadataLevel),
                              std::max(header.max_metadata_level, kMinMetadataLevel)};
  }
}

// --- from other controllers ---

void Node::HandleRaftRequest(Now now, raft::RaftRequest request,
                             std::function<void(raft::RaftResponse)> done) {
  if (executor_.failed()) {
    return;
  }
  const raft::RequestHeader& header = HeaderOf(request);
  // As raft has it: what is not for this replica changes nothing.
  const bool is_for_us =
      header.generation == config_.raft.generation &&
      (header.receiver == config_.raft.self || header.receiver.node_id == raft::kAnyNode);
  if (header.cluster_id == config_.raft.cluster_id &&
      (is_for_us || KVORUM_MUTANT(HintsOverheard))) {
    LearnEndpoint(header.sender.node_id, header.sender, header.client_endpoint);
    LearnLevels(header.sender.node_id, header);
  }
  const raft::RequestToken token = executor_.AddRequest(std::move(done));
  Step(now, raft::RequestReceived{token, std::move(request)});
}

void Node::HandleRaftResponse(Now now, NodeId from, raft::CorrelationId id,
                              raft::RaftResponse response) {
  LearnEndpoint(from, std::nullopt, HeaderOf(response).client_endpoint);
  LearnLevels(from, HeaderOf(response));
  Step(now, raft::ResponseReceived{from, id, std::move(response)});
}

void Node::HandleSendFailure(Now now, NodeId to, raft::CorrelationId id,
                             raft::SendFailure failure) {
  Step(now, raft::RequestFailed{to, id, failure});
}

// --- from the publish loop ---

void Node::HandleReadCommitted(Now, OffsetAndEpoch from, size_t max_bytes,
                               publish::CommittedLog::ReadDone done) {
  const auto discarded = [from] {
    return MakeError(ErrorReason::kPositionDiscarded,
                     fmt::format("{} (offset/epoch) is no place in this node's log", from));
  };
  if (from.offset > applier_.applied_end() || core_.EpochBelow(from.offset) != from.epoch) {
    done(discarded());
    return;
  }
  const auto convert = [](const std::vector<RecordBatch>& batches) {
    std::vector<publish::CommittedUpdate> updates;
    updates.reserve(batches.size());
    for (const RecordBatch& batch : batches) {
      updates.push_back({batch.base_offset, batch.end_offset(), batch.epoch,
                         batch.is_control ? nullptr : batch.payload});
    }
    return updates;
  };
  const LogRange range{from.offset, applier_.applied_end(), max_bytes};
  if (range.from == range.to) {
    done(std::vector<publish::CommittedUpdate>());
    return;
  }
  if (auto cached = recent_.Read(range.from, range.to, range.max_bytes); cached.has_value()) {
    done(convert(*cached));
    return;
  }
  ports_.storage.Read(range, [this, convert, discarded, done = std::move(done)](
                                 absl::StatusOr<std::vector<RecordBatch>> batches) {
    ports_.host.Post([this, convert, discarded, done, batches = std::move(batches)](Now) {
      if (executor_.failed()) {
        return;
      }
      if (batches.ok()) {
        done(convert(*batches));
      } else if (absl::IsNotFound(batches.status())) {
        done(discarded());  // inside a batch: nobody who followed this log stands there
      } else {
        executor_.Fail(batches.status());
      }
    });
  });
}

void Node::HandleConfirmCommittedEnd(Now now, publish::CommittedLog::EndDone done) {
  ConfirmLeadership(
      now, [done = std::move(done)](Now, absl::StatusOr<Offset> end) { done(std::move(end)); });
}

// --- commits and roles ---

void Node::ApplyCommitted(Now now) {
  while (!is_apply_read_outstanding_ && !snapshots_.is_loading() && !executor_.failed()) {
    const Offset committed = core_.high_watermark().value_or(Offset(0));
    const Offset applied = applier_.applied_end();
    if (applied >= committed) {
      return;
    }
    auto cached = recent_.Read(applied, committed, config_.apply_max_bytes);
    if (cached.has_value()) {
      Apply(now, *cached);
      continue;
    }
    is_apply_read_outstanding_ = true;
    ports_.storage.Read({applied, committed, config_.apply_max_bytes},
                        [this](absl::StatusOr<std::vector<RecordBatch>> batches) {
                          ports_.host.Post([this, batches = std::move(batches)](Now later) {
                            OnCommittedRead(later, batches);
                          });
                        });
  }
}

void Node::OnCommittedRead(Now now, const absl::StatusOr<std::vector<RecordBatch>>& batches) {
  is_apply_read_outstanding_ = false;
  if (executor_.failed()) {
    return;
  }
  // A snapshot may have been installed since: then these batches are no part of the log any more.
  const bool is_next = batches.ok() && !batches->empty() && !snapshots_.is_loading() &&
                       batches->front().base_offset == applier_.applied_end();
  if (is_next) {
    Apply(now, *batches);
  } else if (!batches.ok() && !(absl::IsNotFound(batches.status()) &&
                                core_.log_start_offset() > applier_.applied_end())) {
    executor_.Fail(batches.status());
    return;
  }
  is_apply_due_ = true;
}

void Node::Apply(Now now, const std::vector<RecordBatch>& batches) {
  applier_.Apply(batches);
  int64_t bytes = 0;
  for (const RecordBatch& batch : batches) {
    bytes += static_cast<int64_t>(batch.encoded_size());
  }
  snapshots_.OnApplied(bytes);
  OnApplied(now);
  MaybeMakeSnapshot(now);
}

void Node::OnApplied(Now now) {
  // A snapshot of before the restart is committed but says nothing of what came after it.
  has_caught_up_ =
      has_caught_up_ || (core_.hears_leader() && applier_.applied_end() >= core_.high_watermark());
  controller_.OnCommitted(now, applier_.image());
  AnswerWaitingQueries(now);
  pages_.Expire(now.now);
  MaybeActivate(now);
}

void Node::OnLeadership(Now now, const raft::LeadershipChange& change) {
  won_.reset();
  if (change.is_leader) {
    won_ = change;
    MaybeActivate(now);
  } else if (controller_.is_active() && !KVORUM_MUTANT(R23)) {
    controller_.Deactivate();
    ports_.observer.OnActiveController(controller_.epoch(), false);
  }
  ports_.observer.OnLeadership(change);
}

void Node::MaybeActivate(Now now) {
  // The own epoch's first record is applied, and with it every record before it. An event of this
  // turn may have deposed raft again.
  if (!won_.has_value() || controller_.is_active() ||
      applier_.applied_end() <= won_->epoch_start_offset || !core_.is_leader() ||
      core_.epoch() != won_->epoch) {
    return;
  }
  // Nobody plans before the activation; raft itself may have appended a voter set.
  KVORUM_CHECK(applier_.applied_end() <= core_.log_end_offset(),
               "applied {} of {} at the activation of epoch {}", applier_.applied_end(),
               core_.log_end_offset(), won_->epoch);
  controller_.Activate(now, won_->epoch, applier_.image());
  ports_.observer.OnActiveController(won_->epoch, true);
}

// --- from time and the operator ---

void Node::HandleTimer(Now now) {
  if (executor_.failed()) {
    return;
  }
  if (IsActiveLeader()) {
    controller_.HandleTimer(now);
  }
  ExpireQueries(now);
  Step(now, raft::TimerFired{});
  MaybeMakeSnapshot(now);
}

TimePoint Node::NextDeadline() const {
  if (executor_.failed()) {
    return kNever;
  }
  // While leadership goes elsewhere the controller rests: what is due waits for its successor.
  return std::min({core_.NextDeadline(),
                   core_.is_transferring() ? kNever : controller_.NextDeadline(),
                   next_query_deadline_, is_draining_ ? kNever : snapshots_.NextDeadline(),
                   is_raft_stopping_ ? kNever : drain_deadline_});
}

void Node::BeginShutdown(Now now) {
  if (!is_draining_) {
    is_draining_ = true;
    controller_.StopFencing();
    drain_deadline_ = now.now + config_.drain_timeout;
  }
}

void Node::MaybeFinishDraining(Now now) {
  if (!is_draining_ || is_raft_stopping_ || executor_.failed() ||
      (controller_.pending_replies() > 0 && now.now < drain_deadline_)) {
    return;
  }
  is_raft_stopping_ = true;
  Step(now, raft::BeginShutdown{});
  FailWaitingQueries(ShuttingDown());
  snapshots_.FailWaiting(ShuttingDown());
}

bool Node::is_shut_down() const {
  return executor_.failed() || (is_raft_stopping_ && core_.is_shut_down() && confirming_.empty() &&
                                quorum_changes_.empty() && executor_.unanswered_requests() == 0);
}

bool Node::accepts_commands() const {
  return executor_.inflight_bytes() + appender_->bytes() < config_.max_inflight_append_bytes;
}

void Node::PublishLeader() {
  publish::LeaderView view;
  view.leader_id = core_.leader_id();
  view.epoch = core_.epoch();
  view.high_watermark = core_.high_watermark().value_or(Offset(0));
  if (view.leader_id.has_value()) {
    if (const auto it = client_endpoints_.find(*view.leader_id); it != client_endpoints_.end()) {
      view.leader_endpoint = it->second;
    }
  }
  if (view != published_leader_) {
    published_leader_ = view;
    ports_.feed.OnLeader(std::move(view));
  }
  const bool is_ready = has_caught_up_ && core_.hears_leader() && !is_draining_;
  if (is_ready != is_ready_) {
    is_ready_ = is_ready;
    ports_.observer.OnReadiness(is_ready);
  }
}

void Node::Execute(Now now) {
  // Carrying out effects may cause new ones: an activation, a read that is answered.
  while (!executor_.failed()) {
    MaybeFinishDraining(now);
    raft::Effects effects = core_.TakeEffects();
    appender_->OnTakenOver();
    if (IsEmpty(effects) && !is_apply_due_) {
      break;
    }
    executor_.Run(now, std::move(effects));
    // Only now: what raft appended and already counts as committed in this turn is on its way to
    // the storage and in `recent_`; before, neither had it.
    if (std::exchange(is_apply_due_, false)) {
      ApplyCommitted(now);
    }
  }
  if (!executor_.failed()) {
    PublishLeader();
  }
}

}  // namespace kvorum
