#include "server/config/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <vector>

#include "server/base/errors.h"
#include "server/base/status_macros.h"

namespace kvorum {
namespace {

using std::chrono::milliseconds;

constexpr size_t kMaxTextBytes = 4096;
constexpr size_t kMaxBootstrapServers = 64;
constexpr size_t kMaxClusterIdLength = 64;

absl::Status Invalid(const Setting& setting, std::string_view text, std::string_view allowed) {
  return MakeError(ErrorReason::kInvalidRequest,
                   fmt::format("{}: \"{}\" is not {}", setting.name, text, allowed));
}

absl::StatusOr<int64_t> ParseInRange(const Setting& setting, std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < setting.min ||
      value > setting.max) {
    return Invalid(setting, text,
                   fmt::format("a whole number from {} to {}", setting.min, setting.max));
  }
  return value;
}

template <Duration ServerConfig::*kMember>
constexpr Setting MillisSetting(std::string_view name, std::string_view help, int64_t min,
                                int64_t max) {
  return {name,
          help,
          [](const ServerConfig& config) {
            return fmt::format("{}",
                               std::chrono::duration_cast<milliseconds>(config.*kMember).count());
          },
          [](const Setting& setting, std::string_view text, ServerConfig& config) {
            const absl::StatusOr<int64_t> value = ParseInRange(setting, text);
            if (value.ok()) {
              config.*kMember = milliseconds(*value);
            }
            return value.status();
          },
          min,
          max};
}

template <int64_t ServerConfig::*kMember>
constexpr Setting NumberSetting(std::string_view name, std::string_view help, int64_t min,
                                int64_t max) {
  return {name,
          help,
          [](const ServerConfig& config) { return fmt::format("{}", config.*kMember); },
          [](const Setting& setting, std::string_view text, ServerConfig& config) {
            const absl::StatusOr<int64_t> value = ParseInRange(setting, text);
            if (value.ok()) {
              config.*kMember = *value;
            }
            return value.status();
          },
          min,
          max};
}

template <bool ServerConfig::*kMember>
constexpr Setting SwitchSetting(std::string_view name, std::string_view help) {
  return {.name = name,
          .help = help,
          .get = [](const ServerConfig& config) -> std::string {
            return config.*kMember ? "true" : "false";
          },
          .set =
              [](const Setting& setting, std::string_view text, ServerConfig& config) {
                if (text != "true" && text != "false") {
                  return Invalid(setting, text, "true or false");
                }
                config.*kMember = text == "true";
                return absl::OkStatus();
              },
          .is_switch = true};
}

absl::StatusOr<HostPort> ParseAddress(const Setting& setting, std::string_view text) {
  absl::StatusOr<HostPort> address = ParseHostPort(text);
  if (!address.ok()) {
    return MakeError(ErrorReason::kInvalidRequest,
                     fmt::format("{}: {}", setting.name, std::string(address.status().message())));
  }
  return address;
}

template <HostPort ServerConfig::*kMember>
constexpr Setting AddressSetting(std::string_view name, std::string_view help) {
  return {name, help, [](const ServerConfig& config) { return (config.*kMember).ToString(); },
          [](const Setting& setting, std::string_view text, ServerConfig& config) {
            absl::StatusOr<HostPort> address = ParseAddress(setting, text);
            if (address.ok()) {
              config.*kMember = *address;
            }
            return address.status();
          }};
}

// An address that may be left out: empty, or "off".
template <std::optional<HostPort> ServerConfig::*kMember>
constexpr Setting OptionalAddressSetting(std::string_view name, std::string_view help) {
  return {name, help,
          [](const ServerConfig& config) {
            return (config.*kMember).has_value() ? (config.*kMember)->ToString() : "off";
          },
          [](const Setting& setting, std::string_view text, ServerConfig& config) {
            if (text.empty() || text == "off") {
              config.*kMember = std::nullopt;
              return absl::OkStatus();
            }
            absl::StatusOr<HostPort> address = ParseAddress(setting, text);
            if (address.ok()) {
              config.*kMember = *address;
            }
            return address.status();
          }};
}

absl::Status SetBootstrapServers(const Setting& setting, std::string_view text,
                                 ServerConfig& config) {
  std::vector<HostPort> servers;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    KVORUM_ASSIGN_OR_RETURN(HostPort server, ParseAddress(setting, text.substr(0, comma)));
    if (server.port == 0 || server.is_wildcard()) {
      return Invalid(setting, server.ToString(), "an address that this node can connect to");
    }
    servers.push_back(std::move(server));
    if (servers.size() > kMaxBootstrapServers) {
      return Invalid(setting, text, fmt::format("at most {} of them", kMaxBootstrapServers));
    }
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
  }
  config.quorum_bootstrap_servers = std::move(servers);
  return absl::OkStatus();
}

std::string GetBootstrapServers(const ServerConfig& config) {
  std::string text;
  for (const HostPort& server : config.quorum_bootstrap_servers) {
    text += (text.empty() ? "" : ",") + server.ToString();
  }
  return text;
}

absl::Status SetDataDir(const Setting& setting, std::string_view text, ServerConfig& config) {
  if (text.empty() || text.size() > kMaxTextBytes || text.find('\0') != std::string_view::npos) {
    return Invalid(setting, text, fmt::format("a path of 1 to {} bytes", kMaxTextBytes));
  }
  config.data_dir = std::string(text);
  return absl::OkStatus();
}

bool IsClusterIdCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-';
}

absl::Status SetClusterId(const Setting& setting, std::string_view text, ServerConfig& config) {
  if (text.size() > kMaxClusterIdLength ||
      !std::all_of(text.begin(), text.end(), IsClusterIdCharacter)) {
    return Invalid(setting, text,
                   fmt::format("1 to {} characters of [A-Za-z0-9_-]", kMaxClusterIdLength));
  }
  config.cluster_id = std::string(text);
  return absl::OkStatus();
}

absl::Status SetNodeId(const Setting& setting, std::string_view text, ServerConfig& config) {
  if (text.empty()) {
    config.node_id = std::nullopt;
    return absl::OkStatus();
  }
  const absl::StatusOr<int64_t> value = ParseInRange(setting, text);
  if (value.ok()) {
    config.node_id = static_cast<int32_t>(*value);
  }
  return value.status();
}

struct LevelName {
  LogLevel level;
  std::string_view name;
};
constexpr std::array<LevelName, 5> kLevels = {{{LogLevel::kTrace, "trace"},
                                               {LogLevel::kDebug, "debug"},
                                               {LogLevel::kInfo, "info"},
                                               {LogLevel::kWarning, "warning"},
                                               {LogLevel::kError, "error"}}};

absl::Status SetLogLevelSetting(const Setting& setting, std::string_view text,
                                ServerConfig& config) {
  for (const LevelName& row : kLevels) {
    if (row.name == text) {
      config.log_level = row.level;
      return absl::OkStatus();
    }
  }
  return Invalid(setting, text, "one of trace, debug, info, warning, error");
}

std::string GetLogLevelSetting(const ServerConfig& config) {
  for (const LevelName& row : kLevels) {
    if (row.level == config.log_level) {
      return std::string(row.name);
    }
  }
  return "info";
}

constexpr int64_t kDayMs = 86'400'000;
constexpr int64_t kMiB = 1 << 20;

using C = ServerConfig;
constexpr auto kSettings = std::to_array<Setting>({
    {"data-dir", "Directory of this node alone; required to run",
     [](const ServerConfig& config) { return config.data_dir; }, SetDataDir},
    {"cluster-id", "Refuse a data directory of another cluster; empty: any",
     [](const ServerConfig& config) { return config.cluster_id; }, SetClusterId},
    {"node-id",
     "Refuse a data directory of another node, and on an empty one wait for `kvorumctl cluster "
     "init`; empty: any, formatted",
     [](const ServerConfig& config) {
       return config.node_id.has_value() ? fmt::format("{}", *config.node_id) : std::string();
     },
     SetNodeId, 0, INT32_MAX},
    SwitchSetting<&C::observer>(
        "observer",
        "Follow the quorum of quorum-bootstrap-servers and serve streams and reads, never as a "
        "voter; an empty directory is prepared by itself"),
    AddressSetting<&C::client_listener>("client-listener",
                                        "host:port to listen on for brokers and clients"),
    OptionalAddressSetting<&C::client_advertised>(
        "client-advertised", "host:port that clients are told; off: derived from client-listener"),
    AddressSetting<&C::controller_listener>("controller-listener",
                                            "host:port to listen on for the other controllers"),
    OptionalAddressSetting<&C::controller_advertised>(
        "controller-advertised",
        "host:port that the other controllers are told; this node's entry in the voter set follows "
        "it; off: derived from controller-listener, and an entry stays as it is"),
    OptionalAddressSetting<&C::http_listener>(
        "http-listener", "host:port of /metrics, /livez and /readyz; off: none"),
    MillisSetting<&C::quorum_election_timeout>("quorum-election-timeout-ms",
                                               "Time to win an election; every draw is T to 2T", 10,
                                               600'000),
    MillisSetting<&C::quorum_fetch_timeout>(
        "quorum-fetch-timeout-ms",
        "A follower without a good fetch for so long, or a leader without a majority of fetches, "
        "gives up on the leadership",
        20, 600'000),
    MillisSetting<&C::quorum_fetch_max_wait>("quorum-fetch-max-wait-ms",
                                             "Longest a leader holds a fetch that has nothing new",
                                             5, 300'000),
    MillisSetting<&C::quorum_request_timeout>(
        "quorum-request-timeout-ms", "Limit of one request between controllers", 10, 600'000),
    MillisSetting<&C::quorum_retry_backoff>(
        "quorum-retry-backoff-ms", "Wait before a failed request to a controller is repeated", 1,
        60'000),
    NumberSetting<&C::quorum_fetch_max_bytes>(
        "quorum-fetch-max-bytes", "Most bytes of batches in one answer to a fetch", 1024, 8 * kMiB),
    {"quorum-bootstrap-servers",
     "Controller listeners, host:port,host:port, to ask for the leader where the voter set does "
     "not help: for a node that is to join",
     GetBootstrapServers, SetBootstrapServers},
    MillisSetting<&C::quorum_disk_stall_timeout>(
        "quorum-disk-stall-timeout-ms",
        "A leader whose write takes so long gives its leadership away; 0: never", 0, 600'000),
    MillisSetting<&C::quorum_loop_stall_timeout>(
        "quorum-loop-stall-timeout-ms",
        "A leader that did not run for so long gives its leadership away; 0: never", 0, 600'000),
    MillisSetting<&C::broker_session_timeout>("broker-session-timeout-ms",
                                              "A broker without a heartbeat for so long is fenced",
                                              100, kDayMs),
    MillisSetting<&C::metadata_max_idle_interval>(
        "metadata-max-idle-interval-ms",
        "A no-op record is written after so long without any; 0: never", 0, kDayMs),
    MillisSetting<&C::leader_balance_interval>(
        "leader-balance-interval-ms",
        "Partitions get their preferred leader back so often, where it may lead; 0: never", 0,
        kDayMs),
    NumberSetting<&C::leader_balance_max_changes>(
        "leader-balance-max-changes", "Leaders that one step of the balancing moves at most", 1,
        10'000),
    MillisSetting<&C::unclean_leader_election_interval>(
        "unclean-leader-election-interval-ms",
        "Leaders that lack acknowledged records are elected so often, where nobody else can lead "
        "and unclean.leader.election.enable is set; 0: never",
        0, kDayMs),
    MillisSetting<&C::request_timeout>("request-timeout-ms",
                                       "Deadline of a write whose caller gave none", 10, kDayMs),
    NumberSetting<&C::request_id_max_count>(
        "request-id-max-count", "Completed requests remembered for their retries", 1, 10'000'000),
    MillisSetting<&C::request_id_retention>("request-id-retention-ms",
                                            "A completed request is forgotten after so long", 1000,
                                            7 * kDayMs),
    NumberSetting<&C::request_queue_max>(
        "request-queue-max", "Client requests that may wait; more are answered CLASS_SHED", 1,
        1'000'000),
    MillisSetting<&C::stream_bookmark_interval>("stream-bookmark-interval-ms",
                                                "A subscriber hears something at least so often",
                                                10, 3'600'000),
    MillisSetting<&C::stream_stall_timeout>(
        "stream-stall-timeout-ms", "A subscriber that takes nothing for so long is dropped", 100,
        kDayMs),
    NumberSetting<&C::stream_max_lag>(
        "stream-max-lag",
        "A subscriber that is further behind, in committed offsets, is dropped; 0: none is", 0,
        1'000'000'000'000),
    NumberSetting<&C::stream_tail_max_bytes>("stream-tail-max-bytes",
                                             "Committed updates kept in memory for subscribers",
                                             64 * 1024, 4096 * kMiB),
    NumberSetting<&C::stream_max_subscriptions>("stream-max-subscriptions",
                                                "Open subscriptions; more are refused", 1, 100'000),
    NumberSetting<&C::snapshot_max_log_bytes>("snapshot-max-log-bytes",
                                              "A snapshot is made after so many bytes of log",
                                              4 * 1024, 65536 * kMiB),
    MillisSetting<&C::snapshot_max_interval>(
        "snapshot-max-interval-ms", "A snapshot is made after so long, if anything was written",
        100, 30 * kDayMs),
    NumberSetting<&C::log_retention_bytes>(
        "log-retention-bytes",
        "Log and snapshots kept; over it the oldest go, never the newest snapshot", 4 * 1024,
        1048576 * kMiB),
    MillisSetting<&C::log_retention_age>("log-retention-ms",
                                         "Snapshots older than this go, and the log below them",
                                         1000, 3650 * kDayMs),
    MillisSetting<&C::shutdown_timeout>(
        "shutdown-timeout-ms", "Longest an orderly stop waits for the hand-over of the leadership",
        10, 600'000),
    {"log-level", "trace, debug, info, warning or error", GetLogLevelSetting, SetLogLevelSetting},
});

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) {
    row[j] = j;
  }
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substitute = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substitute});
    }
  }
  return row[b.size()];
}

}  // namespace

std::span<const Setting> Settings() { return kSettings; }

const Setting* FindSetting(std::string_view name) {
  for (const Setting& setting : kSettings) {
    if (setting.name == name) {
      return &setting;
    }
  }
  return nullptr;
}

std::string EnvironmentName(std::string_view setting) {
  std::string name = "KVORUM_";
  for (const char c : setting) {
    if (c == '-') {
      name.push_back('_');
    } else {
      name.push_back(c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c);
    }
  }
  return name;
}

std::string_view NearestSetting(std::string_view name) {
  name = name.substr(0, kMaxTextBytes / 16);
  std::string_view nearest;
  size_t best = std::max<size_t>(3, name.size() / 2) + 1;
  for (const Setting& setting : kSettings) {
    const size_t distance = EditDistance(name, setting.name);
    if (distance < best) {
      best = distance;
      nearest = setting.name;
    }
  }
  return nearest;
}

}  // namespace kvorum
