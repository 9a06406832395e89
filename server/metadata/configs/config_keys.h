#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "kvorum/v1/config.pb.h"

namespace kvorum {

// Of topics, and of all brokers for those topics that have none: the only config that other
// metadata follows from (topics/topics_image.h).
inline constexpr char kMinInsyncReplicas[] = "min.insync.replicas";

inline constexpr size_t kMaxConfigValueBytes = 32'767;  // Kafka's: a signed 16-bit length

// What is known about one config key: the only place that knows it. Plain value.
struct ConfigKeyInfo {
  std::string_view name;
  v1::ConfigType type = v1::CONFIG_TYPE_UNSPECIFIED;
  std::string_view default_value;
  // Of numbers, inclusive.
  int64_t min = INT64_MIN;
  int64_t max = INT64_MAX;
  // Of strings and the items of lists, separated by '|'; empty: anything.
  std::string_view allowed;
  // Of a topic's key: the broker key it falls back to; empty: none.
  std::string_view broker_key;
  std::string_view documentation;
};

// All keys of a kind of resource, by name. Empty for a kind that is unknown.
std::span<const ConfigKeyInfo> ConfigKeysOf(v1::ConfigResourceType type);

// nullptr if the kind of resource has no such key.
const ConfigKeyInfo* FindConfigKey(v1::ConfigResourceType type, std::string_view name);

// The items of a list value, without the blanks around them; none for an empty one.
std::vector<std::string_view> SplitConfigList(std::string_view value);

// OK if `value` is one of the key's type and range. Else INVALID_CONFIG.
absl::Status ValidateConfigValue(const ConfigKeyInfo& key, std::string_view value);

}  // namespace kvorum
