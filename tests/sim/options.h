#pragma once

#include <cstdint>
#include <string>

#include "server/base/random.h"
#include "server/base/time.h"

namespace kvorum::sim {

// How long controllers remember requests by their own clocks, which are at most twice as fast, and
// for how long clients repeat one.
inline constexpr std::chrono::milliseconds kRequestRetention{30'000};
inline constexpr std::chrono::milliseconds kLongestRetry{8'000};

// What the network does to one message.
struct NetworkFaults {
  Duration min_delay{};
  Duration max_delay{};
  uint32_t drop_permille = 0;
  uint32_t duplicate_permille = 0;
  uint32_t misroute_permille = 0;  // arrives at another controller than it was meant for
  uint32_t damage_permille = 0;    // a fetched batch arrives with a changed byte
  // Of what reaches a link that is cut: kept by it, and delivered long after it was mended.
  uint32_t stale_permille = 0;
};

struct DiskFaults {
  Duration min_delay{};
  Duration max_delay{};
  int read_slowness = 1;     // reads take so many times longer: a cold cache, a busy table
  bool reads_stall = false;  // what is read waits, what is written does not
};

struct WorkloadOptions {
  int clients = 3;
  Duration mean_think_time = std::chrono::milliseconds(100);
  int keys = 12;
  uint32_t max_value_bytes = 64;
  Duration call_timeout = std::chrono::milliseconds(3000);
  bool large_commands = false;   // more records than one batch may hold
  bool broker_features = false;  // brokers say what they support
  // Clients wait for brokers in every way there is, and go on waiting at the next leader; brokers
  // acknowledge between heartbeats, and reject what they then apply after all.
  bool waits = false;
  bool lists_by_pages = false;  // session clients list so, while others write
};

// When snapshots are made, and how much is kept.
struct SnapshotOptions {
  int64_t max_log_bytes = 0;
  Duration max_interval{};
  int64_t retention_bytes = 0;
  Duration retention_age{};
  size_t max_kept = 0;
  size_t chunk_bytes = 0;
};

// How the liveness phase treats the minority that need not work.
enum class LivenessMode { kAllHealthy, kMinorityDown, kMinoritySendOnly, kMinorityHalfLinked };

// Everything that is fixed for one run. Each seed draws every class of faults on or off and its
// intensity ("swarm testing"), since some bugs show only when other faults are rare.
struct SimOptions {
  uint64_t seed = 0;
  Duration fault_phase = std::chrono::seconds(30);
  bool print_events = false;

  std::string cluster_id = "9c7a6d2e-5b0f-4f43-8d1c-0a1b2c3d4e5f";
  int voters = 3;
  int observers = 0;
  int brokers = 3;
  int filtered_subscribers = 0;
  int session_clients = 0;

  Duration election_timeout{};
  Duration fetch_timeout{};
  Duration fetch_max_wait{};
  Duration request_timeout{};
  uint32_t fetch_max_bytes = 0;
  Duration broker_session_timeout{};
  int32_t bootstrap_metadata_level = 0;
  Duration max_idle_interval{};
  Duration bookmark_interval{};
  Duration stream_stall_timeout{};
  Duration stream_ahead_timeout{};
  size_t recent_batches_max_bytes = 0;
  size_t apply_max_bytes = 0;
  size_t max_inflight_append_bytes = 0;
  size_t max_pending_replies = 0;
  size_t tail_max_bytes = 0;
  size_t max_message_bytes = 0;
  size_t filtered_tail_max_bytes = 0;
  Duration filter_linger{};

  // Loop behaviour: how late a turn may come and how many events it may take.
  Duration max_turn_delay{};
  int max_turn_events = 64;
  int max_clock_drift_ppm = 0;

  NetworkFaults network;
  DiskFaults disk;
  Duration nemesis_interval = std::chrono::milliseconds(1500);
  WorkloadOptions workload;
  SnapshotOptions snapshots;
  Duration quorum_change_interval{};  // zero: the voters stay who they are
  bool hesitant_successors = false;   // the disk of who is to lead is slow just then
  LivenessMode liveness = LivenessMode::kAllHealthy;
  bool reencode_batches = false;  // pass every batch through its codec
};

SimOptions DrawOptions(uint64_t seed, Duration fault_phase);

// A calm network and quick disks, for the liveness phase.
NetworkFaults CalmNetwork();
DiskFaults CalmDisk();

// One line with everything that was drawn.
std::string ToText(const SimOptions& options);

// A value between low and high whose logarithm is uniform.
int64_t LogUniform(Random& random, int64_t low, int64_t high);
Duration DrawBetween(Random& random, Duration low, Duration high);

}  // namespace kvorum::sim
