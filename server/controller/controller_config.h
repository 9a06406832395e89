#pragma once

#include <cstddef>
#include <cstdint>

#include "server/base/time.h"
#include "server/metadata/requests/completed_requests.h"

namespace kvorum::controller {

// Settings of the active controller. Names and defaults of the keys: config/server_config.h.
struct ControllerConfig {
  Duration broker_session_timeout = std::chrono::milliseconds(9000);
  // A NoOp record after this long without any; zero: never. Keeps the committed end moving.
  Duration max_idle_interval = std::chrono::milliseconds(500);
  // How often partitions get their preferred leader back, zero: never; and how many at a time.
  Duration leader_balance_interval = std::chrono::seconds(300);
  size_t leader_balance_max_changes = 1'000;
  // How often leaders are elected uncleanly, zero: never; as many at a time.
  Duration unclean_election_interval = std::chrono::seconds(300);
  Duration default_command_timeout = std::chrono::seconds(30);
  // What an empty log begins with, so that a new cluster has everything this release has; 0:
  // nothing, it begins at the first level (metadata/metadata_level.h).
  int32_t bootstrap_metadata_level = 0;
  size_t max_pending_replies = 20'000;  // more writes in flight are shed; broker reports: twice it
  RequestRetention requests;
  size_t max_recent_changes = 100'000;  // known to if_unchanged_since; some 100 bytes each
  size_t max_applied_waits = 5'000;     // writes that wait for brokers; more of these are shed
};

}  // namespace kvorum::controller
