#include "server/metadata/configs/configs_delta.h"

#include <utility>

#include "server/base/check.h"
#include "server/metadata/entity_hash.h"

namespace kvorum {
namespace {

uint64_t HashOf(const v1::ConfigRecord& record) {
  return EntityHash(v1::MetadataRecord::kConfig, record);
}

template <typename Record>
ConfigKey KeyOf(const Record& record) {
  return {record.resource_type(), record.resource_name(), record.name()};
}

}  // namespace

ConfigsDelta::ConfigsDelta(std::shared_ptr<const ConfigsImage> base)
    : base_(std::move(base)), image_(*base_) {}

void ConfigsDelta::Replay(const v1::ConfigRecord& record, Offset offset,
                          const TopicsImage& topics) {
  base_.reset();
  KVORUM_CHECK(v1::ConfigResourceType_IsValid(record.resource_type()), "offset {}: {}", offset,
               record.ShortDebugString());
  KVORUM_CHECK(record.resource_type() != v1::CONFIG_RESOURCE_TYPE_UNSPECIFIED, "offset {}: {}",
               offset, record.ShortDebugString());
  KVORUM_CHECK(!record.name().empty(), "offset {}: {}", offset, record.ShortDebugString());
  KVORUM_CHECK(record.resource_type() != v1::CONFIG_RESOURCE_TYPE_TOPIC ||
                   topics.Find(record.resource_name()) != nullptr,
               "offset {}: no such topic: {}", offset, record.ShortDebugString());
  if (const auto* current = image_.configs.Find(KeyOf(record))) {
    image_.state_hash -= HashOf(**current);
  }
  auto shared = std::make_shared<const v1::ConfigRecord>(record);
  const ConfigKey key = KeyOf(*shared);
  image_.configs.Insert(key, std::move(shared));
  image_.state_hash += HashOf(record);
}

void ConfigsDelta::Replay(const v1::RemoveConfigRecord& record, Offset offset) {
  base_.reset();
  const auto* current = image_.configs.Find(KeyOf(record));
  KVORUM_CHECK(current != nullptr, "offset {}: no such config: {}", offset,
               record.ShortDebugString());
  image_.state_hash -= HashOf(**current);
  image_.configs.Erase(KeyOf(record));
}

void ConfigsDelta::Replay(const v1::RemoveTopicRecord& record, Offset offset,
                          const TopicsImage& topics) {
  KVORUM_CHECK(topics.Find(record.name()) == nullptr, "offset {}: the topic is still there: {}",
               offset, record.ShortDebugString());
  const ConfigKey first{v1::CONFIG_RESOURCE_TYPE_TOPIC, record.name(), {}};
  const auto next = [&] { return image_.configs.lower_bound(first); };
  for (auto at = next(); at != image_.configs.end() && at->key.type == first.type &&
                         at->key.resource == first.resource;
       at = next()) {
    base_.reset();
    // Held here: the key that is erased views it.
    const std::shared_ptr<const v1::ConfigRecord> config = at->value;
    image_.state_hash -= HashOf(*config);
    image_.configs.Erase(KeyOf(*config));
  }
}

std::shared_ptr<const ConfigsImage> ConfigsDelta::Apply() const {
  return base_ != nullptr ? base_ : std::make_shared<const ConfigsImage>(image_);
}

}  // namespace kvorum
