#include "tests/sim/sim_controller.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "server/base/check.h"
#include "storage/memory/memory_storage.h"
#include "tests/sim/checkers/checks.h"
#include "tests/sim/sim_process.h"

namespace kvorum::sim {
namespace {

constexpr int64_t kMillion = 1'000'000;
constexpr uint16_t kClientPort = 7400;
constexpr int64_t kWallStartMs = 1'700'000'000'000;

}  // namespace

void LocalClock::SetDrift(TimePoint now, int64_t drift_ppm) {
  local_base_ = ToLocal(now);
  real_base_ = now;
  drift_ppm_ = drift_ppm;
}

TimePoint LocalClock::ToLocal(TimePoint real) const {
  const int64_t ns = (real - real_base_).count();
  return local_base_ +
         Duration(ns + ns / kMillion * drift_ppm_ + ns % kMillion * drift_ppm_ / kMillion);
}

TimePoint LocalClock::ToReal(TimePoint local) const {
  const int64_t ns = (local - local_base_).count();
  const int64_t rate = kMillion + drift_ppm_;
  TimePoint real = real_base_ + Duration(ns / rate * kMillion + ns % rate * kMillion / rate);
  while (ToLocal(real) < local) {
    real += Duration(1);
  }
  return real;
}

SimController::SimController(World& world, raft::Voter replica, int64_t drift_ppm, Random random)
    : world_(world),
      replica_(std::move(replica)),
      clock_(drift_ppm),
      random_(random),
      disk_(world.options.cluster_id),
      disk_faults_(world.options.disk),
      damage_(world, id(), disk_, random_.Fork()) {
  wall_offset_ms_ = random_.Between(-3'600'000, 3'600'000);
}

SimController::~SimController() = default;

std::string SimController::client_endpoint() const {
  return fmt::format("c{}:{}", id(), kClientPort);
}

std::optional<NodeId> SimController::ParseClientEndpoint(const std::string& endpoint) {
  int32_t id = 0;
  if (endpoint.empty() || endpoint.front() != 'c' ||
      std::from_chars(endpoint.data() + 1, endpoint.data() + endpoint.size(), id).ec !=
          std::errc()) {
    return std::nullopt;
  }
  return NodeId(id);
}

int64_t SimController::WallMs() const {
  return kWallStartMs + wall_offset_ms_ +
         std::chrono::duration_cast<std::chrono::milliseconds>(
             world_.queue.now().time_since_epoch())
             .count();
}

void SimController::SetClockDrift(int64_t drift_ppm) {
  clock_.SetDrift(world_.queue.now(), drift_ppm);
  if (process_ != nullptr) {
    process_->ScheduleTurn();  // whatever it waits for is due at another instant now
  }
}

void SimController::CalmClock() {
  clock_.Calm(world_.queue.now());
  if (process_ != nullptr) {
    process_->ScheduleTurn();
  }
}

void SimController::Start() {
  KVORUM_CHECK(process_ == nullptr, "controller {} is up", id());
  const ProcessId pid{.node = id(), .incarnation = next_incarnation_++};
  world_.log.Line("start {}", pid);
  if (disk_faults_.min_delay > world_.options.disk.max_delay) {
    disk_faults_ = world_.options.disk;  // it had stalled
  }
  absl::StatusOr<RecoveredState> recovered = MemoryStorage(disk_).Recover();
  KVORUM_CHECK(recovered.ok(), "sound disk of {} is refused: {}", pid,
               recovered.status().ToString());
  world_.checks->OnStart(*this, pid);
  settings_.clear();
  for (const auto& [id, other] : world_.controllers) {
    settings_[id] = other->address();
  }
  process_ = std::make_unique<SimProcess>(world_, *this, pid, *recovered, random_.Fork());
  process_->ScheduleTurn();
}

bool SimController::KnowsSomebody() const {
  const auto is_there = [this](NodeId other, const raft::PeerAddress& address) {
    const auto it = world_.controllers.find(other);
    return other != id() && it != world_.controllers.end() && it->second->address() == address;
  };
  const auto& voters = process_->node().core().voters().voters();
  return std::any_of(settings_.begin(), settings_.end(),
                     [&](const auto& entry) { return is_there(entry.first, entry.second); }) ||
         std::any_of(voters.begin(), voters.end(), [&](const auto& entry) {
           return is_there(entry.first, entry.second.address);
         });
}

void SimController::EndProcess() {
  if (process_->has_failed()) {
    damage_.MendChunk();  // if that was why
  }
  process_->Die();
  process_.reset();
  world_.checks->OnCrash(*this);
}

void SimController::Crash() {
  KVORUM_CHECK(process_ != nullptr, "controller {} is down", id());
  world_.log.Line("crash {}", process_->id());
  process_->storage().Crash();
  EndProcess();
}

void SimController::ReplaceDisk() {
  if (is_up()) {
    Crash();
  }
  world_.log.Line("new disk for {}", replica_.key);
  world_.atlas.OnReplaced(replica_.key, id(), disk_);
  replica_.key.directory_id = Uuid::FromRandom(random_);
  disk_ = MemoryDisk(world_.options.cluster_id);
  damage_.Reset();
  world_.checks->OnDiskReplaced(id());
}

void SimController::Move() {
  if (is_up()) {
    Crash();
  }
  replica_.address.host = fmt::format("c{}-{}", id(), ++moves_);
  world_.log.Line("{} moves to {}", replica_.key, replica_.address.host);
}

void SimController::FinishShutdown() {
  world_.log.Line("exit {}", process_->id());
  process_->CheckNothingUnanswered();
  process_->storage().CompleteEverything();
  EndProcess();
}

}  // namespace kvorum::sim
