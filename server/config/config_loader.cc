#include "server/config/config_loader.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <sstream>

#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/config/settings.h"

namespace kvorum {
namespace {

constexpr std::string_view kPrefix = "KVORUM_";
constexpr char kFileVariable[] = "KVORUM_CONFIG";

absl::Status Invalid(const std::string& message) {
  return MakeError(ErrorReason::kInvalidRequest, message);
}

std::string DidYouMean(std::string_view name) {
  const std::string_view nearest = NearestSetting(name);
  return nearest.empty() ? "; `kvorumd config` lists all keys"
                         : fmt::format("; did you mean {}?", nearest);
}

absl::Status Prefixed(std::string_view where, const absl::Status& status) {
  return status.ok() ? status
                     : Invalid(fmt::format("{}: {}", where, std::string(status.message())));
}

absl::StatusOr<std::vector<CLI::ConfigItem>> ParseToml(const ConfigInputs& inputs) {
  std::istringstream text(inputs.file_text);
  try {
    return CLI::ConfigTOML().from_config(text);
  } catch (const CLI::Error& error) {
    return Invalid(fmt::format("{}: {}", inputs.file_name, error.what()));
  }
}

absl::Status ApplyFile(const ConfigInputs& inputs, LoadedConfig& loaded) {
  KVORUM_ASSIGN_OR_RETURN(const std::vector<CLI::ConfigItem> items, ParseToml(inputs));
  for (const CLI::ConfigItem& item : items) {
    const std::string name = item.fullname();
    const Setting* setting = FindSetting(name);
    if (setting == nullptr) {
      return Invalid(
          fmt::format("{}: unknown key \"{}\"{}", inputs.file_name, name, DidYouMean(name)));
    }
    // CLI11 joins repeated keys into one item with several inputs, unless others stand between.
    if (item.inputs.size() != 1 || loaded.sources.contains(name)) {
      return Invalid(
          fmt::format("{}: {} must be given once, with one value", inputs.file_name, name));
    }
    KVORUM_RETURN_IF_ERROR(
        Prefixed(inputs.file_name, setting->set(*setting, item.inputs[0], loaded.config)));
    loaded.sources[name] = ConfigSource::kFile;
  }
  return absl::OkStatus();
}

absl::Status ApplyEnvironment(const ConfigInputs& inputs, LoadedConfig& loaded) {
  std::map<std::string, const Setting*> known;
  for (const Setting& setting : Settings()) {
    known[EnvironmentName(setting.name)] = &setting;
  }
  for (const auto& [variable, value] : inputs.environment) {
    const auto found = known.find(variable);
    if (found != known.end()) {
      const Setting& setting = *found->second;
      KVORUM_RETURN_IF_ERROR(Prefixed(variable, setting.set(setting, value, loaded.config)));
      loaded.sources[std::string(setting.name)] = ConfigSource::kEnvironment;
    } else if (variable != kFileVariable) {
      loaded.warnings.push_back(
          fmt::format("the environment variable {} means nothing here", variable));
    }
  }
  return absl::OkStatus();
}

absl::Status ApplyFlags(const ConfigInputs& inputs, LoadedConfig& loaded) {
  for (const auto& [name, value] : inputs.flags) {
    const Setting* setting = FindSetting(name);
    if (setting == nullptr) {
      return Invalid(fmt::format("unknown flag --{}{}", name, DidYouMean(name)));
    }
    KVORUM_RETURN_IF_ERROR(setting->set(*setting, value, loaded.config));
    loaded.sources[name] = ConfigSource::kFlag;
  }
  return absl::OkStatus();
}

std::map<std::string, std::string> ReadEnvironment() {
  std::map<std::string, std::string> variables;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const size_t equals = text.find('=');
    if (text.starts_with(kPrefix) && equals != std::string_view::npos) {
      variables[std::string(text.substr(0, equals))] = std::string(text.substr(equals + 1));
    }
  }
  return variables;
}

absl::StatusOr<std::string> ReadConfigFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(kMaxConfigFileBytes + 1, '\0');
  if (!file) {
    return Invalid(fmt::format("the configuration file {} cannot be read", path));
  }
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) {
    return Invalid(fmt::format("the configuration file {} cannot be read", path));
  }
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.size() > kMaxConfigFileBytes) {
    return Invalid(fmt::format("the configuration file {} is larger than {} bytes", path,
                               kMaxConfigFileBytes));
  }
  return text;
}

}  // namespace

std::string_view ConfigSourceName(ConfigSource source) {
  switch (source) {
    case ConfigSource::kDefault:
      return "default";
    case ConfigSource::kFile:
      return "file";
    case ConfigSource::kEnvironment:
      return "environment";
    case ConfigSource::kFlag:
      return "flag";
  }
  return "default";
}

absl::StatusOr<LoadedConfig> MergeConfig(const ConfigInputs& inputs) {
  LoadedConfig loaded;
  KVORUM_RETURN_IF_ERROR(ApplyFile(inputs, loaded));
  KVORUM_RETURN_IF_ERROR(ApplyEnvironment(inputs, loaded));
  KVORUM_RETURN_IF_ERROR(ApplyFlags(inputs, loaded));
  KVORUM_RETURN_IF_ERROR(ValidateRelations(loaded.config));
  return loaded;
}

std::string DescribeConfig(const LoadedConfig& loaded) {
  std::string text;
  for (const Setting& setting : Settings()) {
    const auto found = loaded.sources.find(std::string(setting.name));
    const ConfigSource source =
        found == loaded.sources.end() ? ConfigSource::kDefault : found->second;
    text += fmt::format("{:<30} = {:<24} # {}\n", setting.name, setting.get(loaded.config),
                        ConfigSourceName(source));
  }
  return text;
}

void ConfigFlags::AddTo(CLI::App& app) {
  app.add_option("--config", file_, "TOML file with `key = value` lines (or KVORUM_CONFIG)");
  for (const Setting& setting : Settings()) {
    const std::string name(setting.name);
    const std::string help = fmt::format("{} [{}]", setting.help, setting.get(ServerConfig{}));
    if (setting.is_switch) {
      app.add_flag("--" + name, switches_[name], help);
      continue;
    }
    app.add_option_function<std::string>(
        "--" + name, [this, name](const std::string& value) { values_[name] = value; }, help);
  }
}

absl::StatusOr<LoadedConfig> ConfigFlags::Load() const {
  ConfigInputs inputs;
  inputs.flags = values_;
  for (const auto& [name, value] : switches_) {
    if (!value.empty()) {
      inputs.flags[name] = value;
    }
  }
  inputs.environment = ReadEnvironment();
  inputs.file_name = file_;
  if (const auto variable = inputs.environment.find(kFileVariable);
      inputs.file_name.empty() && variable != inputs.environment.end()) {
    inputs.file_name = variable->second;
  }
  if (!inputs.file_name.empty()) {
    KVORUM_ASSIGN_OR_RETURN(inputs.file_text, ReadConfigFile(inputs.file_name));
  }
  return MergeConfig(inputs);
}

}  // namespace kvorum
