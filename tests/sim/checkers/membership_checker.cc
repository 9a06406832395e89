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

// Appended as leader. It may have resigned since, in the same turn.
bool IsOwn(const SimProcess& process, const RecordBatch& batch) {
  const raft::RaftCore& core = process.node().core();
  return batch.epoch == core.epoch() &&
         (core.is_leader() || core.Describe().role == raft::Role::kResigned);
}

}  // namespace

void MembershipChecker::OnSubmit(const SimProcess& process, const StorageWrite& write) {
  if (write.truncate_to.has_value() &&
      process.storage().mirror().voter_sets().back().first >= *write.truncate_to) {
    world_.log.Hit(Mark::kVotersRolledBack);
  }
  for (const RecordBatch& batch : write.append) {
    if (!batch.is_control || !IsOwn(process, batch)) {
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
  if (changed == 0) {
    // Who votes stays the same: a new leader may say at once where it is.
    world_.log.Hit(Mark::kVoterAddressChanged);
    return;
  }
  KVORUM_CHECK(changed <= 1 && !voters.empty(),
               "invariant 35 ReconfigOneStep: {} changes {} replicas at once, to {} voters",
               process.id(), changed, voters.size());
  const raft::RaftCore& core = process.node().core();
  const Offset high_watermark = core.high_watermark().value_or(Offset(0));
  const std::optional<BatchEnd> committed = process.storage().mirror().EndAt(high_watermark);
  KVORUM_CHECK(committed.has_value() && committed->epoch == core.epoch(),
               "invariant 35 ReconfigOneStep: {} changes the voters before a record of its epoch "
               "is committed (high watermark {})",
               process.id(), high_watermark);
  KVORUM_CHECK(offset < high_watermark,
               "invariant 35 ReconfigOneStep: {} changes the voters while the set at {} is not "
               "committed (high watermark {})",
               process.id(), offset, high_watermark);
}

void MembershipChecker::OnAnswered(const SimProcess& process,
                                   const absl::StatusOr<QuorumReply>& reply) const {
  if (!reply.ok()) {
    return;
  }
  const v1::QuorumView& view =
      std::visit([](const auto& r) -> const v1::QuorumView& { return r.quorum(); }, *reply);
  const auto& sets = world_.ghost.voter_sets();
  const bool is_committed = std::any_of(sets.begin(), sets.end(), [&](const auto& entry) {
    return static_cast<int>(entry.second.size()) == view.voters_size() &&
           std::all_of(view.voters().begin(), view.voters().end(), [&](const v1::QuorumVoter& v) {
             const raft::Voter* voter = entry.second.Find(NodeId(v.node_id()));
             return voter != nullptr && voter->key.directory_id.ToString() == v.directory_id() &&
                    voter->address.host == v.controller_endpoint().host() &&
                    voter->address.port == v.controller_endpoint().port();
           });
  });
  KVORUM_CHECK(is_committed || std::holds_alternative<v1::TransferLeadershipResponse>(*reply),
               "invariant 23 AckDurable: {} says that {} voters are the quorum, which is not "
               "committed",
               process.id(), view.voters_size());
}

void MembershipChecker::OnTurn(const SimProcess& process) const {
  KVORUM_CHECK(process.node().core().voters() == process.storage().mirror().voters(),
               "invariant 35 ReconfigOneStep: the newest voter set in the log of {} has {} voters, "
               "and it counts with {} or with others",
               process.id(), process.storage().mirror().voters().size(),
               process.node().core().voters().size());
}

}  // namespace kvorum::sim
