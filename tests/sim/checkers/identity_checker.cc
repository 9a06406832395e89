#include "tests/sim/checkers/identity_checker.h"

#include "server/base/check.h"
#include "tests/sim/sim_process.h"

namespace kvorum::sim {

void IdentityChecker::Before(const SimProcess& process) {
  before_ = process.node().core().Describe();
}

void IdentityChecker::After(const SimProcess& process, const raft::RaftRequest& request) {
  const raft::RaftDescription after = process.node().core().Describe();
  const raft::RaftDescription& before = *before_;
  KVORUM_CHECK(
      before.epoch == after.epoch && before.role == after.role &&
          before.leader_id == after.leader_id && before.voted_key == after.voted_key &&
          before.log_end == after.log_end && before.voters == after.voters &&
          before.high_watermark == after.high_watermark,
      "invariant 37 Identity: {} changed by a foreign message of kind {} from {} to {}: epoch {} "
      "{}, role {} {}",
      process.id(), request.index(), raft::HeaderOf(request).sender.node_id,
      raft::HeaderOf(request).receiver.node_id, before.epoch, after.epoch,
      static_cast<int>(before.role), static_cast<int>(after.role));
}

}  // namespace kvorum::sim
