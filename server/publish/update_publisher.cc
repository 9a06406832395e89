#include "server/publish/update_publisher.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "server/base/check.h"
#include "server/base/errors.h"
#include "server/base/mutants.h"
#include "server/base/status_macros.h"

namespace kvorum::publish {
namespace {

constexpr size_t kMaxSubscriberIdBytes = 256;
// Chunks of a snapshot are this much smaller than a message, so that they fill it well.
constexpr size_t kChunksPerMessage = 4;

uint64_t IdOf(const std::shared_ptr<const SubscriptionFilter>& filter) {
  return filter == nullptr ? 0 : filter->id();
}

EncodedUpdate MakeBookmark(const v1::Position& position, const LeaderView& leader) {
  v1::MetadataUpdate update;
  v1::Bookmark& bookmark = *update.mutable_bookmark();
  *bookmark.mutable_position() = position;
  bookmark.set_leader_id(leader.leader_id.has_value() ? leader.leader_id->value() : -1);
  bookmark.set_leader_epoch(leader.epoch.value());
  bookmark.set_high_watermark(leader.high_watermark.value());
  return EncodeUpdate(update);
}

}  // namespace

UpdatePublisher::UpdatePublisher(PublisherConfig config, CommittedLog& log)
    : config_(std::move(config)), log_(log), tail_(config_.tail_max_bytes) {}

void UpdatePublisher::OnCommit(const CommittedUpdate& update) {
  tail_.Append(MakeTailEntry(update, config_.generation, config_.max_message_bytes));
  if (!filtered_.empty()) {
    run_.push_back(update);
  }
}

void UpdatePublisher::OnImage(TimePoint now, std::shared_ptr<const MetadataImage> image) {
  const Provenance& provenance = image->provenance();
  image_position_ = {provenance.end_offset, provenance.last_epoch};
  if (image_position_ != tail_.end()) {
    // The image came from a snapshot, not from the commits that were told.
    tail_.ResetTo(image_position_);
    for (const auto& [id, filtered] : filtered_) {
      filtered->ResetTo(*image);
    }
  } else {
    FeedFiltered(*image);
  }
  run_.clear();
  has_image_ = true;
  image_ = image;
  if (!filtered_.empty()) {
    filter_image_ = image;
  }
  PumpAll(now);
}

std::shared_ptr<const MetadataImage> UpdatePublisher::NewestImage() const { return image_.lock(); }

void UpdatePublisher::OnLeader(LeaderView leader) {
  leader_ = std::move(leader);
  if (leader_.leader_id == config_.node_id) {
    return;
  }
  for (const auto& [id, subscription] : subscriptions_) {
    if (subscription->wants_leader && subscription->phase != Subscription::Phase::kGoingAway) {
      GoAway(*subscription, "this controller leads no more");  // goes out with the next tick
    }
  }
}

absl::Status UpdatePublisher::Validate(const v1::SubscribeRequest& request) const {
  if (shutting_down_) {
    return MakeError(ErrorReason::kShuttingDown, "this controller is stopping; use another one");
  }
  if (!request.cluster_id().empty() && request.cluster_id() != config_.cluster_id) {
    return MakeError(ErrorReason::kInconsistentClusterId,
                     fmt::format("cluster_id {} was sent to cluster {}", request.cluster_id(),
                                 config_.cluster_id));
  }
  if (request.subscriber_id().size() > kMaxSubscriberIdBytes) {
    return MakeError(ErrorReason::kInvalidRequest,
                     fmt::format("subscriber_id of {} bytes, at most {} are allowed",
                                 request.subscriber_id().size(), kMaxSubscriberIdBytes));
  }
  if (request.has_broker_id() && request.broker_id() < 0) {
    return MakeError(ErrorReason::kInvalidRequest,
                     fmt::format("broker_id {} is negative", request.broker_id()));
  }
  if (request.has_broker_epoch() && request.broker_epoch() < 0) {
    return MakeError(ErrorReason::kInvalidRequest,
                     fmt::format("broker_epoch {} is negative", request.broker_epoch()));
  }
  if (request.has_resume_from()) {
    const v1::Position& from = request.resume_from();
    if (from.offset() < 0 || from.epoch() < 0) {
      return MakeError(ErrorReason::kInvalidRequest,
                       fmt::format("resume_from offset {} epoch {}: neither may be negative",
                                   from.offset(), from.epoch()));
    }
    if (from.generation() != config_.generation) {
      return MakeError(
          ErrorReason::kGenerationMismatch,
          fmt::format("resume_from is of generation {}, this cluster is of {}; begin anew with a "
                      "snapshot",
                      from.generation(), config_.generation));
    }
  }
  if (!v1::Source_IsValid(request.source())) {
    return MakeError(ErrorReason::kInvalidRequest,
                     fmt::format("source has the unknown value {}; use SOURCE_LOCAL or "
                                 "SOURCE_LEADER",
                                 static_cast<int>(request.source())));
  }
  if (request.source() == v1::SOURCE_LEADER && leader_.leader_id != config_.node_id) {
    absl::Status status =
        MakeError(ErrorReason::kNotController,
                  fmt::format("the leader is {} at {}, and the stream was asked of the leader",
                              leader_.leader_id.value_or(NodeId(-1)), leader_.leader_endpoint));
    SetErrorFact(status, "leader_endpoint", leader_.leader_endpoint);
    return status;
  }
  if (subscriptions_.size() >= config_.max_subscriptions) {
    return MakeError(ErrorReason::kClassShed,
                     fmt::format("{} subscriptions are open, the most this controller takes",
                                 config_.max_subscriptions));
  }
  return absl::OkStatus();
}

SubscriptionId UpdatePublisher::Subscribe(TimePoint now, const v1::SubscribeRequest& request,
                                          SubscriberSink& sink) {
  const SubscriptionId id = next_id_;
  ++next_id_;
  now_ = now;
  absl::StatusOr<std::shared_ptr<const SubscriptionFilter>> filter =
      SubscriptionFilter::Parse(request);
  absl::Status status = Validate(request);
  if (status.ok()) {
    status = filter.ok() ? CheckRoomForFilter(*filter) : filter.status();
  }
  if (!status.ok()) {
    sink.Close(status);
    return id;
  }
  auto owned = std::make_unique<Subscription>();
  Subscription& subscription = *owned;
  subscription.id = id;
  subscription.sink = &sink;
  subscription.subscriber = request.subscriber_id();
  subscription.ahead_deadline = now + config_.ahead_timeout;
  subscription.wants_snapshot = !request.has_resume_from();
  subscription.wants_leader = request.source() == v1::SOURCE_LEADER;
  subscription.filter = *std::move(filter);
  subscription.filter_changed = request.resume_filter_id() != IdOf(subscription.filter);
  if (request.has_resume_from()) {
    subscription.position = {Offset(request.resume_from().offset()),
                             Epoch(request.resume_from().epoch())};
  }
  subscriptions_.emplace(id, std::move(owned));
  if (next_tick_ == kNever) {
    next_tick_ = now + config_.bookmark_interval;
  }
  Pump(now, subscription);
  return id;
}

void UpdatePublisher::OnReady(TimePoint now, SubscriptionId id) {
  now_ = now;
  Subscription* subscription = Find(id);
  if (subscription == nullptr) {
    return;
  }
  KVORUM_CHECK(!subscription->ready, "subscription {} was ready already", id);
  subscription->ready = true;
  subscription->stall_deadline = kNever;
  if (subscription->go_away_sent) {
    Close(id, absl::OkStatus());
    return;
  }
  Pump(now, *subscription);
}

void UpdatePublisher::OnClosed(SubscriptionId id) {
  if (const auto it = subscriptions_.find(id); it != subscriptions_.end()) {
    Detach(*it->second);
    subscriptions_.erase(it);
  }
}

void UpdatePublisher::PumpAll(TimePoint now) {
  now_ = now;
  for (auto it = subscriptions_.begin(); it != subscriptions_.end();) {
    Subscription& subscription = *(it++)->second;  // Pump may close it
    Pump(now, subscription);
  }
}

void UpdatePublisher::Pump(TimePoint now, Subscription& subscription) {
  if (!subscription.ready) {
    return;
  }
  if (subscription.phase == Subscription::Phase::kLocating) {
    Locate(subscription);
  }
  Delivery delivery;
  size_t bytes = 0;
  for (const EncodedUpdate& update : std::exchange(subscription.preamble, {})) {
    bytes += update.bytes();
    update.AppendTo(delivery);
  }
  if (subscription.phase == Subscription::Phase::kSnapshot) {
    bytes = AddSnapshot(subscription, delivery, bytes);
  }
  if (subscription.phase == Subscription::Phase::kTail) {
    bytes = AddBookmark(subscription, delivery, bytes);
    AddCommits(subscription, delivery, bytes);
  }
  if (subscription.phase == Subscription::Phase::kGoingAway) {
    subscription.go_away_sent = true;
  }
  if (!delivery.empty()) {
    Send(now, subscription, std::move(delivery));
  } else if (subscription.phase == Subscription::Phase::kSnapshot) {
    Pump(now, subscription);  // it fell off its ring just now, and begins anew
  }
}

void UpdatePublisher::Send(TimePoint now, Subscription& subscription, Delivery delivery) {
  subscription.ready = false;
  subscription.stall_deadline = now + config_.stall_timeout;
  subscription.sink->Deliver(std::move(delivery));
}

size_t UpdatePublisher::AddSnapshot(Subscription& subscription, Delivery& delivery, size_t bytes) {
  const auto add = [&](const EncodedUpdate& update) {
    if (!delivery.empty() && bytes + update.bytes() > config_.max_message_bytes) {
      return false;
    }
    bytes += update.bytes();
    update.AppendTo(delivery);
    return true;
  };
  while (true) {
    if (!subscription.chunk.has_value()) {
      std::optional<std::string> chunk = NextChunk(subscription);
      if (!chunk.has_value()) {
        break;
      }
      subscription.chunk = EncodeSnapshotChunk(*std::move(chunk));
    }
    if (!add(*subscription.chunk)) {
      return bytes;
    }
    subscription.chunk.reset();
  }
  v1::MetadataUpdate end;
  *end.mutable_snapshot_end()->mutable_position() = ToPosition(subscription.snapshot_position);
  if (add(EncodeUpdate(end))) {
    subscription.chunker.reset();
    subscription.filtered_chunker.reset();
    subscription.position = subscription.snapshot_position;
    BeginTail(subscription);
  }
  return bytes;
}

size_t UpdatePublisher::AddBookmark(Subscription& subscription, Delivery& delivery, size_t bytes) {
  // Not between the parts of a commit, which belong together.
  const bool inside_commit = subscription.current != nullptr && subscription.next_part > 0;
  if (!subscription.bookmark_due || inside_commit) {
    return bytes;
  }
  subscription.bookmark_due = false;
  const EncodedUpdate bookmark =
      MakeBookmark(ToPosition(KVORUM_MUTANT(R32) ? tail_.end() : subscription.position), leader_);
  bookmark.AppendTo(delivery);
  return bytes + bookmark.bytes();
}

size_t UpdatePublisher::AddCommits(Subscription& subscription, Delivery& delivery, size_t bytes) {
  while (bytes < config_.max_message_bytes) {
    if (subscription.current == nullptr) {
      subscription.current = NextEntry(subscription);
      subscription.next_part = 0;
      if (subscription.current == nullptr) {
        return bytes;
      }
    }
    const TailEntry& entry = *subscription.current;
    const EncodedUpdate& part = entry.parts[subscription.next_part];
    if (!delivery.empty() && bytes + part.bytes() > config_.max_message_bytes) {
      return bytes;
    }
    bytes += part.bytes();
    part.AppendTo(delivery);
    if (++subscription.next_part == entry.parts.size()) {
      subscription.position = {entry.to, entry.epoch};
      subscription.current.reset();
    }
  }
  return bytes;
}

std::optional<std::string> UpdatePublisher::NextChunk(Subscription& subscription) {
  return subscription.filtered_chunker.has_value() ? subscription.filtered_chunker->Next()
                                                   : subscription.chunker->Next();
}

TailEntryPtr UpdatePublisher::NextEntry(Subscription& subscription) {
  if (subscription.filtered != nullptr) {
    return NextFilteredEntry(subscription);
  }
  if (!subscription.backlog.empty()) {
    TailEntryPtr entry = std::move(subscription.backlog.front());
    subscription.backlog.pop_front();
    return entry;
  }
  switch (tail_.Locate(subscription.position)) {
    case CommittedTail::Place::kFound:
      return tail_.EntryAt(subscription.position.offset);
    case CommittedTail::Place::kBelow:
      if (KVORUM_MUTANT(R30)) {
        return tail_.EntryAt(tail_.start().offset);
      }
      StartLogRead(subscription);
      return nullptr;
    case CommittedTail::Place::kAbove:
      return nullptr;  // the log was read further than what has arrived here; it is on its way
    case CommittedTail::Place::kDiverged:
      break;
  }
  KVORUM_CHECK(false, "subscription {} at {} left the log that ends at {}", subscription.id,
               subscription.position, tail_.end());
}

void UpdatePublisher::Locate(Subscription& subscription) {
  if (!has_image_) {
    return;  // this node does not yet know what is committed
  }
  if (subscription.filter != nullptr) {
    LocateFiltered(subscription);
    return;
  }
  if (subscription.wants_snapshot) {
    BeginSnapshot(subscription, nullptr);
    return;
  }
  const CommittedTail::Place place = tail_.Locate(subscription.position);
  if (subscription.filter_changed && place != CommittedTail::Place::kAbove) {
    ResetToSnapshot(subscription, v1::Reset::REASON_FILTER,
                    "what the subscriber has was made with a filter");
    return;
  }
  switch (place) {
    case CommittedTail::Place::kAbove:
      if (KVORUM_MUTANT(R33)) {
        AddHello(subscription, subscription.position, false);
        BeginTail(subscription);
        return;
      }
      LocateAbove(subscription);
      return;
    case CommittedTail::Place::kFound:
      AddHello(subscription, subscription.position, false);
      BeginTail(subscription);
      return;
    case CommittedTail::Place::kBelow:
      StartLogRead(subscription);
      return;
    case CommittedTail::Place::kDiverged:
      ResetToSnapshot(subscription, v1::Reset::REASON_DIVERGED,
                      fmt::format("{} is no place in this log", subscription.position));
      return;
  }
}

// The subscriber has more than this node.
void UpdatePublisher::LocateAbove(Subscription& subscription) {
  if (KVORUM_MUTANT(R31)) {
    BeginSnapshot(subscription, nullptr);
    return;
  }
  if (leader_.leader_id == config_.node_id && !subscription.confirming_end) {
    subscription.confirming_end = true;
    log_.ConfirmCommittedEnd([this, id = subscription.id](absl::StatusOr<Offset> end) {
      OnEndConfirmed(id, std::move(end));
    });
  }
}

void UpdatePublisher::BeginSnapshot(Subscription& subscription, const v1::Reset* reset) {
  const std::shared_ptr<const MetadataImage> image = NewestImage();
  if (image == nullptr) {
    subscription.phase = Subscription::Phase::kLocating;
    return;
  }
  if (!subscription.greeted) {
    AddHello(subscription, image_position_, true);
  }
  if (reset != nullptr) {
    v1::MetadataUpdate update;
    *update.mutable_reset() = *reset;
    subscription.preamble.push_back(EncodeUpdate(update));
  }
  subscription.wants_snapshot = false;
  subscription.snapshot_position = image_position_;
  const size_t max_bytes = config_.max_message_bytes / kChunksPerMessage;
  if (subscription.filter != nullptr) {
    subscription.filtered_chunker.emplace(image, subscription.filter, max_bytes);
  } else {
    subscription.chunker.emplace(image, Audience::kSubscribers, max_bytes);
  }
  subscription.phase = Subscription::Phase::kSnapshot;
}

void UpdatePublisher::ResetToSnapshot(Subscription& subscription, v1::Reset::Reason reason,
                                      std::string message) {
  v1::Reset reset;
  reset.set_reason(reason);
  reset.set_message(std::move(message));
  BeginSnapshot(subscription, &reset);
}

void UpdatePublisher::BeginTail(Subscription& subscription) {
  subscription.phase = Subscription::Phase::kTail;
  subscription.ahead_deadline = kNever;
}

void UpdatePublisher::StartLogRead(Subscription& subscription) {
  subscription.phase = Subscription::Phase::kReadingLog;
  subscription.ahead_deadline = kNever;
  log_.ReadCommitted(
      subscription.position, config_.log_read_bytes,
      [this, id = subscription.id](absl::StatusOr<std::vector<CommittedUpdate>> result) {
        OnLogRead(id, std::move(result));
      });
}

void UpdatePublisher::OnLogRead(SubscriptionId id,
                                absl::StatusOr<std::vector<CommittedUpdate>> result) {
  Subscription* subscription = Find(id);
  if (subscription == nullptr || subscription->phase != Subscription::Phase::kReadingLog) {
    return;
  }
  if (!result.ok()) {
    if (GetErrorReason(result.status()) == ErrorReason::kPositionDiscarded) {
      ResetToSnapshot(*subscription, v1::Reset::REASON_COMPACTED,
                      std::string(result.status().message()));
      Pump(now_, *subscription);
    } else {
      Close(id, result.status());
    }
    return;
  }
  if (!subscription->greeted) {
    AddHello(*subscription, subscription->position, false);
  }
  for (const CommittedUpdate& update : *result) {
    subscription->backlog.push_back(
        MakeTailEntry(update, config_.generation, config_.max_message_bytes));
  }
  BeginTail(*subscription);
  Pump(now_, *subscription);
}

void UpdatePublisher::OnEndConfirmed(SubscriptionId id, absl::StatusOr<Offset> end) {
  Subscription* subscription = Find(id);
  if (subscription == nullptr || subscription->phase != Subscription::Phase::kLocating) {
    return;
  }
  subscription->confirming_end = false;
  if (end.ok() && subscription->position.offset > *end) {
    Close(id, MakeError(ErrorReason::kPositionOutOfRange,
                        fmt::format("resume_from offset {} lies beyond the committed end {}",
                                    subscription->position.offset, *end)));
  }
}

void UpdatePublisher::AddHello(Subscription& subscription, OffsetAndEpoch start,
                               bool snapshot_follows) {
  subscription.greeted = true;
  v1::MetadataUpdate update;
  v1::Hello& hello = *update.mutable_hello();
  hello.set_cluster_id(config_.cluster_id);
  hello.set_node_id(config_.node_id.value());
  *hello.mutable_start() = ToPosition(start);
  hello.set_bookmark_interval_ms(static_cast<uint32_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(config_.bookmark_interval).count()));
  hello.set_snapshot_follows(snapshot_follows);
  hello.set_filter_id(IdOf(subscription.filter));
  subscription.preamble.push_back(EncodeUpdate(update));
}

absl::Status UpdatePublisher::TooSlow(const Subscription& subscription) const {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(config_.stall_timeout);
  absl::Status status =
      MakeError(ErrorReason::kClassShed,
                fmt::format("slow consumer: nothing was taken for {} s; resume from the last "
                            "position you have applied, {} (offset/epoch) at most",
                            seconds.count(), subscription.position));
  SetErrorFact(status, "sent_offset", std::to_string(subscription.position.offset.value()));
  SetErrorFact(status, "sent_epoch", std::to_string(subscription.position.epoch.value()));
  return status;
}

void UpdatePublisher::HandleTimer(TimePoint now) {
  now_ = now;
  if (now < next_tick_) {
    return;
  }
  DropUnusedFilters();
  next_tick_ =
      subscriptions_.empty() && filtered_.empty() ? kNever : now + config_.bookmark_interval;
  for (auto it = subscriptions_.begin(); it != subscriptions_.end();) {
    Subscription& subscription = *(it++)->second;  // may be closed below
    if (now >= subscription.stall_deadline) {
      Close(subscription.id, TooSlow(subscription));
      continue;
    }
    if (now >= subscription.ahead_deadline &&
        subscription.phase == Subscription::Phase::kLocating) {
      GoAway(subscription, "this controller has not applied that much yet");
      Pump(now, subscription);
      continue;
    }
    subscription.bookmark_due = true;
    Pump(now, subscription);
  }
}

int64_t UpdatePublisher::max_lag() const {
  int64_t lag = 0;
  for (const auto& [id, subscription] : subscriptions_) {
    lag = std::max(lag, image_position_.offset - subscription->position.offset);
  }
  return lag;
}

TimePoint UpdatePublisher::NextDeadline() const { return next_tick_; }

void UpdatePublisher::GoAway(Subscription& subscription, std::string message) {
  v1::MetadataUpdate update;
  update.mutable_go_away()->set_message(std::move(message));
  if (leader_.leader_id != config_.node_id) {
    update.mutable_go_away()->set_hint(leader_.leader_endpoint);
  }
  subscription.preamble.push_back(EncodeUpdate(update));
  subscription.phase = Subscription::Phase::kGoingAway;
}

void UpdatePublisher::BeginShutdown(TimePoint now) {
  shutting_down_ = true;
  for (auto& [id, subscription] : subscriptions_) {
    if (subscription->phase != Subscription::Phase::kGoingAway) {
      GoAway(*subscription, "this controller is stopping");
    }
  }
  PumpAll(now);
}

void UpdatePublisher::Close(SubscriptionId id, const absl::Status& status) {
  const auto it = subscriptions_.find(id);
  SubscriberSink* sink = it->second->sink;
  Detach(*it->second);
  subscriptions_.erase(it);
  sink->Close(status);
}

v1::Position UpdatePublisher::ToPosition(OffsetAndEpoch at) const {
  v1::Position position;
  position.set_generation(config_.generation);
  position.set_epoch(at.epoch.value());
  position.set_offset(at.offset.value());
  return position;
}

Subscription* UpdatePublisher::Find(SubscriptionId id) {
  const auto it = subscriptions_.find(id);
  return it == subscriptions_.end() ? nullptr : it->second.get();
}

}  // namespace kvorum::publish
