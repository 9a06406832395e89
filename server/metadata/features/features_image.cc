#include "server/metadata/features/features_image.h"

#include <algorithm>

#include "server/metadata/metadata_level.h"

namespace kvorum {

int32_t FeaturesImage::metadata_level() const {
  return std::max(LevelOf(kMetadataVersionFeature), kMinMetadataLevel);
}

FeaturesCursor::FeaturesCursor(const FeaturesImage& image) : next_(image.levels.begin()) {}

bool FeaturesCursor::Next(v1::MetadataRecord& record) {
  if (next_ == decltype(next_)()) {
    return false;
  }
  record.mutable_feature_level()->set_name(next_->key);
  record.mutable_feature_level()->set_level(next_->value);
  ++next_;
  return true;
}

}  // namespace kvorum
