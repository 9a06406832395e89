#pragma once

#include <memory>

#include "kvorum/v1/record.pb.h"
#include "server/base/ids.h"
#include "server/metadata/features/features_image.h"

namespace kvorum {

// A change over a FeaturesImage. Owned by MetadataDelta; its thread.
class FeaturesDelta {
 public:
  using Image = FeaturesImage;
  using Cursor = FeaturesCursor;

  explicit FeaturesDelta(std::shared_ptr<const FeaturesImage> base);

  void Replay(const v1::FeatureLevelRecord& record, Offset offset);

  // The base itself while nothing was replayed.
  std::shared_ptr<const FeaturesImage> Apply() const;

 private:
  // Released by the first change, before it: if nobody else holds the base, its nodes are then
  // changed in place instead of copied.
  std::shared_ptr<const FeaturesImage> base_;
  FeaturesImage image_;  // a copy of the base's, sharing its nodes
};

}  // namespace kvorum
