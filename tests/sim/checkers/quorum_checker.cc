#include "tests/sim/checkers/quorum_checker.h"

#include <algorithm>

#include "server/base/check.h"
#include "server/raft/raft_state.h"
#include "tests/sim/sim_process.h"

namespace kvorum::sim {

void QuorumChecker::OnRequestHandled(const SimProcess& process, const raft::RaftRequest& request) {
  heard_[{process.id(), raft::HeaderOf(request).sender}] = process.LocalNow().now;
}

void QuorumChecker::OnTurn(const SimProcess& process) {
  const raft::RaftCore& core = process.node().core();
  if (!core.is_leader()) {
    leads_since_.erase(process.id().node);
    return;
  }
  const TimePoint now = process.LocalNow().now;
  auto& since = leads_since_[process.id().node];
  if (since.first != core.epoch()) {
    since = {core.epoch(), now};
  }
  const Duration limit = world_.options.fetch_timeout * 3 / 2;
  size_t recent = 0;
  for (const auto& [id, voter] : core.voters().voters()) {
    const auto heard = heard_.find({process.id(), voter.key});
    const TimePoint last =
        heard == heard_.end() ? since.second : std::max(heard->second, since.second);
    const bool is_self = voter.key == core.state().config.self;
    recent += is_self || now - last <= limit ? 1 : 0;
  }
  KVORUM_CHECK(recent >= core.voters().majority(),
               "invariant 42 CheckQuorum: {} leads epoch {} and has heard {} of {} voters lately",
               process.id(), core.epoch(), recent, core.voters().size());
}

}  // namespace kvorum::sim
