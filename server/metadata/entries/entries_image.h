#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "kvorum/v1/record.pb.h"
#include "server/base/persistent_map.h"

namespace kvorum {

// The users' own keys and values. Immutable once shared (held as shared_ptr<const EntriesImage>);
// any thread. Only EntriesDelta makes new ones.
struct EntriesImage {
  // By key; the key views the record's own, which lives as long as the node.
  PersistentMap<std::string_view, std::shared_ptr<const v1::EntryRecord>> entries;
  uint64_t state_hash = 0;

  // The record that wrote `key`, or nullptr.
  const v1::EntryRecord* Find(std::string_view key) const {
    const auto* found = entries.Find(key);
    return found == nullptr ? nullptr : found->get();
  }
};

// Turns an image back into records, by key. Borrows the image.
class EntriesCursor {
 public:
  explicit EntriesCursor(const EntriesImage& image);

  // Sets `record` to the next one; false at the end.
  bool Next(v1::MetadataRecord& record);

 private:
  decltype(EntriesImage::entries)::const_iterator next_;
};

}  // namespace kvorum
