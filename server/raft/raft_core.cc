#include "server/raft/raft_core.h"

#include <algorithm>
#include <utility>

#include "server/base/check.h"
#include "server/base/mutants.h"
#include "server/base/overloaded.h"
#include "server/raft/dispatch.h"
#include "server/raft/election.h"
#include "server/raft/fetching.h"
#include "server/raft/invariants.h"
#include "server/raft/leadership.h"
#include "server/raft/membership.h"
#include "server/raft/raft_state.h"
#include "server/raft/reads.h"
#include "server/raft/snapshots.h"
#include "server/raft/transfer.h"
#include "server/raft/transitions.h"

namespace kvorum::raft {
namespace {

// More role changes than one moment can bring: a single voter passes through four.
constexpr int kMaxPollsPerStep = 8;

void OnWriteDone(RaftState& state, WriteId id) {
  if (const std::optional<Offset> durable_end = state.pending_writes.Complete(id)) {
    state.log.SetDurableEnd(KVORUM_MUTANT(R11) ? state.log.end() : *durable_end);
  }
  state.pending_writes.Release(state.effects);
  ReleaseDoomedSnapshots(state);
  MaybeEndQuarantine(state);
  if (std::holds_alternative<Leader>(state.role)) {
    MaybeAdvanceHighWatermark(state);
  }
}

void Handle(RaftState& state, Event event) {
  std::visit(Overloaded{[](const TimerFired&) {},
                        [&](RequestReceived& e) { OnRequest(state, std::move(e)); },
                        [&](const ResponseReceived& e) { OnResponse(state, e); },
                        [&](const RequestFailed& e) { OnRequestFailed(state, e); },
                        [&](const AppendRecords& e) { OnAppendRecords(state, e); },
                        [&](const WriteDone& e) { OnWriteDone(state, e.id); },
                        [&](const ConfirmLeadership& e) { OnConfirmLeadership(state, e.token); },
                        [&](const BeginShutdown&) { OnBeginShutdown(state); },
                        [&](const SnapshotChunkStored& e) { OnSnapshotChunkStored(state, e); },
                        [&](const SnapshotFrozen& e) { OnSnapshotFrozen(state, e); },
                        [&](const SnapshotTaken& e) { OnSnapshotTaken(state, e); },
                        [&](const MoveLogStart& e) { OnMoveLogStart(state, e); },
                        [&](const ChangeVoters& e) { OnChangeVoters(state, e); },
                        [&](const TransferLeadership& e) { OnTransferLeadership(state, e); }},
             event);
}

// One that is shutting down neither campaigns nor fetches; a resigned leader hands over.
bool IsIdle(const RaftState& state) {
  return IsShuttingDown(state) && !std::holds_alternative<Resigned>(state.role);
}

// Does whatever is due in the present role.
void PollOnce(RaftState& state) {
  std::visit(Overloaded{[&](const Unattached&) { PollFetching(state); },
                        [&](const Follower&) { PollFetching(state); },
                        [&](const Prospective&) { PollElection(state); },
                        [&](const Candidate&) { PollElection(state); },
                        [&](const Leader&) { PollLeader(state); },
                        [&](const Resigned&) { PollResigned(state); }},
             state.role);
}

void Poll(RaftState& state) {
  for (int polls = 0; polls < kMaxPollsPerStep; ++polls) {
    if (IsIdle(state)) {
      return;
    }
    const Role role = RoleOf(state);
    PollOnce(state);
    if (RoleOf(state) == role) {
      return;
    }
  }
  KVORUM_CHECK(false, "role still changes after {} polls", kMaxPollsPerStep);
}

ReplicaDescription DescribeSelf(const RaftState& state) {
  ReplicaDescription self;
  self.key = state.config.self;
  self.log_end_offset = state.log.durable_end();
  return self;
}

ReplicaDescription DescribeReplica(const ReplicaKey& key, const ReplicaProgress& progress) {
  ReplicaDescription replica;
  replica.key = key;
  replica.log_end_offset = progress.log_end_offset();
  replica.last_fetch = progress.last_fetch();
  replica.last_caught_up = progress.last_caught_up();
  return replica;
}

std::vector<ReplicaDescription> DescribeReplicas(const RaftState& state, const Leader& leader) {
  std::vector<ReplicaDescription> replicas;
  for (const auto& [id, voter] : Voters(state).voters()) {
    const auto it = leader.progress.find(voter.key);
    ReplicaDescription replica;
    if (voter.key == state.config.self) {
      replica = DescribeSelf(state);
    } else if (it != leader.progress.end()) {
      replica = DescribeReplica(voter.key, it->second);
    }
    replica.key = voter.key;
    replica.address = voter.address;
    replica.is_voter = true;
    replicas.push_back(std::move(replica));
  }
  if (!IsVoter(state)) {
    replicas.push_back(DescribeSelf(state));
  }
  for (const auto& [key, progress] : leader.progress) {
    if (!Voters(state).Contains(key)) {
      replicas.push_back(DescribeReplica(key, progress));
    }
  }
  return replicas;
}

}  // namespace

std::string_view RoleName(Role role) {
  switch (role) {
    case Role::kUnattached:
      return "unattached";
    case Role::kFollower:
      return "follower";
    case Role::kProspective:
      return "prospective";
    case Role::kCandidate:
      return "candidate";
    case Role::kLeader:
      return "leader";
    case Role::kResigned:
      return "resigned";
  }
  return "unknown";
}

RaftCore::RaftCore(RaftConfig config, const RecoveredState& recovered, Random random, TimePoint now)
    : state_(std::make_unique<RaftState>(std::move(config), recovered, random, now)) {
  BecomeInitialRole(*state_);
  InstallRecoveredSnapshot(*state_);
  CheckStateDeeply(*state_);
}

RaftCore::~RaftCore() = default;

void RaftCore::Step(Now now, Event event) {
  KVORUM_CHECK(now.now >= state_->now.now, "time goes back by {} ns",
               (state_->now.now - now.now).count());
  const StateSummary before = Summarize(*state_);
  state_->now = now;
  NoteLoopGap(*state_);
  Handle(*state_, std::move(event));
  Poll(*state_);
  PollTransfer(*state_);
  state_->due = NextDeadline();
  CheckState(*state_);
  CheckStep(before, Summarize(*state_));
}

Effects RaftCore::TakeEffects() { return std::exchange(state_->effects, {}); }

TimePoint RaftCore::NextDeadline() const {
  const RaftState& state = *state_;
  const TimePoint shutdown =
      IsShuttingDown(state) && !IsShutDown(state) ? *state.shutdown_deadline : kNever;
  const TimePoint transfer = state.transfer.has_value() ? state.transfer->deadline : kNever;
  if (IsIdle(state)) {
    return shutdown;
  }
  const TimePoint role =
      std::visit(Overloaded{[&](const Unattached&) { return FetchingDeadline(state); },
                            [&](const Follower&) { return FetchingDeadline(state); },
                            [&](const Prospective&) { return ElectionDeadline(state); },
                            [&](const Candidate&) { return ElectionDeadline(state); },
                            [&](const Leader&) { return LeaderDeadline(state); },
                            [&](const Resigned&) { return ResignedDeadline(state); }},
                 state.role);
  return std::min({role, shutdown, transfer});
}

RaftDescription RaftCore::Describe() const {
  const RaftState& state = *state_;
  RaftDescription description;
  description.role = RoleOf(state);
  description.is_voter = IsVoter(state);
  description.is_quarantined = state.is_quarantined;
  description.epoch = state.epoch;
  description.leader_id = KnownLeader(state);
  description.voted_key = state.voted_key;
  description.high_watermark = state.high_watermark;
  description.log_start_offset = state.log.start();
  description.log_end = state.log.end_position();
  description.durable_end_offset = state.log.durable_end();
  if (!state.snapshots.empty()) {
    description.latest_snapshot = state.snapshots.back().id;
  }
  description.voters = Voters(state);
  description.voters_offset = state.voters.newest_offset();
  const Offset committed = state.high_watermark.value_or(Offset(0));
  description.committed_voters = state.voters.CommittedBelow(committed);
  description.is_changing_voters = state.voters.newest_offset() >= committed;
  if (const auto* leader = std::get_if<Leader>(&state.role)) {
    description.epoch_start_offset = leader->epoch_start_offset;
    description.is_changing_voters = IsChangingVoters(state);
    if (state.transfer.has_value()) {
      description.transfer_target = state.transfer->target.node_id;
    }
    description.replicas = DescribeReplicas(state, *leader);
  }
  return description;
}

Epoch RaftCore::epoch() const { return state_->epoch; }
bool RaftCore::is_leader() const { return std::holds_alternative<Leader>(state_->role); }
std::optional<NodeId> RaftCore::leader_id() const { return KnownLeader(*state_); }
Offset RaftCore::log_end_offset() const { return state_->log.end(); }
Offset RaftCore::durable_end_offset() const { return state_->log.durable_end(); }
Offset RaftCore::log_start_offset() const { return state_->log.start(); }
std::optional<Offset> RaftCore::high_watermark() const { return state_->high_watermark; }
bool RaftCore::hears_leader() const {
  if (const auto* leader = std::get_if<Leader>(&state_->role)) {
    return leader->high_watermark.has_value();
  }
  const auto* follower = std::get_if<Follower>(&state_->role);
  return follower != nullptr && follower->has_fetched;
}

bool RaftCore::is_transferring() const { return is_leader() && state_->transfer.has_value(); }

const VoterSet& RaftCore::voters() const { return Voters(*state_); }
const std::vector<SnapshotManifest>& RaftCore::snapshots() const { return state_->snapshots; }
std::optional<SnapshotLease> RaftCore::oldest_snapshot_lease(TimePoint now) const {
  return OldestSnapshotLease(*state_, now);
}
bool RaftCore::is_quarantined() const { return state_->is_quarantined; }
bool RaftCore::is_shut_down() const { return IsShutDown(*state_); }

SnapshotManifest RaftCore::MakeManifest(const SnapshotId& id, uint64_t chain_hash) const {
  KVORUM_CHECK(state_->log.EpochBelow(id.offset) == id.epoch, "{} is no place in this log", id);
  SnapshotManifest manifest;
  manifest.id = id;
  manifest.chain_hash = chain_hash;
  if (const VoterSet* voters = state_->voters.Below(id.offset); voters != nullptr) {
    manifest.voters = *state_->config.encode_voters(*voters);
  }
  return manifest;
}

std::optional<Epoch> RaftCore::EpochBelow(Offset offset) const {
  return state_->log.EpochBelow(offset);
}

const RaftState& RaftCore::state() const { return *state_; }

}  // namespace kvorum::raft
