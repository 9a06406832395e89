#include "tests/sim/checkers/membership_checker.h"

#include <algorithm>

#include "server/base/check.h"
#include "server/node/control_codec.h"
#include "server/raft/raft_state.h"
#include "tests/sim/sim_process.h"

namespace kvorum::sim {
namespace {

// Replicas of `a` that are not in `b`.
int64_t CountMissing(const raft::VoterSet& a, const raft::VoterSet& b) {
  return std::count_if(a.voters().begin(), a.voters().end(),
                       [&b](const auto& entry) { return !b.Contains(entry.second.key); });
}

}  // namespace

void MembershipChecker::OnSubmit(const SimProcess& process, const StorageWrite& write) {
  if (write.truncate_to.has_value() &&
      process.storage().mirror().voter_sets().back().first >= *write.truncate_to) {
    world_.log.Hit(Mark::kVotersRolledBack);
  }
  if (!process.node().core().is_leader()) {
    return;
  }
  for (const RecordBatch& batch : write.append) {
    if (!batch.is_control) {
      continue;
    }
    if (const std::optional<raft::VoterSet> voters = DecodeVoterSet(*batch.payload)) {
      CheckChange(process, *voters);
      world_.atlas.OnAppended(batch.base_offset, *voters);
    }
  }
}

void MembershipChecker::CheckChange(const SimProcess& process, const raft::VoterSet& voters) const {
  const auto& [offset, before] = process.storage().mirror().voter_sets().back();
  if (voters == before) {
    return;  // the log's first, as it was formatted
  }
  const int64_t changed = CountMissing(voters, before) + CountMissing(before, voters);
  KVORUM_CHECK(changed <= 1 && !voters.empty(),
               "invariant 35 ReconfigOneStep: {} changes {} replicas at once, to {} voters",
               process.id(), changed, voters.size());
  const auto& leader = std::get<raft::Leader>(process.node().core().state().role);
  KVORUM_CHECK(
      leader.high_watermark.has_value(),
      "invariant 35 ReconfigOneStep: {} changes the voters before a record of its epoch is "
      "committed",
      process.id());
  KVORUM_CHECK(offset < *leader.high_watermark,
               "invariant 35 ReconfigOneStep: {} changes the voters while the set at {} is not "
               "committed (high watermark {})",
               process.id(), offset, *leader.high_watermark);
}

void MembershipChecker::OnTurn(const SimProcess& process) const {
  KVORUM_CHECK(process.node().core().voters() == process.storage().mirror().voters(),
               "invariant 35 ReconfigOneStep: the newest voter set in the log of {} has {} voters, "
               "and it counts with {} or with others",
               process.id(), process.storage().mirror().voters().size(),
               process.node().core().voters().size());
}

}  // namespace kvorum::sim
