#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "kvorum/v1/record.pb.h"
#include "server/base/persistent_map.h"

namespace kvorum {

// One config of one resource. Ordered so that a resource's configs are a range.
struct ConfigKey {
  v1::ConfigResourceType type = v1::CONFIG_RESOURCE_TYPE_UNSPECIFIED;
  std::string_view resource;
  std::string_view name;

  friend constexpr auto operator<=>(const ConfigKey&, const ConfigKey&) = default;
};

// All configs that are set. Immutable once shared (held as shared_ptr<const ConfigsImage>); any
// thread. Only ConfigsDelta makes new ones.
struct ConfigsImage {
  // The key views the record's own texts, which live as long as the node.
  PersistentMap<ConfigKey, std::shared_ptr<const v1::ConfigRecord>> configs;
  uint64_t state_hash = 0;

  // What is set, or nullptr.
  const std::string* Find(const ConfigKey& key) const {
    const auto* found = configs.Find(key);
    return found == nullptr ? nullptr : &(*found)->value();
  }
};

// Turns an image back into records, by type, resource and name. Borrows the image.
class ConfigsCursor {
 public:
  explicit ConfigsCursor(const ConfigsImage& image);

  // Sets `record` to the next one; false at the end.
  bool Next(v1::MetadataRecord& record);

 private:
  decltype(ConfigsImage::configs)::const_iterator next_;
};

}  // namespace kvorum
