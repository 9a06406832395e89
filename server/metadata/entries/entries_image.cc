#include "server/metadata/entries/entries_image.h"

namespace kvorum {

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
