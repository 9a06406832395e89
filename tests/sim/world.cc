#include "tests/sim/world.h"

#include "tests/sim/sim_controller.h"
#include "tests/sim/sim_process.h"

namespace kvorum::sim {

World::World(SimOptions drawn)
    : options(std::move(drawn)),
      log(queue, options.print_events),
      ghost(options.cluster_id),
      atlas(*this),
      network_faults(options.network) {}

World::~World() = default;

SimProcess* World::FindProcess(const ProcessId& id) {
  SimProcess* process = RunningOn(id.node);
  return process != nullptr && process->id() == id ? process : nullptr;
}

SimProcess* World::RunningOn(NodeId node) {
  const auto it = controllers.find(node);
  return it == controllers.end() ? nullptr : it->second->process();
}

const raft::VoterSet& World::CommittedVoters() const {
  const auto& sets = ghost.voter_sets();
  return sets.empty() ? bootstrap_voters : sets.rbegin()->second;
}

bool World::IsVoter(NodeId node) const {
  return CommittedVoters().Contains(controllers.at(node)->key());
}

SimProcess* World::NewestLeader() {
  SimProcess* newest = nullptr;
  for (const auto& [node, controller] : controllers) {
    SimProcess* process = controller->process();
    if (process != nullptr && process->node().core().is_leader() &&
        (newest == nullptr || process->node().core().epoch() > newest->node().core().epoch())) {
      newest = process;
    }
  }
  return newest;
}

}  // namespace kvorum::sim
