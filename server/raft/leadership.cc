#include "server/raft/leadership.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "server/base/check.h"
#include "server/base/mutants.h"
#include "server/raft/fetch_answer.h"
#include "server/raft/membership.h"
#include "server/raft/outbox.h"
#include "server/raft/peers.h"
#include "server/raft/reads.h"
#include "server/raft/transfer.h"
#include "server/raft/transitions.h"
#include "storage/types/record_batch.h"

namespace kvorum::raft {
namespace {

// The voters' durable ends, self included only by what is synced (Raft thesis §10.2.1).
Offset MajorityEnd(const RaftState& state, const Leader& leader) {
  if (KVORUM_MUTANT(R15)) {
    std::vector<Offset> ends = {state.log.durable_end()};
    for (const auto& [key, progress] : leader.progress) {
      ends.push_back(progress.log_end_offset().value_or(Offset(0)));
    }
    std::sort(ends.rbegin(), ends.rend());
    return ends[std::min(ends.size(), Voters(state).majority()) - 1];
  }
  return MajorityValue<Offset>(Voters(state), [&](const Voter& voter) {
    if (voter.key == state.config.self) {
      return KVORUM_MUTANT(R03) ? state.log.end() : state.log.durable_end();
    }
    const auto it = leader.progress.find(voter.key);
    return it == leader.progress.end() ? Offset(0)
                                       : it->second.log_end_offset().value_or(Offset(0));
  });
}

// When the leadership ends unless more voters are heard: 1.5 fetch timeouts after the moment since
// which a majority, self included, has been heard (KAFKA-15489).
TimePoint CheckQuorumDeadline(const RaftState& state, const Leader& leader) {
  const TimePoint heard = MajorityValue<TimePoint>(Voters(state), [&](const Voter& voter) {
    if (voter.key == state.config.self) {
      return kNever;
    }
    const auto it = leader.progress.find(voter.key);
    return it == leader.progress.end() ? leader.since
                                       : it->second.last_contact().value_or(leader.since);
  });
  return heard == kNever ? kNever : heard + state.config.fetch_timeout * 3 / 2;
}

Duration BeginPeriod(const RaftState& state) { return state.config.fetch_timeout / 2; }

// Voters that fetch know their leader; the others are told, at once and then periodically.
TimePoint NextBegin(const RaftState& state, const Leader& leader, const Voter& voter) {
  const auto due = leader.next_begin.find(voter.key.node_id);
  TimePoint at = due == leader.next_begin.end() ? leader.since : due->second;
  const auto it = leader.progress.find(voter.key);
  if (it != leader.progress.end() && it->second.last_contact().has_value()) {
    at = std::max(at, *it->second.last_contact() + BeginPeriod(state));
  }
  return std::max(at, NextReady(state, voter.key.node_id));
}

void SendBegins(RaftState& state, Leader& leader) {
  for (const auto& [id, voter] : Voters(state).voters()) {
    if (id == state.config.self.node_id || NextBegin(state, leader, voter) > state.now.now) {
      continue;
    }
    leader.next_begin[id] = state.now.now + BeginPeriod(state);
    Send(state, voter,
         BeginQuorumEpochRequest{.header = MakeHeader(state, voter.key),
                                 .leader_epoch = state.epoch},
         state.config.request_timeout);
  }
}

void ForgetSilentObservers(RaftState& state, Leader& leader) {
  const VoterSet& voters = Voters(state);
  if (leader.progress.size() < voters.size()) {
    return;
  }
  std::erase_if(leader.progress, [&](const auto& entry) {
    const auto last = entry.second.last_contact().value_or(leader.since);
    return !voters.Contains(entry.first) && last + kObserverSessionTimeout <= state.now.now;
  });
}

}  // namespace

void OnAppendRecords(RaftState& state, const AppendRecords& event) {
  KVORUM_CHECK(std::holds_alternative<Leader>(state.role), "append in epoch {} as {}", event.epoch,
               RoleName(RoleOf(state)));
  KVORUM_CHECK(event.epoch == state.epoch, "append for epoch {} in epoch {}", event.epoch,
               state.epoch);
  KVORUM_CHECK(event.record_count >= 1, "append of {} records", event.record_count);
  std::vector<RecordBatch> batches;
  batches.push_back(MakeBatch(state.log.end(), event.record_count, state.epoch,
                              /*is_control=*/false, state.now.wall_ms, event.payload,
                              state.log.chain()));
  AppendToLog(state, std::move(batches));
  // Before our own sync: followers write in parallel with this disk (Raft thesis §10.2.1).
  WakeFetches(state,
              [&](const WaitingFetch& fetch) { return fetch.fetch_offset < state.log.end(); });
}

void MaybeAdvanceHighWatermark(RaftState& state) {
  auto& leader = std::get<Leader>(state.role);
  const Offset reached = MajorityEnd(state, leader);
  // Only a record of our own epoch commits, and all before it with it (Raft §5.4.2, figure 8).
  if ((reached <= leader.epoch_start_offset && !KVORUM_MUTANT(R04)) ||
      reached <= leader.high_watermark) {
    return;
  }
  KVORUM_CHECK(reached <= state.log.end(), "high watermark {} above log end {}", reached,
               state.log.end());
  leader.high_watermark = reached;
  state.high_watermark = reached;
  state.effects.high_watermark = reached;
  state.log.Prune(reached);
  Trace(state, RaftTraceKind::kHighWatermark, {.offset = reached});
  // Else a commit is learned with the next append or long poll only (KAFKA-13959, KIP-1166).
  if (!KVORUM_MUTANT(R22)) {
    WakeFetches(state, [&](const WaitingFetch& fetch) { return fetch.high_watermark < reached; });
  }
  MaybeConfirmReads(state);
}

void PollLeader(RaftState& state) {
  auto& leader = std::get<Leader>(state.role);
  const TimePoint now = state.now.now;
  if (CheckQuorumDeadline(state, leader) <= now && !KVORUM_MUTANT(R17)) {
    Trace(state, RaftTraceKind::kCheckQuorumFailed);
    BecomeResigned(state);
    return;
  }
  PollMembership(state);
  if (std::holds_alternative<Leader>(state.role)) {
    PollHandOver(state);
  }
  if (!std::holds_alternative<Leader>(state.role)) {
    return;
  }
  SendBegins(state, leader);
  if (state.waiting_fetches.next_deadline() <= now) {
    ForgetSilentObservers(state, leader);
    WakeFetches(state, [&](const WaitingFetch& fetch) { return fetch.deadline <= now; });
  }
}

TimePoint LeaderDeadline(const RaftState& state) {
  const auto& leader = std::get<Leader>(state.role);
  TimePoint earliest = std::min({KVORUM_MUTANT(R17) ? kNever : CheckQuorumDeadline(state, leader),
                                 state.waiting_fetches.next_deadline(), MembershipDeadline(leader),
                                 HandOverDeadline(state)});
  for (const auto& [id, voter] : Voters(state).voters()) {
    if (id != state.config.self.node_id) {
      earliest = std::min(earliest, NextBegin(state, leader, voter));
    }
  }
  return earliest;
}

void OnEndQuorumEpochResponse(RaftState& state, NodeId from) {
  std::get<Resigned>(state.role).unacked.erase(from);
}

void PollResigned(RaftState& state) {
  const auto& role = std::get<Resigned>(state.role);
  // One that is going away waits to be replaced; it does not come back for another election.
  if (role.election_deadline <= state.now.now && !IsShuttingDown(state)) {
    // With the next epoch, so that nobody can still name this node leader of the old one.
    BecomeUnattached(state, state.epoch + 1, std::nullopt);
    return;
  }
  for (const NodeId id : role.unacked) {
    const Voter* voter = Voters(state).Find(id);
    if (voter == nullptr || !IsReady(state, id)) {
      continue;
    }
    Send(state, *voter,
         EndQuorumEpochRequest{.header = MakeHeader(state, voter->key),
                               .leader_epoch = state.epoch,
                               .preferred_candidates = role.preferred,
                               .is_transfer = role.is_transfer},
         state.config.request_timeout);
  }
}

TimePoint ResignedDeadline(const RaftState& state) {
  const auto& role = std::get<Resigned>(state.role);
  TimePoint earliest = IsShuttingDown(state) ? kNever : role.election_deadline;
  for (const NodeId id : role.unacked) {
    if (Voters(state).Find(id) != nullptr) {
      earliest = std::min(earliest, NextReady(state, id));
    }
  }
  return earliest;
}

}  // namespace kvorum::raft
