#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "kvorum/v1/record.pb.h"
#include "server/base/persistent_map.h"

namespace kvorum {

// The finalized levels. Immutable once shared (held as shared_ptr<const FeaturesImage>); any
// thread. Only FeaturesDelta makes new ones.
struct FeaturesImage {
  PersistentMap<std::string, int32_t> levels;  // above 0
  uint64_t state_hash = 0;

  // 0: not finalized.
  int32_t LevelOf(std::string_view name) const {
    const int32_t* level = levels.Find(name);
    return level == nullptr ? 0 : *level;
  }
  // Of the log's language; see metadata_level.h. A log that never told one is at the first.
  int32_t metadata_level() const;
};

// Turns an image back into records, by name. Borrows the image.
class FeaturesCursor {
 public:
  explicit FeaturesCursor(const FeaturesImage& image);

  // Sets `record` to the next one; false at the end.
  bool Next(v1::MetadataRecord& record);

 private:
  decltype(FeaturesImage::levels)::const_iterator next_;
};

}  // namespace kvorum
