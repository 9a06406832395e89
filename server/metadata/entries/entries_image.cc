#include "server/metadata/entries/entries_image.h"

namespace kvorum {

size_t CountOwnedEntries(const EntriesImage& image, BrokerId owner) {
  size_t count = 0;
  for (auto at = image.owned.lower_bound(OwnedEntryKey{owner, {}});
       at != image.owned.end() && at->key.owner == owner; ++at) {
    ++count;
  }
  return count;
}

EntriesCursor::EntriesCursor(const EntriesImage& image) : next_(image.entries.begin()) {}

bool EntriesCursor::Next(v1::MetadataRecord& record) {
  if (next_ == decltype(next_)()) {
    return false;
  }
  *record.mutable_entry() = *next_->value;
  ++next_;
  return true;
}

}  // namespace kvorum
