#pragma once

#include <memory>

#include "kvorum/v1/record.pb.h"
#include "server/base/ids.h"
#include "server/metadata/brokers/brokers_image.h"
#include "server/metadata/entries/entries_image.h"

namespace kvorum {

// A change over an EntriesImage. Owned by MetadataDelta; its thread.
class EntriesDelta {
 public:
  using Image = EntriesImage;
  using Cursor = EntriesCursor;

  explicit EntriesDelta(std::shared_ptr<const EntriesImage> base);

  // `brokers`: as they are at this record. An owner is registered and unfenced.
  void Replay(v1::EntryRecord record, Offset offset, const BrokersImage& brokers);
  void Replay(const v1::RemoveEntryRecord& record, Offset offset);
  // A session never ends before what lives with it: REQUIRES that nothing does.
  void CheckOwnsNothing(BrokerId broker, Offset offset) const;

  // The base itself while nothing was replayed.
  std::shared_ptr<const EntriesImage> Apply() const;

 private:
  // The two halves of every change of an entry: hash, usage and owner.
  void Add(const EntriesImage::Record& record);
  void Forget(const v1::EntryRecord& record);

  // Released by the first change, before it: if nobody else holds the base, its nodes are then
  // changed in place instead of copied.
  std::shared_ptr<const EntriesImage> base_;
  EntriesImage image_;  // a copy of the base's, sharing its nodes
};

}  // namespace kvorum
