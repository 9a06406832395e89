#include "server/metadata/features/features_delta.h"

#include <utility>

#include "server/base/check.h"
#include "server/metadata/entity_hash.h"

namespace kvorum {
namespace {

uint64_t HashOf(std::string_view name, int32_t level) {
  v1::FeatureLevelRecord record;
  record.set_name(std::string(name));
  record.set_level(level);
  return EntityHash(v1::MetadataRecord::kFeatureLevel, record);
}

}  // namespace

FeaturesDelta::FeaturesDelta(std::shared_ptr<const FeaturesImage> base)
    : base_(std::move(base)), image_(*base_) {}

void FeaturesDelta::Replay(const v1::FeatureLevelRecord& record, Offset offset) {
  base_.reset();
  KVORUM_CHECK(!record.name().empty(), "offset {}: {}", offset, record.ShortDebugString());
  KVORUM_CHECK(record.level() >= 0, "offset {}: {}", offset, record.ShortDebugString());
  if (const int32_t* current = image_.levels.Find(record.name())) {
    image_.state_hash -= HashOf(record.name(), *current);
  }
  if (record.level() == 0) {
    const bool was_there = image_.levels.Erase(record.name());
    KVORUM_CHECK(was_there, "offset {}: not finalized: {}", offset, record.ShortDebugString());
    return;
  }
  image_.levels.Insert(record.name(), record.level());
  image_.state_hash += HashOf(record.name(), record.level());
}

std::shared_ptr<const FeaturesImage> FeaturesDelta::Apply() const {
  return base_ != nullptr ? base_ : std::make_shared<const FeaturesImage>(image_);
}

}  // namespace kvorum
