#include "tests/sim/nemesis.h"

#include <iterator>
#include <map>

#include "tests/sim/checkers/checks.h"
#include "tests/sim/sim_network.h"
#include "tests/sim/sim_process.h"

namespace kvorum::sim {
namespace {

using std::chrono::milliseconds;

constexpr Duration kReviveInterval = milliseconds(250);
constexpr int64_t kMaxWeightFactor = 4;
// A clock may run at half or at twice the right speed.
constexpr int64_t kSlowestClockPpm = -500'000;
constexpr int64_t kFastestClockPpm = 1'000'000;
// A disk slower than this would still be busy long after the faults have ended.
constexpr Duration kEndlessDiskDelay = std::chrono::seconds(1);
constexpr Duration kStalledDiskDelay = std::chrono::hours(1);

uint64_t HashOf(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325ULL;  // FNV-1a
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  }
  return hash;
}

}  // namespace

const std::vector<Nemesis::Fault>& Nemesis::Faults() {
  static const std::vector<Fault> faults = {
      {"crash", 6, 2, &Nemesis::CrashOne},
      {"crash_all", 2, 2, &Nemesis::CrashAll},
      {"shutdown", 4, 2, &Nemesis::ShutDownOne},
      {"pause", 4, 2, &Nemesis::PauseOne},
      {"partition", 4, 2, &Nemesis::Partition},
      {"one_way", 4, 2, &Nemesis::CutOneWay},
      {"clog", 3, 2, &Nemesis::Clog},
      {"slow_disk", 3, 2, &Nemesis::SlowDisk},
      {"storage_failure", 2, 2, &Nemesis::FailStorage},
      {"stalled_disk", 1, 4, &Nemesis::StallDisk},
      {"stalled_reads", 4, 3, &Nemesis::StallReads},
      {"damage", 6, 2, &Nemesis::DamageDisk},
      {"rot", 3, 4, &Nemesis::RotSnapshot},
      {"snapshot", 3, 2, &Nemesis::TriggerSnapshot},
      {"clock_rate", 2, 2, &Nemesis::BendClock},
      {"wall_clock", 1, 2, &Nemesis::JumpWallClock},
      {"intruder", 12, 2, &Nemesis::StrikeAsIntruder},
      {"broker_stop", 4, 2, &Nemesis::StopBroker},
      {"broker_partition", 2, 2, &Nemesis::CutBroker},
      {"stream_cut", 6, 2, &Nemesis::CutStream},
      {"broker_twin", 4, 2, &Nemesis::StartTwin},
      {"odd_subscription", 2, 2, &Nemesis::SubscribeOddly},
  };
  return faults;
}

size_t Nemesis::DrawWeight(uint64_t seed, const Fault& fault) {
  Random random(seed ^ HashOf(fault.name));
  const auto factor = static_cast<size_t>(LogUniform(random, 1, kMaxWeightFactor));
  return random.OneIn(1, fault.one_seed_in) ? fault.weight * factor : 0;
}

std::string Nemesis::Describe(uint64_t seed) {
  std::string text;
  for (const Fault& fault : Faults()) {
    if (const size_t weight = DrawWeight(seed, fault); weight > 0) {
      text += fmt::format("{}{}:{}", text.empty() ? "" : ",", fault.name, weight);
    }
  }
  return text;
}

Nemesis::Nemesis(World& world, Brokers& brokers, Random random)
    : world_(world), brokers_(brokers), random_(random), intruder_(world, random_.Fork()) {
  for (const Fault& fault : Faults()) {
    actions_.insert(actions_.end(), DrawWeight(world.options.seed, fault), fault.action);
  }
}

void Nemesis::Start() {
  if (!actions_.empty()) {
    ScheduleNext();
    world_.queue.After(kReviveInterval, [this] { Revive(); });
  }
}

void Nemesis::Stop() {
  is_stopped_ = true;
  Heal();
  world_.network_faults = CalmNetwork();
  for (const auto& [id, machine] : world_.controllers) {
    const bool hangs = machine->disk_faults().max_delay > kEndlessDiskDelay;
    machine->disk_faults() = CalmDisk();
    EndReadStall(id);
    machine->damage().MendChunk();
    machine->CalmClock();
    if (machine->is_up() && (hangs || machine->process()->storage().is_doomed())) {
      machine->Crash();
    } else if (machine->is_up()) {
      machine->process()->PauseUntil(world_.queue.now());
    }
  }
}

void Nemesis::ScheduleNext() {
  world_.queue.After(DrawBetween(random_, {}, world_.options.nemesis_interval * 2), [this] {
    if (!is_stopped_) {
      (this->*actions_[random_.Below(actions_.size())])();
      ScheduleNext();
    }
  });
}

void Nemesis::Revive() {
  if (is_stopped_) {
    return;
  }
  for (const auto& [id, machine] : world_.controllers) {
    if (!machine->is_up() && random_.OneIn(1, 8)) {
      world_.log.Hit(Mark::kRestart);
      machine->Start();
    }
  }
  for (const auto& broker : brokers_) {
    if (!broker->is_up() && random_.OneIn(1, 8)) {
      world_.log.Hit(Mark::kBrokerRestart);
      broker->Start();
    }
  }
  world_.queue.After(kReviveInterval, [this] { Revive(); });
}

SimController* Nemesis::DrawMachine() {
  auto it = world_.controllers.begin();
  std::advance(it, static_cast<int64_t>(random_.Below(world_.controllers.size())));
  return it->second.get();
}

SimProcess* Nemesis::DrawProcess() {
  // Half of the time whoever leads: that is where things can go wrong.
  SimProcess* leader = world_.NewestLeader();
  SimProcess* process =
      leader != nullptr && random_.OneIn(1, 2) ? leader : DrawMachine()->process();
  return process == nullptr || process->has_failed() ? nullptr : process;
}

// --- processes ---

void Nemesis::CrashOne() {
  if (SimProcess* process = DrawProcess()) {
    world_.log.Hit(Mark::kCrash);
    process->machine().Crash();
  }
}

void Nemesis::CrashAll() {
  world_.log.Hit(Mark::kCrashAll);
  for (const auto& [id, machine] : world_.controllers) {
    if (machine->is_up()) {
      machine->Crash();
    }
  }
  world_.checks->Sweep();
}

void Nemesis::ShutDownOne() {
  SimProcess* process = DrawProcess();
  if (process != nullptr && process->machine().disk_faults().min_delay != kStalledDiskDelay) {
    world_.log.Hit(Mark::kCleanShutdown);
    world_.log.Line("shut down {}", process->id());
    process->BeginShutdown();
  }
}

void Nemesis::PauseOne() {
  if (SimProcess* process = DrawProcess()) {
    const Duration length = milliseconds(LogUniform(random_, 50, 24'000));
    world_.log.Hit(Mark::kPause);
    world_.log.Line("pause {} for {} ms", process->id(), length / milliseconds(1));
    process->PauseUntil(world_.queue.now() + length);
  }
}

// --- network ---

void Nemesis::CutBothWays(NodeId a, NodeId b) {
  world_.log.Line("partition {} | {}", a, b);
  world_.network->CutLink(a, b);
  world_.network->CutLink(b, a);
}

void Nemesis::Partition() {
  world_.log.Hit(Mark::kPartition);
  switch (random_.Below(4)) {
    case 0:
      Isolate();
      break;
    case 1:
      Ring();
      break;
    case 2:
      Split(/*with_bridge=*/true);
      break;
    default:
      Split(/*with_bridge=*/false);
      break;
  }
  HealLater();
}

// Two sides; with a bridge, one machine still reaches both.
void Nemesis::Split(bool with_bridge) {
  std::map<NodeId, bool> sides;
  for (const auto& [id, machine] : world_.controllers) {
    sides[id] = random_.OneIn(1, 2);
  }
  const NodeId bridge = DrawMachine()->id();
  if (with_bridge) {
    world_.log.Hit(Mark::kBridgePartition);
  }
  for (const auto& [a, side_a] : sides) {
    for (const auto& [b, side_b] : sides) {
      const bool bridged = with_bridge && (a == bridge || b == bridge);
      if (a < b && side_a != side_b && !bridged) {
        CutBothWays(a, b);
      }
    }
  }
}

// Everybody reaches two neighbours only.
void Nemesis::Ring() {
  std::vector<NodeId> ring;
  for (const auto& [id, machine] : world_.controllers) {
    ring.insert(ring.begin() + static_cast<int64_t>(random_.Below(ring.size() + 1)), id);
  }
  if (ring.size() > 3) {
    world_.log.Hit(Mark::kRingPartition);
  }
  for (size_t a = 0; a < ring.size(); ++a) {
    for (size_t b = a + 2; b < ring.size(); ++b) {
      if (a != 0 || b != ring.size() - 1) {
        CutBothWays(ring[a], ring[b]);
      }
    }
  }
}

void Nemesis::Isolate() {
  const SimProcess* process = DrawProcess();
  const NodeId lonely = process == nullptr ? DrawMachine()->id() : process->id().node;
  for (const auto& [id, machine] : world_.controllers) {
    if (id != lonely) {
      CutBothWays(lonely, id);
    }
  }
}

void Nemesis::CutOneWay() {
  const NodeId from = DrawMachine()->id();
  const NodeId to = DrawMachine()->id();
  world_.log.Hit(Mark::kOneWayLink);
  world_.log.Line("cut {} -> {}", from, to);
  world_.network->CutLink(from, to);
  HealLater();
}

void Nemesis::Clog() {
  const NodeId from = DrawMachine()->id();
  const NodeId to = DrawMachine()->id();
  const Duration length = milliseconds(LogUniform(random_, 50, 5000));
  world_.log.Hit(Mark::kCloggedLink);
  world_.log.Line("clog {} -> {} for {} ms", from, to, length / milliseconds(1));
  world_.network->ClogLink(from, to, world_.queue.now() + length);
}

void Nemesis::HealLater() {
  world_.queue.After(milliseconds(LogUniform(random_, 100, 20'000)), [this] {
    if (!is_stopped_) {
      Heal();
    }
  });
}

void Nemesis::Heal() {
  world_.log.Hit(Mark::kHeal);
  world_.log.Line("heal");
  world_.network->HealLinks();
  world_.cut_paths.clear();
}

void Nemesis::StrikeAsIntruder() { intruder_.Strike(); }

// --- disks and clocks ---

// From a little slower than usual to one that seems to hang.
void Nemesis::SlowDisk() {
  SimController* machine = DrawMachine();
  if (machine->disk_faults().min_delay == kStalledDiskDelay) {
    return;  // slower than that it can't be
  }
  world_.log.Hit(Mark::kSlowDisk);
  machine->disk_faults() = world_.options.disk;
  if (random_.OneIn(1, 2)) {
    machine->disk_faults().max_delay += milliseconds(LogUniform(random_, 50, 10'000));
    if (machine->disk_faults().max_delay > kEndlessDiskDelay) {
      world_.log.Hit(Mark::kHangingDisk);
    }
    world_.log.Line("slow disk on {}", machine->id());
  }
}

// It answers nothing any more, until the machine is started anew.
void Nemesis::StallDisk() {
  SimController* machine = DrawMachine();
  if (machine->is_up() && machine->process()->is_shutting_down()) {
    return;  // it could not end in order
  }
  world_.log.Hit(Mark::kStalledDisk);
  world_.log.Line("the disk of {} stalls", machine->id());
  machine->disk_faults() = {.min_delay = kStalledDiskDelay, .max_delay = kStalledDiskDelay};
}

// Whoever starts meanwhile loads its snapshot for so long that the leader may send it a newer one.
void Nemesis::StallReads() {
  SimController* machine = DrawMachine();
  if (machine->is_up() && machine->process()->is_shutting_down()) {
    return;
  }
  world_.log.Hit(Mark::kStalledReads);
  world_.log.Line("reads of {} stall", machine->id());
  machine->disk_faults().reads_stall = true;
  if (machine->is_up() && random_.OneIn(1, 2)) {
    machine->Crash();
  }
  world_.queue.After(milliseconds(LogUniform(random_, 200, 20'000)),
                     [this, id = machine->id()] { EndReadStall(id); });
}

void Nemesis::EndReadStall(NodeId id) {
  SimController& machine = *world_.controllers.at(id);
  machine.disk_faults().reads_stall = false;
  if (machine.is_up()) {
    machine.process()->storage().GoOnReading();
  }
}

void Nemesis::FailStorage() {
  if (SimProcess* process = DrawProcess()) {
    if (random_.OneIn(2, 3)) {
      world_.log.Hit(Mark::kWriteFailed);
      process->storage().FailNextWrite();
    } else {
      process->storage().FailNextRead();
    }
  }
}

void Nemesis::DamageDisk() {
  for (const auto& [id, machine] : world_.controllers) {
    if (!machine->is_up()) {
      machine->damage().Strike();
    }
  }
}

// Of the leader's more often: it is the one that is asked for it.
void Nemesis::RotSnapshot() {
  SimProcess* leader = world_.NewestLeader();
  SimController& machine =
      leader != nullptr && random_.OneIn(2, 3) ? leader->machine() : *DrawMachine();
  machine.damage().StrikeChunk();
}

void Nemesis::TriggerSnapshot() {
  SimProcess* process = DrawMachine()->process();
  if (process == nullptr || process->has_failed()) {
    return;
  }
  world_.log.Hit(Mark::kSnapshotTriggered);
  world_.log.Line("trigger a snapshot on {}", process->id());
  v1::TriggerSnapshotRequest request;
  request.set_cluster_id(world_.options.cluster_id);
  auto done = process->Once<v1::TriggerSnapshotResponse>(
      [](const absl::StatusOr<v1::TriggerSnapshotResponse>&) {});
  process->Post([process, request, done = std::move(done)](Now now) {
    process->node().HandleTriggerSnapshot(now, request, done);
  });
}

void Nemesis::BendClock() {
  SimController* machine = DrawMachine();
  if (random_.OneIn(1, 3)) {
    machine->CalmClock();
    return;
  }
  const int64_t ppm = random_.OneIn(1, 2) ? -LogUniform(random_, 1000, -kSlowestClockPpm)
                                          : LogUniform(random_, 1000, kFastestClockPpm);
  world_.log.Hit(Mark::kClockRate);
  world_.log.Line("clock of {} is {} ppm fast", machine->id(), ppm);
  machine->SetClockDrift(ppm);
}

void Nemesis::JumpWallClock() {
  world_.log.Hit(Mark::kWallClockJump);
  DrawMachine()->JumpWallClock(random_.Between(-3'600'000, 3'600'000));
}

// --- brokers ---

void Nemesis::StopBroker() {
  SimBroker& broker = DrawBroker();
  if (!broker.is_up()) {
    return;
  }
  if (random_.OneIn(1, 3)) {
    broker.Leave();
  } else {
    world_.log.Hit(Mark::kBrokerCrash);
    broker.Crash();
  }
}

void Nemesis::StartTwin() { DrawBroker().StartTwin(); }

void Nemesis::CutBroker() {
  const int actor = random_.OneIn(2, 3)
                        ? DrawBroker().id()
                        : kFirstClientActor + static_cast<int>(random_.Below(static_cast<uint64_t>(
                                                  world_.options.workload.clients)));
  const bool all = random_.OneIn(1, 2);
  for (const auto& [id, machine] : world_.controllers) {
    if (all || random_.OneIn(1, 2)) {
      world_.log.Line("cut path {} - {}", actor, id);
      world_.cut_paths.insert({actor, id});
    }
  }
  HealLater();
}

void Nemesis::CutStream() { DrawBroker().CutStream(); }

void Nemesis::SubscribeOddly() {
  odd_subscribers_.push_back(std::make_unique<OddSubscriber>(world_, random_.Fork()));
  odd_subscribers_.back()->Subscribe(DrawMachine()->id());
}

}  // namespace kvorum::sim
