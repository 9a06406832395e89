#pragma once

#include <span>

#include "server/metadata/configs/config_keys.h"

namespace kvorum {

// The tables behind ConfigKeysOf: names, defaults and ranges are Kafka's. Sorted by name.
std::span<const ConfigKeyInfo> TopicConfigKeys();
std::span<const ConfigKeyInfo> BrokerConfigKeys();
std::span<const ConfigKeyInfo> ClientMetricsConfigKeys();
std::span<const ConfigKeyInfo> GroupConfigKeys();

}  // namespace kvorum
