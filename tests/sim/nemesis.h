#pragma once

#include <memory>
#include <vector>

#include "server/base/random.h"
#include "tests/sim/intruder.h"
#include "tests/sim/sim_broker.h"
#include "tests/sim/world.h"

namespace kvorum::sim {

// Breaks things: draws one of the actions its options allow, again and again, and brings the dead
// back some time later. Owned by the simulation.
class Nemesis {
 public:
  using Brokers = std::vector<std::unique_ptr<SimBroker>>;

  Nemesis(World& world, Brokers& brokers, Random random);

  void Start();
  // No more faults, and those under way end: links, disks and clocks are sound. The dead stay dead.
  void Stop();

 private:
  using Action = void (Nemesis::*)();

  void ScheduleNext();
  void Act();
  void Revive();

  void CrashOne();
  void CrashAll();
  void ShutDownOne();
  void PauseOne();
  void Partition();
  void CutOneWay();
  void Heal();
  void SlowDisk();
  void FailStorage();
  void StrikeAsIntruder();
  void StopBroker();
  void CutBroker();
  void CutStream();

  SimController* DrawMachine();
  SimProcess* DrawProcess();
  SimBroker& DrawBroker() { return *brokers_[random_.Below(brokers_.size())]; }
  void CutBothWays(NodeId a, NodeId b);

  World& world_;
  Brokers& brokers_;
  Random random_;
  Intruder intruder_;
  std::vector<Action> actions_;
  bool is_stopped_ = false;
};

}  // namespace kvorum::sim
