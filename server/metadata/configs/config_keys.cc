#include "server/metadata/configs/config_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "server/base/errors.h"
#include "server/metadata/configs/config_key_tables.h"
#include "server/metadata/request_checks.h"

namespace kvorum {
namespace {

absl::Status Invalid(const ConfigKeyInfo& key, std::string_view value, std::string_view want) {
  return MakeError(ErrorReason::kInvalidConfig, fmt::format("config '{}' cannot be {}; use {}",
                                                            key.name, ShownText(value), want));
}

template <typename Number>
bool ParseAll(std::string_view text, Number& number) {
  const char* end = text.data() + text.size();
  const auto [next, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && next == end;
}

absl::Status ValidateWhole(const ConfigKeyInfo& key, std::string_view value) {
  const bool is_int = key.type == v1::CONFIG_TYPE_INT;
  const int64_t min = std::max<int64_t>(key.min, is_int ? INT32_MIN : INT64_MIN);
  const int64_t max = std::min<int64_t>(key.max, is_int ? INT32_MAX : INT64_MAX);
  int64_t number = 0;
  if (!ParseAll(value, number) || number < min || number > max) {
    return Invalid(key, value, fmt::format("a whole number from {} to {}", min, max));
  }
  return absl::OkStatus();
}

absl::Status ValidateDouble(const ConfigKeyInfo& key, std::string_view value) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const double min = key.min == INT64_MIN ? -kInfinity : static_cast<double>(key.min);
  const double max = key.max == INT64_MAX ? kInfinity : static_cast<double>(key.max);
  double number = 0;
  if (!ParseAll(value, number) || !std::isfinite(number) || number < min || number > max) {
    return Invalid(key, value, fmt::format("a number from {} to {}", min, max));
  }
  return absl::OkStatus();
}

bool IsAllowed(const ConfigKeyInfo& key, std::string_view item) {
  for (std::string_view rest = key.allowed; !rest.empty();) {
    const size_t end = std::min(rest.find('|'), rest.size());
    if (rest.substr(0, end) == item) {
      return true;
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return key.allowed.empty();
}

absl::Status ValidateList(const ConfigKeyInfo& key, std::string_view value) {
  for (const std::string_view item : SplitConfigList(value)) {
    if (item.empty() || !IsAllowed(key, item)) {
      return Invalid(key, value,
                     key.allowed.empty() ? "items that are not empty, separated by commas"
                                         : fmt::format("items of {}", key.allowed));
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::span<const ConfigKeyInfo> ConfigKeysOf(v1::ConfigResourceType type) {
  switch (type) {
    case v1::CONFIG_RESOURCE_TYPE_TOPIC:
      return TopicConfigKeys();
    case v1::CONFIG_RESOURCE_TYPE_BROKER:
      return BrokerConfigKeys();
    case v1::CONFIG_RESOURCE_TYPE_CLIENT_METRICS:
      return ClientMetricsConfigKeys();
    case v1::CONFIG_RESOURCE_TYPE_GROUP:
      return GroupConfigKeys();
    default:  // open enum: what the wire brings may be any number
      return {};
  }
}

const ConfigKeyInfo* FindConfigKey(v1::ConfigResourceType type, std::string_view name) {
  const std::span<const ConfigKeyInfo> keys = ConfigKeysOf(type);
  const auto found =
      std::lower_bound(keys.begin(), keys.end(), name,
                       [](const ConfigKeyInfo& key, std::string_view n) { return key.name < n; });
  return found != keys.end() && found->name == name ? &*found : nullptr;
}

std::vector<std::string_view> SplitConfigList(std::string_view value) {
  std::vector<std::string_view> items;
  while (!value.empty()) {
    const size_t end = std::min(value.find(','), value.size());
    std::string_view item = value.substr(0, end);
    while (item.starts_with(' ')) {
      item.remove_prefix(1);
    }
    while (item.ends_with(' ')) {
      item.remove_suffix(1);
    }
    items.push_back(item);
    if (end + 1 == value.size()) {
      items.emplace_back();  // after a comma at the end
    }
    value.remove_prefix(std::min(end + 1, value.size()));
  }
  return items;
}

absl::Status ValidateConfigValue(const ConfigKeyInfo& key, std::string_view value) {
  if (value.size() > kMaxConfigValueBytes) {
    return MakeError(ErrorReason::kInvalidConfig,
                     fmt::format("the value of config '{}' is {} bytes long; the limit is {}",
                                 key.name, value.size(), kMaxConfigValueBytes));
  }
  if (!IsPrintableUtf8(value)) {
    return Invalid(key, value, "UTF-8 without control characters");
  }
  switch (key.type) {
    case v1::CONFIG_TYPE_BOOLEAN:
      return value == "true" || value == "false" ? absl::OkStatus()
                                                 : Invalid(key, value, "true or false");
    case v1::CONFIG_TYPE_INT:
    case v1::CONFIG_TYPE_LONG:
      return ValidateWhole(key, value);
    case v1::CONFIG_TYPE_DOUBLE:
      return ValidateDouble(key, value);
    case v1::CONFIG_TYPE_LIST:
      return ValidateList(key, value);
    default:  // strings; the generated enum has sentinels
      return IsAllowed(key, value) ? absl::OkStatus()
                                   : Invalid(key, value, fmt::format("one of {}", key.allowed));
  }
}

}  // namespace kvorum
