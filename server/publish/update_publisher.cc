#include "server/publish/update_publisher.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "server/base/check.h"
#include "server/base/errors.h"
#include "server/base/mutants.h"
#include "server/base/status_macros.h"

namespace kvorum::publish {
namespace {

constexpr size_t kMaxSubscriberIdBytes = 256;
// A bookmark is due at one tick, rides with whatever is committed before the next, and goes alone
// at that: a message of its own for each of a thousand subscribers would get into the way of a
// commit's.
constexpr int kTicksPerBookmark = 2;

bool IsEnding(const Subscription& subscription) {
  return subscription.phase == Subscription::Phase::kGoingAway ||
         subscription.phase == Subscription::Phase::kEnding;
}

}  // namespace

UpdatePublisher::UpdatePublisher(PublisherConfig config, CommittedLog& log)
    : config_(std::move(config)), log_(log), tail_(config_.tail_max_bytes) {}

void UpdatePublisher::OnCommit(const CommittedUpdate& update) {
  shared_.clear();
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
    shared_.clear();
    tail_.ResetTo(image_position_);
    for (const auto& [id, filtered] : filtered_) {
      filtered->ResetTo(image_position_);
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

void UpdatePublisher::OnLeader(LeaderView leader) {
  shared_.clear();  // their bookmarks name the one before
  leader_ = std::move(leader);
  if (leader_.leader_id == config_.node_id) {
    return;
  }
  for (const auto& [id, subscription] : subscriptions_) {
    if (subscription->wants_leader && !IsEnding(*subscription)) {
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
  if (request.source() == v1::SOURCE_LEADER && leader_.leader_id != config_.node_id &&
      !KVORUM_MUTANT(SourceIgnored)) {
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
  subscription.filter_changed =
      request.resume_filter_id() != SubscriptionFilter::IdOf(subscription.filter.get());
  if (request.has_resume_from()) {
    subscription.position = {Offset(request.resume_from().offset()),
                             Epoch(request.resume_from().epoch())};
  }
  subscriptions_.emplace(id, std::move(owned));
  if (next_tick_ == kNever) {
    next_tick_ = now + config_.bookmark_interval / kTicksPerBookmark;
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
  if (subscription->go_away_sent || subscription->phase == Subscription::Phase::kEnding) {
    Close(id, absl::Status(subscription->end));
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
  // Who was served last goes first: the last of a thousand waits for all the others.
  served_backwards_ = !served_backwards_;
  if (!served_backwards_) {
    for (auto it = subscriptions_.begin(); it != subscriptions_.end();) {
      Serve(now, *(it++)->second);  // may close it
    }
    return;
  }
  for (auto it = subscriptions_.end(); it != subscriptions_.begin();) {
    const SubscriptionId id = std::prev(it)->first;
    Serve(now, *std::prev(it)->second);  // may close it
    it = subscriptions_.lower_bound(id);
  }
}

void UpdatePublisher::Serve(TimePoint now, Subscription& subscription) {
  const bool is_reading = subscription.phase == Subscription::Phase::kTail ||
                          subscription.phase == Subscription::Phase::kReadingLog;
  if (is_reading && IsTooFarBehind(subscription.position)) {
    EndSlow(now, subscription,
            fmt::format("{} committed offsets behind, at most {} are allowed",
                        image_position_.offset - subscription.position.offset, config_.max_lag));
  } else {
    Pump(now, subscription);
  }
}

bool UpdatePublisher::IsTooFarBehind(OffsetAndEpoch position) const {
  return config_.max_lag > 0 && image_position_.offset - position.offset > config_.max_lag;
}

void UpdatePublisher::EndSlow(TimePoint now, Subscription& subscription, const std::string& why) {
  ++slow_endings_;
  const OffsetAndEpoch sent = subscription.position;
  absl::Status status =
      MakeError(ErrorReason::kClassShed,
                fmt::format("slow consumer: {}; resume from the last position you have applied, {} "
                            "(offset/epoch) at most",
                            why, sent));
  SetErrorFact(status, "sent_offset", std::to_string(sent.offset.value()));
  SetErrorFact(status, "sent_epoch", std::to_string(sent.epoch.value()));
  if (subscription.ready) {
    Close(subscription.id, status);
    return;
  }
  // What it held on to is let go at once; what remains is the word that is owed to it.
  Detach(subscription);
  subscription.preamble.clear();
  subscription.chunker.reset();
  subscription.filtered_chunker.reset();
  subscription.chunk.reset();
  subscription.backlog.clear();
  subscription.current.reset();
  subscription.phase = Subscription::Phase::kEnding;
  subscription.end = std::move(status);
  subscription.stall_deadline = now + config_.stall_timeout;
}

void UpdatePublisher::OnStalled(TimePoint now, Subscription& subscription) {
  if (IsEnding(subscription)) {
    const absl::Status status = subscription.end.ok()
                                    ? MakeError(ErrorReason::kClassShed, "GoAway was not taken")
                                    : subscription.end;
    Close(subscription.id, status);
    return;
  }
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(config_.stall_timeout);
  EndSlow(now, subscription, fmt::format("nothing was taken for {} s", seconds.count()));
}

void UpdatePublisher::HandleTimer(TimePoint now) {
  now_ = now;
  if (now < next_tick_) {
    return;
  }
  DropUnusedFilters();
  next_tick_ = subscriptions_.empty() && filtered_.empty()
                   ? kNever
                   : now + config_.bookmark_interval / kTicksPerBookmark;
  for (auto it = subscriptions_.begin(); it != subscriptions_.end();) {
    Subscription& subscription = *(it++)->second;  // may be closed below
    if (now >= subscription.stall_deadline) {
      OnStalled(now, subscription);
      continue;
    }
    if (now >= subscription.ahead_deadline &&
        subscription.phase == Subscription::Phase::kLocating) {
      GoAway(subscription, "this controller has not applied that much yet");
      Pump(now, subscription);
      continue;
    }
    subscription.bookmark = subscription.bookmark == Subscription::Bookmark::kSent
                                ? Subscription::Bookmark::kDue
                                : Subscription::Bookmark::kOverdue;
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
  for (auto it = subscriptions_.begin(); it != subscriptions_.end();) {
    Subscription& subscription = *(it++)->second;  // may be closed below
    if (subscription.phase == Subscription::Phase::kEnding) {
      Close(subscription.id, absl::Status(subscription.end));
    } else if (subscription.phase != Subscription::Phase::kGoingAway) {
      GoAway(subscription, "this controller is stopping");
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
