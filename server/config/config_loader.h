#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "server/config/server_config.h"

namespace CLI {
class App;
}

namespace kvorum {

enum class ConfigSource { kDefault, kFile, kEnvironment, kFlag };
std::string_view ConfigSourceName(ConfigSource source);  // "default", "file", "environment", "flag"

inline constexpr size_t kMaxConfigFileBytes = 1 << 20;

// Everything that may say what a setting is, as text.
struct ConfigInputs {
  std::map<std::string, std::string> flags;        // by key
  std::map<std::string, std::string> environment;  // KVORUM_* variables, whole
  std::string file_name;                           // for messages
  std::string file_text;                           // TOML: `key = value` lines
};

struct LoadedConfig {
  ServerConfig config;
  std::map<std::string, ConfigSource> sources;  // keys that are not the default
  std::vector<std::string> warnings;            // KVORUM_* variables that mean nothing
};

// Flags beat the environment, the environment beats the file, the file beats the defaults. Checks
// every value and the relations between them. An unknown key of the file is an error that names the
// nearest known one; an unknown variable is a warning, since others (Kubernetes service links) set
// such variables too.
absl::StatusOr<LoadedConfig> MergeConfig(const ConfigInputs& inputs);

// Every setting with its value and where it came from, one line each.
std::string DescribeConfig(const LoadedConfig& loaded);

// The command line's share of the configuration. Owned by main; used before and after CLI11 parses.
class ConfigFlags {
 public:
  // Adds `--<key>` for every setting, and `--config FILE`.
  void AddTo(CLI::App& app);

  // Reads the environment and the file (--config or KVORUM_CONFIG) and merges. Call after parsing.
  absl::StatusOr<LoadedConfig> Load() const;

 private:
  std::string file_;
  std::map<std::string, std::string> values_;    // by key; present if the flag was given
  std::map<std::string, std::string> switches_;  // by key; empty if the flag was not given
};

}  // namespace kvorum
