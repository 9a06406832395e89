#include "tests/sim/nemesis.h"

#include <iterator>

#include "tests/sim/checkers/checks.h"
#include "tests/sim/sim_network.h"
#include "tests/sim/sim_process.h"

namespace kvorum::sim {
namespace {

using std::chrono::milliseconds;

constexpr Duration kReviveInterval = milliseconds(250);

}  // namespace

Nemesis::Nemesis(World& world, Brokers& brokers, Random random)
    : world_(world), brokers_(brokers), random_(random), intruder_(world, random_.Fork()) {
  const NemesisOptions& options = world.options.nemesis;
  const auto allow = [this](bool on, Action action, int weight) {
    actions_.insert(actions_.end(), on ? static_cast<size_t>(weight) : 0, action);
  };
  allow(options.crash, &Nemesis::CrashOne, 3);
  allow(options.crash_all, &Nemesis::CrashAll, 1);
  allow(options.shutdown, &Nemesis::ShutDownOne, 2);
  allow(options.pause, &Nemesis::PauseOne, 2);
  allow(options.partition, &Nemesis::Partition, 2);
  allow(options.one_way, &Nemesis::CutOneWay, 2);
  allow(options.partition || options.one_way, &Nemesis::Heal, 3);
  allow(options.slow_disk, &Nemesis::SlowDisk, 1);
  allow(options.storage_failure, &Nemesis::FailStorage, 1);
  allow(options.intruder, &Nemesis::StrikeAsIntruder, 6);
  allow(options.broker_crash, &Nemesis::StopBroker, 2);
  allow(options.broker_partition, &Nemesis::CutBroker, 1);
  allow(options.broker_partition, &Nemesis::Heal, 1);
  allow(options.stream_cut, &Nemesis::CutStream, 3);
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
    machine->disk_faults() = CalmDisk();
    if (machine->is_up() && machine->process()->storage().is_doomed()) {
      machine->Crash();
    } else if (machine->is_up()) {
      machine->process()->PauseUntil(world_.queue.now());
    }
  }
}

void Nemesis::ScheduleNext() {
  const Duration mean = world_.options.nemesis.mean_interval;
  world_.queue.After(DrawBetween(random_, {}, mean * 2), [this] {
    if (!is_stopped_) {
      Act();
      ScheduleNext();
    }
  });
}

void Nemesis::Act() {
  const Action action = actions_[random_.Below(actions_.size())];
  (this->*action)();
}

void Nemesis::Revive() {
  if (is_stopped_) {
    return;
  }
  for (const auto& [id, machine] : world_.controllers) {
    if (!machine->is_up() && random_.OneIn(1, 8)) {
      if (world_.options.nemesis.damage && random_.OneIn(1, 3)) {
        machine->TryDamage();
      }
      world_.log.Hit(Mark::kRestart);
      machine->JumpWallClock(random_.Between(-600'000, 600'000));
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
  if (SimProcess* process = DrawProcess()) {
    world_.log.Hit(Mark::kCleanShutdown);
    world_.log.Line("shut down {}", process->id());
    process->BeginShutdown();
  }
}

void Nemesis::PauseOne() {
  if (SimProcess* process = DrawProcess()) {
    const Duration length = milliseconds(LogUniform(random_, 50, 12'000));
    world_.log.Hit(Mark::kPause);
    world_.log.Line("pause {} for {} ms", process->id(), length / milliseconds(1));
    process->PauseUntil(world_.queue.now() + length);
  }
}

void Nemesis::CutBothWays(NodeId a, NodeId b) {
  world_.network->CutLink(a, b);
  world_.network->CutLink(b, a);
}

void Nemesis::Partition() {
  world_.network->HealLinks();
  world_.log.Hit(Mark::kPartition);
  // Side 0 and side 1 can't talk. A bridge stands on both sides and talks to everybody.
  const bool with_bridge = random_.OneIn(1, 3);
  std::map<NodeId, uint64_t> sides;
  for (const auto& [id, machine] : world_.controllers) {
    sides[id] = random_.Below(2);
  }
  const NodeId bridge = DrawMachine()->id();
  if (with_bridge) {
    world_.log.Hit(Mark::kBridgePartition);
  }
  for (const auto& [a, side_a] : sides) {
    for (const auto& [b, side_b] : sides) {
      const bool bridged = with_bridge && (a == bridge || b == bridge);
      if (a < b && side_a != side_b && !bridged) {
        world_.log.Line("partition {} | {}", a, b);
        CutBothWays(a, b);
      }
    }
  }
}

void Nemesis::CutOneWay() {
  const NodeId from = DrawMachine()->id();
  const NodeId to = DrawMachine()->id();
  world_.log.Hit(Mark::kOneWayLink);
  world_.log.Line("cut {} -> {}", from, to);
  world_.network->CutLink(from, to);
}

void Nemesis::Heal() {
  world_.log.Hit(Mark::kHeal);
  world_.log.Line("heal");
  world_.network->HealLinks();
  world_.cut_paths.clear();
}

void Nemesis::SlowDisk() {
  SimController* machine = DrawMachine();
  world_.log.Hit(Mark::kSlowDisk);
  machine->disk_faults() = world_.options.disk;
  if (random_.OneIn(1, 2)) {
    machine->disk_faults().max_delay += milliseconds(LogUniform(random_, 50, 3000));
    world_.log.Line("slow disk on {}", machine->id());
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

void Nemesis::StrikeAsIntruder() { intruder_.Strike(); }

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
}

void Nemesis::CutStream() { DrawBroker().CutStream(); }

}  // namespace kvorum::sim
