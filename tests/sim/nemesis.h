#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/base/random.h"
#include "tests/sim/intruder.h"
#include "tests/sim/odd_subscriber.h"
#include "tests/sim/sim_broker.h"
#include "tests/sim/world.h"

namespace kvorum::sim {

// Breaks things: each seed draws which kinds of faults there are and how often each comes ("swarm
// testing": some bugs show only when other faults are rare), then one comes after the other, and
// the dead are brought back some time later. A new kind is a row of kFaults in nemesis.cc. Owned by
// the simulation.
class Nemesis {
 public:
  using Brokers = std::vector<std::unique_ptr<SimBroker>>;

  Nemesis(World& world, Brokers& brokers, Random random);

  void Start();
  // No more faults, and those under way end: links, disks and clocks are sound. The dead stay dead.
  void Stop();

  // The kinds of faults `seed` draws.
  static std::string Describe(uint64_t seed);

 private:
  using Action = void (Nemesis::*)();
  struct Fault {
    std::string_view name;
    uint32_t weight;       // among the others, before the seed's own factor
    uint32_t one_seed_in;  // has it
    Action action;
  };
  static const std::vector<Fault>& Faults();
  // How often `fault` comes in the runs of `seed`; 0: never. Independent of all other rows.
  static size_t DrawWeight(uint64_t seed, const Fault& fault);

  void ScheduleNext();
  void Revive();

  void CrashOne();
  void CrashAll();
  void ShutDownOne();
  void PauseOne();
  void Partition();
  void CutOneWay();
  void Clog();
  void SlowDisk();
  void FailStorage();
  void StallDisk();
  void StallReads();
  void DamageDisk();
  void RotSnapshot();
  void TriggerSnapshot();
  void BendClock();
  void JumpWallClock();
  void StrikeAsIntruder();
  void StopBroker();
  void CutBroker();
  void CutStream();
  void StartTwin();
  void SubscribeOddly();

  void EndReadStall(NodeId id);
  void Heal();
  void HealLater();
  SimController* DrawMachine();
  SimProcess* DrawProcess();
  SimBroker& DrawBroker() { return *brokers_[random_.Below(brokers_.size())]; }
  void CutBothWays(NodeId a, NodeId b);
  void Split(bool with_bridge);
  void Ring();
  void Isolate();

  World& world_;
  Brokers& brokers_;
  Random random_;
  Intruder intruder_;
  std::vector<std::unique_ptr<OddSubscriber>> odd_subscribers_;
  std::vector<Action> actions_;  // each as often as it weighs
  bool is_stopped_ = false;
};

}  // namespace kvorum::sim
