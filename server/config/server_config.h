#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/base/log.h"
#include "server/base/time.h"
#include "server/config/host_port.h"

namespace kvorum {

// Every setting of the daemon, typed. Made by LoadConfig (config_loader.h); nothing else reads
// strings. Names, meanings, units and ranges: settings.cc; each key explained: deploy/kvorumd.toml.
struct ServerConfig {
  std::string data_dir;
  std::string cluster_id;          // empty: whatever the directory says
  std::optional<int32_t> node_id;  // absent: whatever the directory says
  bool observer = false;           // serves streams and reads, is never to be a voter

  HostPort client_listener{"0.0.0.0", 7400};
  std::optional<HostPort> client_advertised;  // absent: the listener, or this machine's host name
  HostPort controller_listener{"0.0.0.0", 7401};
  std::optional<HostPort> controller_advertised;  // absent: the listener or host name
  std::optional<HostPort> http_listener = HostPort{"127.0.0.1", 7402};  // absent: none

  Duration quorum_election_timeout = std::chrono::milliseconds(500);
  Duration quorum_fetch_timeout = std::chrono::milliseconds(1500);
  Duration quorum_fetch_max_wait = std::chrono::milliseconds(500);
  Duration quorum_request_timeout = std::chrono::milliseconds(1500);
  Duration quorum_retry_backoff = std::chrono::milliseconds(20);
  int64_t quorum_fetch_max_bytes = 1 << 20;
  std::vector<HostPort> quorum_bootstrap_servers;
  Duration quorum_disk_stall_timeout = std::chrono::milliseconds(1000);
  Duration quorum_loop_stall_timeout = std::chrono::milliseconds(750);

  int64_t request_id_max_count = 100'000;
  Duration request_id_retention = std::chrono::minutes(15);
  Duration broker_session_timeout = std::chrono::milliseconds(9000);
  Duration metadata_max_idle_interval = std::chrono::milliseconds(500);
  Duration leader_balance_interval = std::chrono::seconds(300);
  int64_t leader_balance_max_changes = 1'000;
  Duration unclean_leader_election_interval = std::chrono::seconds(300);
  Duration request_timeout = std::chrono::milliseconds(30'000);
  int64_t request_queue_max = 20'000;

  Duration stream_bookmark_interval = std::chrono::milliseconds(1000);
  Duration stream_stall_timeout = std::chrono::milliseconds(30'000);
  int64_t stream_max_lag = 10'000'000;
  int64_t stream_tail_max_bytes = 64 << 20;
  int64_t stream_max_subscriptions = 10'000;

  int64_t snapshot_max_log_bytes = 20 << 20;
  Duration snapshot_max_interval = std::chrono::hours(1);
  int64_t log_retention_bytes = 100 << 20;
  Duration log_retention_age = std::chrono::hours(7 * 24);

  Duration shutdown_timeout = std::chrono::milliseconds(3000);
  LogLevel log_level = LogLevel::kInfo;
};

// Relations between settings; the message names the keys. Ranges of single ones are checked when
// they are set.
absl::Status ValidateRelations(const ServerConfig& config);

}  // namespace kvorum
