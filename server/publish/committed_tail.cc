#include "server/publish/committed_tail.h"

#include <algorithm>
#include <utility>

#include "server/base/check.h"

namespace kvorum::publish {

TailEntryPtr MakeTailEntry(const CommittedUpdate& update, uint64_t generation, size_t max_bytes) {
  auto entry = std::make_shared<TailEntry>();
  entry->from = update.from;
  entry->to = update.to;
  entry->epoch = update.epoch;
  entry->parts = EncodeCommit(update, generation, max_bytes);
  for (const EncodedUpdate& part : entry->parts) {
    entry->bytes += part.bytes();
  }
  return entry;
}

void CommittedTail::Append(TailEntryPtr entry) {
  if (entries_.empty() && end_ == OffsetAndEpoch{}) {
    // What lies below the first entry was never seen here, unless it is the log's beginning.
    start_ = {entry->from, entry->from == Offset(0) ? Epoch(0) : Epoch(-1)};
  } else {
    KVORUM_CHECK(entry->from == end_.offset, "commit from {} after {}", entry->from, end_.offset);
  }
  end_ = {entry->to, entry->epoch};
  bytes_ += entry->bytes;
  entries_.push_back(std::move(entry));
  while (bytes_ > max_bytes_ && entries_.size() > 1) {
    start_ = {entries_.front()->to, entries_.front()->epoch};
    bytes_ -= entries_.front()->bytes;
    entries_.pop_front();
  }
}

void CommittedTail::ResetTo(OffsetAndEpoch at) {
  entries_.clear();
  bytes_ = 0;
  start_ = at;
  end_ = at;
}

CommittedTail::Place CommittedTail::Locate(OffsetAndEpoch at) const {
  const bool knows_nothing = entries_.empty() && end_ == OffsetAndEpoch{};
  if (knows_nothing || at.offset < start_.offset) {
    return Place::kBelow;
  }
  if (at.offset > end_.offset) {
    return Place::kAbove;
  }
  if (at.offset == start_.offset) {
    if (start_.epoch == Epoch(-1)) {
      return Place::kBelow;  // the log knows the epoch there
    }
    return at == start_ ? Place::kFound : Place::kDiverged;
  }
  const auto after =
      std::upper_bound(entries_.begin(), entries_.end(), at.offset,
                       [](Offset offset, const TailEntryPtr& entry) { return offset < entry->to; });
  if (after == entries_.begin()) {
    return Place::kDiverged;  // inside the first entry
  }
  // The entry before `after` is the last one that ends at or below the offset.
  const TailEntryPtr& below = *std::prev(after);
  return below->to == at.offset && below->epoch == at.epoch ? Place::kFound : Place::kDiverged;
}

TailEntryPtr CommittedTail::EntryAt(Offset offset) const {
  const auto it = std::lower_bound(
      entries_.begin(), entries_.end(), offset,
      [](const TailEntryPtr& entry, Offset wanted) { return entry->from < wanted; });
  return it == entries_.end() ? nullptr : *it;
}

}  // namespace kvorum::publish
