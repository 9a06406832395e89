#include "server/raft/invariants.h"

#include "server/base/check.h"
#include "server/base/mutants.h"

namespace kvorum::raft {
namespace {

bool MayBeObserver(Role role) { return role == Role::kUnattached || role == Role::kFollower; }

void CheckLeader(const RaftState& state, const Leader& leader) {
  const ReplicaKey& self = state.config.self;
  KVORUM_CHECK(state.voted_key == self, "leader of {} voted for another", state.epoch);
  KVORUM_CHECK(state.log.last_epoch() == state.epoch, "leader of {} ends its log in {}",
               state.epoch, state.log.last_epoch());
  KVORUM_CHECK(leader.epoch_start_offset < state.log.end(), "epoch starts at {}, log ends at {}",
               leader.epoch_start_offset, state.log.end());
  KVORUM_CHECK(
      !leader.high_watermark.has_value() || *leader.high_watermark > leader.epoch_start_offset,
      "high watermark {} not above the epoch's start {}", *leader.high_watermark,
      leader.epoch_start_offset);
  KVORUM_CHECK(!leader.high_watermark.has_value() || leader.high_watermark == state.high_watermark,
               "two high watermarks, {} and {}", *leader.high_watermark, *state.high_watermark);
  KVORUM_CHECK(IsVoter(state) || state.voters.newest_offset() >= leader.high_watermark,
               "leads epoch {}, but the voter set without it is committed", state.epoch);
  KVORUM_CHECK(leader.confirmed_round <= state.round, "round {} confirmed, newest is {}",
               leader.confirmed_round, state.round);
  KVORUM_CHECK(leader.reads.size() <= state.config.max_waiting_reads, "{} reads wait",
               leader.reads.size());
}

}  // namespace

void CheckState(const RaftState& state) {
  const Role role = RoleOf(state);
  const LogShape& log = state.log;
  KVORUM_CHECK(state.epoch >= log.last_epoch(), "epoch {} below the log's {}", state.epoch,
               log.last_epoch());
  KVORUM_CHECK(log.start() <= log.durable_end(), "durable end {} below log start {}",
               log.durable_end(), log.start());
  KVORUM_CHECK(log.durable_end() <= log.end(), "durable end {} above log end {}", log.durable_end(),
               log.end());
  KVORUM_CHECK(!state.pending_writes.empty() || log.durable_end() == log.end(),
               "no write pending, but durable end {} of {}", log.durable_end(), log.end());
  KVORUM_CHECK(!state.high_watermark.has_value() || *state.high_watermark <= log.end(),
               "high watermark {} above log end {}", *state.high_watermark, log.end());
  KVORUM_CHECK(state.submitted.epoch == state.epoch, "epoch {} was not written, {} was",
               state.epoch, state.submitted.epoch);
  KVORUM_CHECK(state.submitted.voted_key == state.voted_key, "vote of epoch {} was not written",
               state.epoch);
  KVORUM_CHECK(state.submitted.leader_id == LeaderOfEpoch(state),
               "leader of epoch {} was not written", state.epoch);
  // A leader that has removed itself stays until that is committed (KIP-853), and then hands over.
  const bool may_have_left = role == Role::kLeader || role == Role::kResigned;
  KVORUM_CHECK(IsVoter(state) || IsLeaving(state) || MayBeObserver(role) || may_have_left ||
                   KVORUM_MUTANT(R46),
               "observer is {}", RoleName(role));
  KVORUM_CHECK(!state.is_quarantined || MayBeObserver(role) || role == Role::kResigned,
               "quarantined {}", RoleName(role));
  KVORUM_CHECK(log.start() == Offset(0) ||
                   (!state.snapshots.empty() && state.snapshots.front().id.offset == log.start()),
               "log starts at {}, but no snapshot is there", log.start());
  KVORUM_CHECK(role != Role::kLeader || state.effects.installed == std::nullopt,
               "leader of {} installs a snapshot", state.epoch);
  if (const auto* leader = std::get_if<Leader>(&state.role)) {
    CheckLeader(state, *leader);
    KVORUM_CHECK(!IsShuttingDown(state), "leads epoch {} while shutting down", state.epoch);
  } else {
    KVORUM_CHECK(state.waiting_fetches.empty(), "{} parks {} fetches", RoleName(role),
                 state.waiting_fetches.size());
  }
  KVORUM_CHECK(state.waiting_fetches.size() <= state.config.max_parked_fetches,
               "{} fetches are parked", state.waiting_fetches.size());
  KVORUM_CHECK(role != Role::kCandidate || state.voted_key == state.config.self,
               "candidate of {} voted for another", state.epoch);
  const bool asks_a_server = role == Role::kProspective && state.fetch_target < NodeId(0);
  KVORUM_CHECK(!state.fetch_target.has_value() || MayBeObserver(role) || asks_a_server,
               "{} fetches", RoleName(role));
}

void CheckStateDeeply(const RaftState& state) {
  CheckState(state);
  state.log.CheckConsistent();
}

StateSummary Summarize(const RaftState& state) {
  return StateSummary{.role = RoleOf(state),
                      .epoch = state.epoch,
                      .voted_key = state.voted_key,
                      .leader_of_epoch = LeaderOfEpoch(state),
                      .high_watermark = state.high_watermark,
                      .log_end = state.log.end(),
                      .round = state.round};
}

void CheckStep(const StateSummary& before, const StateSummary& after) {
  KVORUM_CHECK(after.epoch >= before.epoch, "epoch {} after {}", after.epoch, before.epoch);
  KVORUM_CHECK(after.high_watermark >= before.high_watermark, "high watermark {} after {}",
               after.high_watermark.value_or(Offset(-1)), *before.high_watermark);
  KVORUM_CHECK(after.round >= before.round, "read round {} after {}", after.round, before.round);
  if (after.epoch != before.epoch) {
    return;
  }
  KVORUM_CHECK(!before.voted_key.has_value() || after.voted_key == before.voted_key,
               "vote of epoch {} changed", after.epoch);
  KVORUM_CHECK(
      !before.leader_of_epoch.has_value() || after.leader_of_epoch == before.leader_of_epoch,
      "leader of epoch {} changed from {}", after.epoch, *before.leader_of_epoch);
  KVORUM_CHECK(
      before.role != Role::kLeader || after.role == Role::kLeader || after.role == Role::kResigned,
      "leader of {} became {}", after.epoch, RoleName(after.role));
  KVORUM_CHECK(before.role != Role::kResigned || after.role == Role::kResigned,
               "resigned leader of {} became {}", after.epoch, RoleName(after.role));
  KVORUM_CHECK(before.role != Role::kLeader || after.log_end >= before.log_end,
               "leader of {} truncated from {} to {}", after.epoch, before.log_end, after.log_end);
}

}  // namespace kvorum::raft
