// The part of UpdatePublisher that makes the next message for a subscriber.
#include <utility>

#include "server/base/check.h"
#include "server/base/mutants.h"
#include "server/publish/update_publisher.h"

namespace kvorum::publish {
namespace {

// Places at which messages are shared: with and without a bookmark, and a few who lag.
constexpr size_t kMaxSharedMessages = 4;

// Its next message depends on where it stands and on nothing else.
bool IsPlain(const Subscription& subscription) {
  return subscription.phase == Subscription::Phase::kTail && subscription.filter == nullptr &&
         subscription.preamble.empty() && subscription.backlog.empty() &&
         subscription.current == nullptr;
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

void UpdatePublisher::Pump(TimePoint now, Subscription& subscription) {
  if (!subscription.ready) {
    return;
  }
  if (subscription.phase == Subscription::Phase::kLocating) {
    Locate(subscription);
  }
  if (SendShared(now, subscription)) {
    return;
  }
  const bool was_plain = IsPlain(subscription);
  const OffsetAndEpoch from = subscription.position;
  Delivery delivery;
  size_t bytes = 0;
  for (const EncodedUpdate& update : std::exchange(subscription.preamble, {})) {
    bytes += update.bytes();
    update.AppendTo(delivery);
  }
  if (subscription.phase == Subscription::Phase::kSnapshot) {
    bytes = AddSnapshot(subscription, delivery, bytes);
  }
  const bool had_bookmark = subscription.bookmark != Subscription::Bookmark::kSent;
  if (subscription.phase == Subscription::Phase::kTail) {
    bytes = AddBookmark(subscription, delivery, bytes);
    AddCommits(subscription, delivery, bytes);
  }
  if (subscription.phase == Subscription::Phase::kGoingAway) {
    subscription.go_away_sent = true;
  }
  if (!delivery.empty()) {
    if (was_plain && IsPlain(subscription) && shared_.size() < kMaxSharedMessages) {
      shared_.push_back({from, subscription.position, had_bookmark, delivery});
    }
    Send(now, subscription, delivery);
  } else if (subscription.phase == Subscription::Phase::kSnapshot) {
    Pump(now, subscription);  // it fell off its ring just now, and begins anew
  }
}

bool UpdatePublisher::SendShared(TimePoint now, Subscription& subscription) {
  if (!IsPlain(subscription)) {
    return false;
  }
  const bool wants_bookmark = subscription.bookmark != Subscription::Bookmark::kSent;
  for (const SharedMessage& message : shared_) {
    const bool is_bookmark_only = message.from == message.to;
    if (message.from == subscription.position && message.has_bookmark == wants_bookmark &&
        (!is_bookmark_only || subscription.bookmark == Subscription::Bookmark::kOverdue)) {
      subscription.position = message.to;
      subscription.bookmark = Subscription::Bookmark::kSent;
      Send(now, subscription, message.delivery);
      return true;
    }
  }
  return false;
}

void UpdatePublisher::Send(TimePoint now, Subscription& subscription, const Delivery& delivery) {
  subscription.ready = false;
  subscription.stall_deadline = now + config_.stall_timeout;
  subscription.sink->Deliver(delivery);
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
  using Bookmark = Subscription::Bookmark;
  const bool has_commits = HasNext(subscription);
  // Not between the parts of a commit, which belong together.
  const bool inside_commit = has_commits && subscription.next_part > 0;
  const bool is_wanted = subscription.bookmark == Bookmark::kOverdue ||
                         (subscription.bookmark == Bookmark::kDue && has_commits);
  if (KVORUM_MUTANT(FilteredUnbookmarked) && subscription.filter != nullptr) {
    return bytes;
  }
  // Looking for commits may have led out of the ring: to the log, or to a snapshot.
  if (!is_wanted || inside_commit || subscription.phase != Subscription::Phase::kTail) {
    return bytes;
  }
  subscription.bookmark = Bookmark::kSent;
  const EncodedUpdate bookmark =
      MakeBookmark(ToPosition(KVORUM_MUTANT(R32) ? tail_.end() : subscription.position), leader_);
  bookmark.AppendTo(delivery);
  return bytes + bookmark.bytes();
}

bool UpdatePublisher::HasNext(Subscription& subscription) {
  if (subscription.current == nullptr && subscription.phase == Subscription::Phase::kTail) {
    subscription.current = NextEntry(subscription);
    subscription.next_part = 0;
  }
  return subscription.current != nullptr;
}

size_t UpdatePublisher::AddCommits(Subscription& subscription, Delivery& delivery, size_t bytes) {
  while (bytes < config_.max_message_bytes && HasNext(subscription)) {
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
  if (subscription.position == tail_.end()) {
    return nullptr;
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

}  // namespace kvorum::publish
