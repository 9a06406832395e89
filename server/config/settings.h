#pragma once

#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "server/config/server_config.h"

namespace kvorum {

// One key: `--name` as a flag, KVORUM_NAME in the environment, `name = …` in the file.
struct Setting {
  std::string_view name;
  std::string_view help;  // one line, with unit and range
  std::string (*get)(const ServerConfig& config);
  // INVALID_REQUEST naming the key, the value and what is allowed.
  absl::Status (*set)(const Setting& setting, std::string_view text, ServerConfig& config);
  int64_t min = 0;
  int64_t max = 0;
  bool is_switch = false;  // true or false; as a flag, its name alone says true
};

// All keys, in the order they are printed.
std::span<const Setting> Settings();

// nullptr: no such key.
const Setting* FindSetting(std::string_view name);

// "KVORUM_QUORUM_FETCH_TIMEOUT_MS" for "quorum-fetch-timeout-ms".
std::string EnvironmentName(std::string_view setting);

// The known key with the smallest edit distance to `name`; empty if none is anywhere near.
std::string_view NearestSetting(std::string_view name);

}  // namespace kvorum
