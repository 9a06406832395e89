#include "tests/sim/options.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/metadata/metadata_level.h"

namespace kvorum::sim {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

Duration LogUniformMs(Random& random, int64_t low, int64_t high) {
  return milliseconds(LogUniform(random, low, high));
}

uint32_t MaybePermille(Random& random, int64_t high) {
  return random.OneIn(1, 2) ? static_cast<uint32_t>(LogUniform(random, 1, high)) : 0;
}

size_t LogUniformSize(Random& random, int64_t low, int64_t high) {
  return static_cast<size_t>(LogUniform(random, low, high));
}

void DrawTimeouts(Random& random, SimOptions& options) {
  options.election_timeout = LogUniformMs(random, 200, 2000);
  options.fetch_timeout = options.election_timeout * random.Between(2, 4);
  options.fetch_max_wait = options.fetch_timeout / random.Between(3, 6);
  options.request_timeout = options.election_timeout * random.Between(1, 3);
  options.broker_session_timeout = LogUniformMs(random, 2000, 9000);
  options.max_idle_interval = LogUniformMs(random, 200, 1000);
  options.bookmark_interval = LogUniformMs(random, 300, 1500);
  options.stream_stall_timeout = LogUniformMs(random, 1500, 30'000);
  options.stream_ahead_timeout = LogUniformMs(random, 300, 3000);
}

// Small limits are as likely as large ones: what is behind them runs only when they are reached.
void DrawLimits(Random& random, SimOptions& options) {
  options.fetch_max_bytes = static_cast<uint32_t>(LogUniform(random, 1, 1 << 20));
  options.recent_batches_max_bytes = LogUniformSize(random, 1, 1 << 20);
  options.apply_max_bytes = LogUniformSize(random, 1, 1 << 20);
  options.max_inflight_append_bytes = LogUniformSize(random, 200, 1 << 20);
  options.max_pending_replies = LogUniformSize(random, 2, 20'000);
  options.tail_max_bytes = LogUniformSize(random, 200, 1 << 20);
  options.max_message_bytes = LogUniformSize(random, 128, 128 << 10);
  options.max_turn_events = static_cast<int>(LogUniform(random, 1, 256));
}

void DrawNetwork(Random& random, SimOptions& options) {
  NetworkFaults& network = options.network;
  network.min_delay = microseconds(LogUniform(random, 50, 2000));
  const int64_t election_us =
      std::chrono::duration_cast<microseconds>(options.election_timeout).count();
  network.max_delay = network.min_delay +
                      microseconds(LogUniform(random, 50, std::max<int64_t>(100, election_us / 2)));
  network.drop_permille = MaybePermille(random, 300);
  network.duplicate_permille = MaybePermille(random, 500);
  network.misroute_permille = MaybePermille(random, 20);
  network.damage_permille = random.OneIn(1, 4) ? MaybePermille(random, 20) : 0;
  network.stale_permille = random.OneIn(1, 2) ? MaybePermille(random, 1000) : 0;
  options.disk.min_delay = microseconds(LogUniform(random, 20, 2000));
  options.disk.max_delay = options.disk.min_delay + microseconds(LogUniform(random, 50, 100'000));
}

void DrawSnapshots(Random& random, SimOptions& options) {
  SnapshotOptions& snapshots = options.snapshots;
  snapshots.max_log_bytes = LogUniform(random, 300, 1 << 20);
  snapshots.max_interval = LogUniformMs(random, 500, 60'000);
  snapshots.retention_bytes = LogUniform(random, 500, 1 << 20);
  snapshots.retention_age = LogUniformMs(random, 500, 3'600'000);
  snapshots.max_kept = LogUniformSize(random, 1, 8);
  snapshots.chunk_bytes = LogUniformSize(random, 64, 64 << 10);
  if (options.workload.large_commands) {
    // Each costs as much as the image is large.
    snapshots.max_log_bytes = std::max<int64_t>(snapshots.max_log_bytes, 256 << 10);
    snapshots.max_interval = std::max<Duration>(snapshots.max_interval, seconds(10));
    snapshots.chunk_bytes = std::max<size_t>(snapshots.chunk_bytes, 8 << 10);
  }
}

int DrawVoters(Random& random) {
  const uint64_t percent = random.Below(100);
  return percent < 10   ? 1
         : percent < 15 ? 2
         : percent < 65 ? 3
         : percent < 70 ? 4
         : percent < 95 ? 5
                        : 7;
}

// Drawn apart, so that the seeds without them are the runs that they were: among those are the
// regressions that are older.
void DrawSubscribers(SimOptions& options) {
  Random random(options.seed ^ 0x6b766f72756d4f6eULL);
  if (random.OneIn(1, 2)) {
    options.filtered_subscribers = static_cast<int>(random.Between(1, 3));
    options.session_clients = static_cast<int>(random.Between(0, 2));
  }
  options.filtered_tail_max_bytes = LogUniformSize(random, 200, 1 << 20);
  options.filter_linger = LogUniformMs(random, 100, 30'000);
}

// Their salts leave the older regressions as they were.
void DrawWaitsAndLists(SimOptions& options) {
  options.workload.lists_by_pages = Random(options.seed ^ 0x6b766f72756d0136ULL).OneIn(1, 2);
  options.workload.waits = Random(options.seed ^ 0x6b766f72756d00a4ULL).OneIn(1, 2);
}

// Hand-overs that last longer than a session: whom the leader refuses meanwhile is not silent.
void DrawHandOvers(SimOptions& options) {
  Random random(options.seed ^ 0x6b766f72756d0004ULL);
  if (!random.OneIn(1, 6)) {
    return;
  }
  options.hesitant_successors = true;
  options.quorum_change_interval = LogUniformMs(random, 300, 1500);
  options.election_timeout = LogUniformMs(random, 2600, 3200);
  options.fetch_timeout = options.election_timeout * 2;
  options.fetch_max_wait = options.fetch_timeout / 4;
  options.broker_session_timeout = LogUniformMs(random, 2000, 2200);
  options.workload.call_timeout = seconds(4);
}

// A snapshot after the other, and each takes long to copy.
void DrawHurriedSnapshots(SimOptions& options) {
  Random random(options.seed ^ 0x6b766f72756d0005ULL);
  if (!random.OneIn(1, 16) || options.workload.large_commands) {
    return;
  }
  options.workload.max_value_bytes = 2000;
  options.snapshots.chunk_bytes = LogUniformSize(random, 64, 128);
  options.snapshots.max_interval = LogUniformMs(random, 200, 500);
  options.snapshots.max_kept = LogUniformSize(random, 1, 2);
  options.max_idle_interval = LogUniformMs(random, 100, 200);
}

LivenessMode DrawLiveness(Random& random) {
  return random.OneIn(2, 5)   ? LivenessMode::kAllHealthy
         : random.OneIn(1, 3) ? LivenessMode::kMinorityDown
         : random.OneIn(1, 2) ? LivenessMode::kMinoritySendOnly
                              : LivenessMode::kMinorityHalfLinked;
}

}  // namespace

int64_t LogUniform(Random& random, int64_t low, int64_t high) {
  // A random number of bits, then a uniform value of that many: no floating point, so that the
  // result is the same on every machine.
  int64_t doublings = 0;
  while ((low << (doublings + 1)) <= high) {
    ++doublings;
  }
  const int64_t base = low << random.Between(0, doublings);
  return random.Between(base, std::min(high, base * 2));
}

Duration DrawBetween(Random& random, Duration low, Duration high) {
  return Duration(random.Between(low.count(), std::max(low, high).count()));
}

SimOptions DrawOptions(uint64_t seed, Duration fault_phase) {
  // Not the run's own stream: drawing one option more must not change the rest of an old seed more
  // than it has to.
  Random random(seed ^ 0x6b766f72756d0001ULL);
  SimOptions options;
  options.seed = seed;
  options.fault_phase = fault_phase;
  options.voters = DrawVoters(random);
  options.observers = random.OneIn(1, 2) ? 0 : static_cast<int>(random.Between(1, 3));
  options.brokers = static_cast<int>(random.Between(1, 4));
  DrawTimeouts(random, options);
  DrawLimits(random, options);
  DrawNetwork(random, options);
  options.max_turn_delay = microseconds(LogUniform(random, 10, 3000));
  options.max_clock_drift_ppm =
      random.OneIn(1, 2) ? static_cast<int>(LogUniform(random, 10, 100'000)) : 0;
  options.nemesis_interval = LogUniformMs(random, 200, 6000);
  options.workload.clients = static_cast<int>(random.Between(1, 5));
  options.workload.mean_think_time = LogUniformMs(random, 20, 600);
  options.workload.keys = static_cast<int>(random.Between(1, 20));
  options.workload.max_value_bytes = static_cast<uint32_t>(LogUniform(random, 16, 2000));
  options.workload.call_timeout = LogUniformMs(random, 300, 5000);
  options.workload.large_commands =
      random.OneIn(1, 40) && options.max_message_bytes > 4096 && options.max_turn_events > 4;
  options.liveness = DrawLiveness(random);
  if (options.voters < 3) {
    options.liveness = LivenessMode::kAllHealthy;
  }
  options.reencode_batches = seed % 16 == 5;
  DrawSnapshots(random, options);
  if (random.OneIn(1, 2)) {
    options.quorum_change_interval = LogUniformMs(random, 300, 5000);
  }
  options.workload.broker_features = random.OneIn(2, 3);
  options.bootstrap_metadata_level =
      random.OneIn(3, 4) ? kMaxMetadataLevel
                         : static_cast<int32_t>(random.Between(0, kMaxMetadataLevel - 1));
  DrawSubscribers(options);
  DrawWaitsAndLists(options);
  DrawHandOvers(options);
  DrawHurriedSnapshots(options);
  if (Random apart(seed ^ 0x6b766f72756d0003ULL); apart.OneIn(1, 6)) {
    options.disk.read_slowness = static_cast<int>(LogUniform(apart, 4, 200));
  }
  return options;
}

NetworkFaults CalmNetwork() {
  return {.min_delay = microseconds(100), .max_delay = microseconds(2000)};
}

DiskFaults CalmDisk() { return {.min_delay = microseconds(100), .max_delay = microseconds(2000)}; }

std::string ToText(const SimOptions& options) {
  const auto ms = [](Duration d) { return std::chrono::duration_cast<milliseconds>(d).count(); };
  const auto us = [](Duration d) { return std::chrono::duration_cast<microseconds>(d).count(); };
  return fmt::format(
      "voters={} observers={} brokers={} clients={} filtered={} sessions={} filtered_bytes={} "
      "filter_linger_ms={} election_ms={} fetch_timeout_ms={} "
      "fetch_wait_ms={} request_ms={} fetch_bytes={} recent_bytes={} apply_bytes={} "
      "inflight_bytes={} tail_bytes={} message_bytes={} turn_us={} turn_events={} drift_ppm={} "
      "net_us={}..{} drop={} duplicate={} misroute={} damage={} stale={} disk_us={}..{} reads_x={} "
      "think_ms={} nemesis_ms={} "
      "large={} liveness={} reencode={} snapshot_bytes={} snapshot_ms={} retention_bytes={} "
      "retention_ms={} kept={} chunk_bytes={} quorum_change_ms={} hesitant={} features={} waits={} "
      "pages={} "
      "level={}",
      options.voters, options.observers, options.brokers, options.workload.clients,
      options.filtered_subscribers, options.session_clients, options.filtered_tail_max_bytes,
      ms(options.filter_linger), ms(options.election_timeout), ms(options.fetch_timeout),
      ms(options.fetch_max_wait), ms(options.request_timeout), options.fetch_max_bytes,
      options.recent_batches_max_bytes, options.apply_max_bytes, options.max_inflight_append_bytes,
      options.tail_max_bytes, options.max_message_bytes, us(options.max_turn_delay),
      options.max_turn_events, options.max_clock_drift_ppm, us(options.network.min_delay),
      us(options.network.max_delay), options.network.drop_permille,
      options.network.duplicate_permille, options.network.misroute_permille,
      options.network.damage_permille, options.network.stale_permille, us(options.disk.min_delay),
      us(options.disk.max_delay), options.disk.read_slowness, ms(options.workload.mean_think_time),
      ms(options.nemesis_interval), options.workload.large_commands,
      static_cast<int>(options.liveness), options.reencode_batches, options.snapshots.max_log_bytes,
      ms(options.snapshots.max_interval), options.snapshots.retention_bytes,
      ms(options.snapshots.retention_age), options.snapshots.max_kept,
      options.snapshots.chunk_bytes, ms(options.quorum_change_interval),
      options.hesitant_successors, options.workload.broker_features, options.workload.waits,
      options.workload.lists_by_pages, options.bootstrap_metadata_level);
}

}  // namespace kvorum::sim
