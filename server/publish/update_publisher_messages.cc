// The part of UpdatePublisher that makes the next message for a subscriber.
#include <utility>

#include "server/base/check.h"
#include "server/base/mutants.h"
#include "server/publish/update_publisher.h"

namespace kvorum::publish {
namespace {

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

}  // namespace kvorum::publish
