#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "server/base/ids.h"
#include "server/publish/committed_update.h"
#include "server/publish/encode_update.h"

namespace kvorum::publish {

// One committed batch, encoded for the stream: shared by the ring and every cursor that is in it.
struct TailEntry {
  Offset from;
  Offset to;
  Epoch epoch;
  std::vector<EncodedUpdate> parts;
  size_t bytes = 0;
};
using TailEntryPtr = std::shared_ptr<const TailEntry>;

TailEntryPtr MakeTailEntry(const CommittedUpdate& update, uint64_t generation, size_t max_bytes);

// Bounded ring of the newest committed batches, encoded once. Contiguous offsets. Owned by
// UpdatePublisher; publish loop only.
class CommittedTail {
 public:
  explicit CommittedTail(size_t max_bytes) : max_bytes_(max_bytes) {}

  // REQUIRES: entry->from == end().offset, unless the ring has never held anything.
  void Append(TailEntryPtr entry);

  // A snapshot took the node past the end: nothing before `at` is here.
  void ResetTo(OffsetAndEpoch at);

  enum class Place { kFound, kBelow, kAbove, kDiverged };
  // Where a reader that has everything below `at` stands: kFound if `at` is the start of an entry
  // or the end; kDiverged if the ring covers `at` but knows no such boundary of that epoch.
  Place Locate(OffsetAndEpoch at) const;

  // The entry that begins at `offset`; null at the end. REQUIRES: Locate found the offset.
  TailEntryPtr EntryAt(Offset offset) const;

  bool empty() const { return entries_.empty(); }
  OffsetAndEpoch start() const { return start_; }
  OffsetAndEpoch end() const { return end_; }
  size_t bytes() const { return bytes_; }

 private:
  size_t max_bytes_;
  size_t bytes_ = 0;
  OffsetAndEpoch start_;  // epoch: of the record below the first entry; -1 if not known
  OffsetAndEpoch end_;
  std::deque<TailEntryPtr> entries_;
};

}  // namespace kvorum::publish
