#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "server/base/ids.h"
#include "server/raft/voter_set.h"
#include "tests/sim/checkers/ghost_log.h"
#include "tests/sim/event_log.h"
#include "tests/sim/event_queue.h"
#include "tests/sim/fault_atlas.h"
#include "tests/sim/options.h"

namespace kvorum::sim {

class Checks;
class SimController;
class SimNetwork;
class SimProcess;

// One incarnation of a controller: a restart makes another.
struct ProcessId {
  NodeId node;
  int incarnation = 0;

  friend constexpr auto operator<=>(const ProcessId&, const ProcessId&) = default;
};

// Whoever calls controllers from outside: brokers have their ids, clients those from here on.
inline constexpr int kFirstClientActor = 1000;

// What all parts of the simulated world share. Owned by Simulation, which fills it in; one thread.
// Events hold ids, never pointers, of what may have died when they run.
struct World {
  explicit World(SimOptions drawn);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  SimOptions options;
  EventQueue queue;
  EventLog log;
  GhostLog ghost;
  FaultAtlas atlas;
  raft::VoterSet bootstrap_voters;
  uint64_t generation = 1;
  uint64_t streams_opened = 0;
  std::map<NodeId, std::unique_ptr<SimController>> controllers;
  // Ghost state: how far each broker ever was, whatever it has told.
  std::map<int32_t, Offset> applied_by_broker;
  // And what each has said that it could not apply.
  std::map<int32_t, std::set<Offset>> rejected_by_broker;
  SimNetwork* network = nullptr;
  Checks* checks = nullptr;

  NetworkFaults network_faults;
  // Client-side paths that carry nothing at the moment: (actor, controller).
  std::set<std::pair<int, NodeId>> cut_paths;

  // nullptr: this incarnation is gone.
  SimProcess* FindProcess(const ProcessId& id);
  // The process that runs on `node` now, if any.
  SimProcess* RunningOn(NodeId node);
  // The voter set that is committed; and whether the disk in machine `node` belongs to it.
  const raft::VoterSet& CommittedVoters() const;
  bool IsVoter(NodeId node) const;
  bool IsCut(int actor, NodeId node) const { return cut_paths.contains({actor, node}); }
  // The leader with the highest epoch, if one thinks it leads.
  SimProcess* NewestLeader();
};

}  // namespace kvorum::sim

template <>
struct fmt::formatter<kvorum::sim::ProcessId> : fmt::formatter<std::string> {
  template <typename Context>
  auto format(const kvorum::sim::ProcessId& id, Context& context) const {
    return fmt::formatter<std::string>::format(fmt::format("{}.{}", id.node, id.incarnation),
                                               context);
  }
};
