// The half of UpdatePublisher that serves subscribers with filters.
#include <fmt/format.h>

#include <utility>

#include "server/base/check.h"
#include "server/base/errors.h"
#include "server/base/mutants.h"
#include "server/metadata/metadata_delta.h"
#include "server/metadata/record_codec.h"
#include "server/publish/update_publisher.h"

namespace kvorum::publish {

absl::Status UpdatePublisher::CheckRoomForFilter(
    const std::shared_ptr<const SubscriptionFilter>& filter) const {
  if (filter == nullptr || filtered_.size() < config_.max_filters ||
      filtered_.contains(filter->id())) {
    return absl::OkStatus();
  }
  return MakeError(ErrorReason::kClassShed,
                   fmt::format("{} different filters are in use, the most this controller takes",
                               config_.max_filters));
}

void UpdatePublisher::FeedFiltered(const MetadataImage& image) {
  if (filtered_.empty()) {
    return;
  }
  std::shared_ptr<const MetadataImage> before = filter_image_;
  for (const CommittedUpdate& update : run_) {
    std::vector<v1::MetadataRecord> records;
    if (update.payload != nullptr) {
      auto decoded = DecodeRecords(*update.payload);
      KVORUM_CHECK(decoded.ok(), "committed batch at {}: {}", update.from,
                   decoded.status().ToString());
      records = *std::move(decoded);
    }
    // The run's last commit ends in the image at hand; those before it need one of their own.
    std::shared_ptr<const MetadataImage> own;
    if (update.to != image.provenance().end_offset) {
      MetadataDelta delta(*before);
      Offset offset = update.from;
      for (const v1::MetadataRecord& record : records) {
        delta.Replay(record, offset);
        ++offset;
      }
      own = delta.Apply({update.to, update.epoch, image.provenance().append_time_ms});
    }
    const MetadataImage& after = own == nullptr ? image : *own;
    const std::vector<std::optional<Uuid>> topics = TopicsOf(records, *before);
    for (const auto& [id, filtered] : filtered_) {
      filtered->OnCommit({update, records, topics, *before, after});
    }
    if (own != nullptr) {
      before = std::move(own);
    }
  }
  for (const auto& [id, filtered] : filtered_) {
    filtered->Flush();
  }
}

void UpdatePublisher::Attach(Subscription& subscription) {
  if (subscription.filtered != nullptr) {
    return;
  }
  std::unique_ptr<FilteredTail>& filtered = filtered_[subscription.filter->id()];
  if (filtered == nullptr) {
    filtered = std::make_unique<FilteredTail>(
        subscription.filter, image_position_,
        FilteredTail::Limits{config_.generation, config_.filtered_tail_max_bytes,
                             config_.max_message_bytes});
  }
  ++filtered->subscribers;
  filtered->unused_since = kNever;
  subscription.filtered = filtered.get();
}

void UpdatePublisher::Detach(Subscription& subscription) {
  FilteredTail* filtered = std::exchange(subscription.filtered, nullptr);
  if (filtered != nullptr && --filtered->subscribers == 0) {
    filtered->unused_since = now_;
  }
}

void UpdatePublisher::DropUnusedFilters() {
  std::erase_if(filtered_, [this](const auto& item) {
    const FilteredTail& filtered = *item.second;
    return filtered.subscribers == 0 && now_ >= filtered.unused_since + config_.filter_linger;
  });
  if (filtered_.empty()) {
    filter_image_.reset();
  }
}

void UpdatePublisher::LocateFiltered(Subscription& subscription) {
  if (image_position_ != tail_.end()) {
    return;  // commits are ahead of their image; it is on its way
  }
  if (filter_image_ == nullptr) {
    filter_image_ = NewestImage();
  }
  if (filter_image_ == nullptr) {
    return;  // the same
  }
  Attach(subscription);
  if (subscription.wants_snapshot) {
    BeginSnapshot(subscription, nullptr);
    return;
  }
  if (subscription.position.offset > image_position_.offset) {
    LocateAbove(subscription);
    return;
  }
  if (subscription.filter_changed && !KVORUM_MUTANT(FilterChangeUnnoticed)) {
    ResetToSnapshot(subscription, v1::Reset::REASON_FILTER,
                    "what the subscriber has was made with another filter, or with none");
    return;
  }
  const CommittedTail& ring = subscription.filtered->tail();
  if (subscription.position == ring.end() ||
      ring.Locate(subscription.position) == CommittedTail::Place::kFound) {
    AddHello(subscription, subscription.position, false);
    BeginTail(subscription);
    return;
  }
  // The log could be read, but not what the scope was then.
  ResetToSnapshot(subscription, v1::Reset::REASON_COMPACTED,
                  fmt::format("{} is no place in what this controller keeps for the filter",
                              subscription.position));
}

TailEntryPtr UpdatePublisher::NextFilteredEntry(Subscription& subscription) {
  const CommittedTail& ring = subscription.filtered->tail();
  if (subscription.position == ring.end()) {
    return nullptr;
  }
  if (ring.Locate(subscription.position) == CommittedTail::Place::kFound) {
    return ring.EntryAt(subscription.position.offset);
  }
  if (KVORUM_MUTANT(FilteredRingSkipped)) {
    return ring.EntryAt(ring.start().offset);
  }
  ResetToSnapshot(subscription, v1::Reset::REASON_COMPACTED,
                  "the subscriber is too slow for what is kept for its filter");
  return nullptr;
}

}  // namespace kvorum::publish
