#include "server/raft/raft_state.h"

#include <algorithm>
#include <utility>

#include "server/base/check.h"
#include "server/base/mutants.h"
#include "server/base/overloaded.h"

namespace kvorum::raft {
namespace {

void CheckConfig(const RaftConfig& config) {
  KVORUM_CHECK(config.election_timeout > Duration::zero(), "election timeout is zero");
  KVORUM_CHECK(config.fetch_max_wait < config.fetch_timeout / 2,
               "fetch max wait {} ns must be below half the fetch timeout {} ns",
               config.fetch_max_wait.count(), config.fetch_timeout.count());
  KVORUM_CHECK(config.retry_backoff > Duration::zero(), "retry back-off is zero");
  KVORUM_CHECK(config.fetch_max_bytes > 0, "fetch max bytes is zero");
  KVORUM_CHECK(config.encode_control != nullptr, "no control encoder");
  KVORUM_CHECK(config.encode_voters != nullptr, "no voters encoder");
  KVORUM_CHECK(config.decode_control != nullptr, "no control decoder");
}

// The voter set of the snapshot the log begins with; those in the log follow it.
void RecoverSnapshots(RaftState& state, const RecoveredState& recovered) {
  for (const SnapshotManifest& snapshot : recovered.snapshots) {
    if (snapshot.id.offset < state.log.start()) {
      // A crash came between the move of the log start and the end of what lay below.
      state.effects.delete_snapshots.push_back(snapshot.id);
      continue;
    }
    state.snapshots.push_back(snapshot);
    if (snapshot.id.offset == state.log.start() && !snapshot.voters.empty()) {
      state.voters.ResetTo(snapshot.id.offset, state.config.decode_control(snapshot.voters));
    }
  }
  if (!state.snapshots.empty() && IsUpToDate(state.log.end_position(), state.snapshots.back().id)) {
    // Only what is committed is ever in a snapshot.
    state.high_watermark = state.snapshots.back().id.offset;
  }
}

}  // namespace

size_t ElectionTally::granted() const {
  return static_cast<size_t>(std::count_if(answers.begin(), answers.end(),
                                           [](const auto& answer) { return answer.second; }));
}

bool ElectionTally::is_lost(const VoterSet& voters) const {
  const size_t missing = voters.size() - answers.size();
  return granted() + missing < voters.majority();
}

RaftState::RaftState(RaftConfig raft_config, const RecoveredState& recovered, Random seeded,
                     TimePoint start)
    : config(std::move(raft_config)),
      random(seeded),
      now{.now = start, .wall_ms = 0},
      epoch(recovered.quorum_state.epoch),
      voted_key(recovered.quorum_state.voted_key),
      log(recovered, GenesisChainHash(config.cluster_id)),
      voters(config.bootstrap_voters),
      is_quarantined(recovered.quarantine.has_value() && !KVORUM_MUTANT(QuarantineForgotten)),
      submitted(recovered.quorum_state) {
  CheckConfig(config);
  // Storage refuses such a directory (consensus.md §1.3 rule 2): the votes were lost.
  KVORUM_CHECK(epoch >= log.last_epoch(), "persisted epoch {} below the log's {}", epoch,
               log.last_epoch());
  RecoverSnapshots(*this, recovered);
  for (const RecordBatch& batch : recovered.control_batches) {
    if (std::optional<VoterSet> set = config.decode_control(*batch.payload)) {
      voters.Append(batch.base_offset, *std::move(set));
    }
  }
}

Role RoleOf(const RaftState& state) {
  return std::visit(Overloaded{[](const Unattached&) { return Role::kUnattached; },
                               [](const Follower&) { return Role::kFollower; },
                               [](const Prospective&) { return Role::kProspective; },
                               [](const Candidate&) { return Role::kCandidate; },
                               [](const Leader&) { return Role::kLeader; },
                               [](const Resigned&) { return Role::kResigned; }},
                    state.role);
}

std::optional<NodeId> LeaderOfEpoch(const RaftState& state) {
  using Id = std::optional<NodeId>;
  const NodeId self = state.config.self.node_id;
  return std::visit(
      Overloaded{[](const Unattached& role) { return role.leader_id; },
                 [](const Follower& role) { return Id(role.leader_id()); },
                 [](const Prospective& role) { return role.leader_id; },
                 [](const Candidate&) { return Id(); }, [&](const Leader&) { return Id(self); },
                 [&](const Resigned&) { return Id(self); }},
      state.role);
}

std::optional<NodeId> KnownLeader(const RaftState& state) {
  return std::holds_alternative<Resigned>(state.role) ? std::nullopt : LeaderOfEpoch(state);
}

std::optional<PeerAddress> OwnAddress(const RaftState& state) {
  if (state.config.advertised_address.has_value()) {
    return state.config.advertised_address;
  }
  if (IsVoter(state)) {
    return Voters(state).Find(state.config.self.node_id)->address;
  }
  if (const auto* leader = std::get_if<Leader>(&state.role)) {
    return leader->address;
  }
  return IsLeaving(state)
             ? std::optional(state.voters.former()->Find(state.config.self.node_id)->address)
             : std::nullopt;
}

bool IsVoter(const RaftState& state) { return Voters(state).Contains(state.config.self); }

bool IsLeaving(const RaftState& state) {
  const VoterSet* former = state.voters.former();
  return !IsVoter(state) && former != nullptr && former->Contains(state.config.self) &&
         state.voters.newest_offset() >= state.high_watermark && !KVORUM_MUTANT(LeavingIsMute);
}

bool MayElect(const RaftState& state) {
  return (IsVoter(state) || IsLeaving(state)) && !state.is_quarantined;
}

const VoterSet& Voters(const RaftState& state) { return state.voters.newest(); }

bool IsShuttingDown(const RaftState& state) { return state.shutdown_deadline.has_value(); }

bool IsShutDown(const RaftState& state) {
  if (!IsShuttingDown(state)) {
    return false;
  }
  if (state.now.now >= *state.shutdown_deadline) {
    return true;
  }
  const auto* resigned = std::get_if<Resigned>(&state.role);
  const bool is_handing_over = resigned != nullptr && !resigned->unacked.empty();
  return !is_handing_over && !state.pending_writes.has_held_messages();
}

TimePoint DrawElectionDeadline(RaftState& state) {
  const Duration timeout = state.config.election_timeout;
  const auto extra = state.random.Below(static_cast<uint64_t>(timeout.count()));
  return state.now.now + timeout + Duration(extra);
}

Duration CampaignDelay(const RaftState& state, NodeId leader_id) {
  int64_t rank = 0;
  for (const auto& [id, voter] : Voters(state).voters()) {
    if (id < state.config.self.node_id && id != leader_id) {
      ++rank;
    }
  }
  return rank * kCampaignStagger;
}

TimePoint NextFetchDeadline(const RaftState& state, NodeId leader_id) {
  return state.now.now + state.config.fetch_timeout + CampaignDelay(state, leader_id);
}

Duration BackoffAfter(const RaftConfig& config, uint32_t failures) {
  const uint32_t doublings = std::min(failures > 0 ? failures - 1 : 0, kMaxBackoffDoublings);
  return config.retry_backoff * (1 << doublings);
}

}  // namespace kvorum::raft
