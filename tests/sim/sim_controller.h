#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "server/base/ids.h"
#include "server/base/random.h"
#include "server/raft/voter_set.h"
#include "storage/memory/memory_disk.h"
#include "tests/sim/disk_damage.h"
#include "tests/sim/options.h"
#include "tests/sim/world.h"

namespace kvorum::sim {

// Translates between true time and a machine's own monotonic clock, which runs fast or slow.
class LocalClock {
 public:
  explicit LocalClock(int64_t drift_ppm) : usual_ppm_(drift_ppm), drift_ppm_(drift_ppm) {}

  // From the true instant `now` on it runs so much fast; until Calm at its usual speed.
  void SetDrift(TimePoint now, int64_t drift_ppm);
  void Calm(TimePoint now) { SetDrift(now, usual_ppm_); }

  TimePoint ToLocal(TimePoint real) const;
  // The true instant at which the local clock shows `local`. REQUIRES: not kNever.
  TimePoint ToReal(TimePoint local) const;

 private:
  int64_t usual_ppm_;
  int64_t drift_ppm_;
  // Both clocks when the drift last changed.
  TimePoint real_base_{};
  TimePoint local_base_{};
};

// One controller machine: its identity, its disk and clock, and the process that runs on it now, if
// any. Owned by the world.
class SimController {
 public:
  // `replica`: key and address, also of an observer.
  SimController(World& world, raft::Voter replica, int64_t drift_ppm, Random random);
  ~SimController();

  NodeId id() const { return replica_.key.node_id; }
  const ReplicaKey& key() const { return replica_.key; }
  const raft::Voter& replica() const { return replica_; }
  const raft::PeerAddress& address() const { return replica_.address; }
  std::string client_endpoint() const;
  static std::optional<NodeId> ParseClientEndpoint(const std::string& endpoint);
  const LocalClock& clock() const { return clock_; }
  void SetClockDrift(int64_t drift_ppm);
  void CalmClock();
  int64_t WallMs() const;
  void JumpWallClock(int64_t by_ms) { wall_offset_ms_ += by_ms; }

  MemoryDisk& disk() { return disk_; }
  const MemoryDisk& disk() const { return disk_; }
  DiskFaults& disk_faults() { return disk_faults_; }
  SimProcess* process() const { return process_.get(); }
  bool is_up() const { return process_ != nullptr; }
  // One of the others is where it was at the start, or where the voter set here says. REQUIRES: up.
  bool KnowsSomebody() const;

  // Starts a process on the disk. REQUIRES: down.
  void Start();
  // Kills it at once, losing part of what was not synced. REQUIRES: up.
  void Crash();
  // Ends a process that has shut down in order.
  void FinishShutdown();
  DiskDamage& damage() { return damage_; }
  // The disk is thrown away and a new one put in, with a new directory id: another replica.
  void ReplaceDisk();
  // The machine is at another address from now on; nobody listens at the old one.
  void Move();

 private:
  void EndProcess();

  World& world_;
  raft::Voter replica_;
  LocalClock clock_;
  Random random_;
  MemoryDisk disk_;
  DiskFaults disk_faults_;
  DiskDamage damage_;
  int64_t wall_offset_ms_ = 0;
  int next_incarnation_ = 0;
  int moves_ = 0;
  std::map<NodeId, raft::PeerAddress> settings_;  // where all were at the last start
  std::unique_ptr<SimProcess> process_;
};

}  // namespace kvorum::sim
