// The part of UpdatePublisher that finds where a subscriber stands, and what it is to begin with.
#include <fmt/format.h>

#include <utility>

#include "server/base/errors.h"
#include "server/base/mutants.h"
#include "server/publish/update_publisher.h"

namespace kvorum::publish {
namespace {

// Chunks of a snapshot are this much smaller than a message, so that they fill it well.
constexpr size_t kChunksPerMessage = 4;

}  // namespace

std::shared_ptr<const MetadataImage> UpdatePublisher::NewestImage() const { return image_.lock(); }

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
  if (place != CommittedTail::Place::kAbove && IsTooFarBehind(subscription.position)) {
    ResetToSnapshot(subscription, v1::Reset::REASON_COMPACTED,
                    fmt::format("{} is more than {} committed offsets behind: a snapshot is sooner "
                                "there",
                                subscription.position, config_.max_lag));
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
  subscription.filter_changed = false;  // what it has is of this filter from here on
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
  hello.set_filter_id(SubscriptionFilter::IdOf(subscription.filter.get()));
  subscription.preamble.push_back(EncodeUpdate(update));
}

}  // namespace kvorum::publish
