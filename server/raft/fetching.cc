#include "server/raft/fetching.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "server/base/check.h"
#include "server/base/mutants.h"
#include "server/raft/membership.h"
#include "server/raft/outbox.h"
#include "server/raft/peers.h"
#include "server/raft/snapshots.h"
#include "server/raft/transitions.h"
#include "storage/types/record_batch.h"

namespace kvorum::raft {
namespace {

// The followed leader's address; nullptr: unknown.
const Voter* LeaderToFetchFrom(const RaftState& state) {
  const auto* follower = std::get_if<Follower>(&state.role);
  return follower == nullptr ? nullptr : &follower->leader;
}

// The leader is about to answer something else than a fetch: no reason to ask others for it.
bool IsAsking(const RaftState& state, const Voter* leader) {
  return leader != nullptr && NextReady(state, leader->key.node_id) == kNever;
}

bool IsFollowing(const RaftState& state, NodeId id) {
  const auto* follower = std::get_if<Follower>(&state.role);
  return follower != nullptr && follower->leader_id() == id;
}

SnapshotCopy* SnapshotCopyOf(RaftState& state) {
  auto* follower = std::get_if<Follower>(&state.role);
  return follower != nullptr && follower->snapshot.has_value() ? &*follower->snapshot : nullptr;
}

bool IsCopyingSnapshot(const RaftState& state) {
  const auto* follower = std::get_if<Follower>(&state.role);
  return follower != nullptr && follower->snapshot.has_value();
}

// A chunk at a time, each stored before the next is asked for; the log waits until it is replaced.
bool MayFetch(const RaftState& state) {
  if (state.fetch_target.has_value()) {
    return false;
  }
  if (IsCopyingSnapshot(state)) {
    return std::get<Follower>(state.role).snapshot->stage == SnapshotCopy::Stage::kAsking;
  }
  return state.pending_writes.empty() || KVORUM_MUTANT(R16);
}

// Its own disk keeps it busy with the leader's snapshot, which says nothing against the leader.
bool IsFreezing(const RaftState& state) {
  return IsCopyingSnapshot(state) &&
         std::get<Follower>(state.role).snapshot->stage == SnapshotCopy::Stage::kFreezing;
}

// A probe asks who leads: it does not wait for news, and its answer's batches are not used.
void SendFetch(RaftState& state, const Voter& to, bool is_probe) {
  KVORUM_CHECK(KVORUM_MUTANT(R16) || state.log.durable_end() == state.log.end(),
               "fetch at {} but durable end is {}", state.log.end(), state.log.durable_end());
  const auto* follower = std::get_if<Follower>(&state.role);
  const Duration max_wait = is_probe ? Duration::zero() : state.config.fetch_max_wait;
  FetchRequest request;
  request.header =
      MakeHeader(state, to.key.node_id < NodeId(0) ? ReplicaKey{kAnyNode, Uuid()} : to.key);
  request.current_leader_epoch = state.epoch;
  request.fetch_offset = state.log.end();
  request.last_fetched_epoch = state.log.last_epoch();
  request.last_chain_hash = state.log.chain();
  request.high_watermark = state.high_watermark;
  request.max_wait_ms = static_cast<uint32_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(max_wait).count());
  request.max_bytes = state.config.fetch_max_bytes;
  request.round = is_probe || follower == nullptr ? 0 : follower->round;
  request.is_quarantined = state.is_quarantined;
  // A silent peer must not keep a probe from asking the next one for long.
  const Duration timeout =
      is_probe ? std::min(state.config.request_timeout, state.config.election_timeout)
               : state.config.request_timeout + max_wait;
  Send(state, to, std::move(request), timeout);
  state.fetch_target = to.key.node_id;
}

bool AsksVotersAnyway(const RaftState& state) {
  return std::holds_alternative<Prospective>(state.role);
}

// Who could know another leader than the one that does not answer: the voters, and the servers of
// the settings, of which only the address is known. They may be the same machines, but with other
// disks than the voter set here knows. In the order of their ids.
std::vector<Voter> ProbeTargets(const RaftState& state) {
  std::vector<Voter> targets;
  for (const auto& [id, voter] : Voters(state).voters()) {
    if (id != state.config.self.node_id && !IsFollowing(state, id) && IsReady(state, id) &&
        !AsksVotersAnyway(state)) {
      targets.push_back(voter);
    }
  }
  int32_t id = kFirstBootstrapServer;
  for (const PeerAddress& address : state.config.bootstrap_servers) {
    const ReplicaKey key{NodeId(id--), Uuid()};
    if (IsReady(state, key.node_id) && address != OwnAddress(state)) {
      targets.push_back(Voter{.key = key, .address = address});
    }
  }
  std::sort(targets.begin(), targets.end(),
            [](const Voter& a, const Voter& b) { return a.key.node_id < b.key.node_id; });
  return targets;
}

// The one after the last, the first by lot. In turn, so that those who are silent cost a bounded
// time. nullopt: nobody can be asked now.
std::optional<Voter> NextProbeTarget(RaftState& state) {
  Probing& probing = state.probing;
  if (probing.told.has_value() && !AsksVotersAnyway(state) &&
      IsReady(state, probing.told->key.node_id)) {
    return std::exchange(probing.told, std::nullopt);
  }
  const std::vector<Voter> targets = ProbeTargets(state);
  if (targets.empty()) {
    return std::nullopt;
  }
  const auto is_before_turn = [&](const Voter& target) {
    return target.key.node_id <= *probing.last;
  };
  size_t chosen = 0;
  if (!probing.last.has_value()) {
    chosen = state.random.Below(targets.size());
  } else {
    const auto it = std::find_if_not(targets.begin(), targets.end(), is_before_turn);
    chosen = it == targets.end() ? 0 : static_cast<size_t>(it - targets.begin());
  }
  probing.last = targets[chosen].key.node_id;
  return targets[chosen];
}

void MaybeProbe(RaftState& state) {
  if (state.probing.next > state.now.now) {
    return;
  }
  if (const std::optional<Voter> target = NextProbeTarget(state)) {
    SendFetch(state, *target, /*is_probe=*/true);
  } else {
    OnProbeFailed(state);
  }
}

// The leader's process is gone: campaign soon, in turns, without waiting for the fetch timeout.
void OnLeaderRefused(RaftState& state, Follower& follower) {
  Trace(state, RaftTraceKind::kLeaderConnectionRefused, {.peer = follower.leader_id()});
  const TimePoint now = state.now.now;
  const bool is_too_soon = state.last_lost_connection.has_value() &&
                           now - *state.last_lost_connection < state.config.election_timeout;
  // A port that opens and closes must not cause an election each time.
  if (!MayElect(state) || is_too_soon || follower.campaign_at.has_value()) {
    return;
  }
  state.last_lost_connection = now;
  follower.has_fetched = false;
  const auto jitter = state.random.Below(static_cast<uint64_t>(kCampaignJitter.count()));
  follower.campaign_at = now + CampaignDelay(state, follower.leader_id()) + Duration(jitter);
}

// An answer that contradicts itself or our log is dropped and asked for again, later.
void DropAnswer(RaftState& state, NodeId from, std::string why) {
  Trace(state, RaftTraceKind::kRequestRejected,
        {.peer = from, .detail = fmt::format("answer dropped: {}", why)});
  BackOff(state, from);
}

// Why `batch` cannot be appended; empty if it can.
std::string WhyNotAppendable(const RecordBatch& batch, const OffsetAndEpoch& log_end,
                             uint64_t chain, Epoch epoch) {
  if (batch.base_offset != log_end.offset || batch.record_count < 1) {
    return fmt::format("batch of {} records at {}, log ends at {}", batch.record_count,
                       batch.base_offset, log_end.offset);
  }
  // An answer that raced a change of epoch may hold batches newer than it says (KAFKA-18723).
  if (batch.epoch < log_end.epoch || batch.epoch > epoch || batch.epoch < Epoch(1)) {
    return fmt::format("batch of epoch {} after {} in epoch {}", batch.epoch, log_end.epoch, epoch);
  }
  if (NextChainHash(chain, batch) != batch.chain_hash && !KVORUM_MUTANT(ChainUnchecked)) {
    return fmt::format("chain breaks at {}", batch.base_offset);
  }
  return {};
}

// Appends the good batches at the front. False: the first was bad.
bool AppendFetched(RaftState& state, NodeId from, const std::vector<RecordBatch>& batches) {
  std::vector<RecordBatch> good;
  good.reserve(batches.size());
  OffsetAndEpoch log_end = state.log.end_position();
  uint64_t chain = state.log.chain();
  for (const RecordBatch& batch : batches) {
    if (std::string why = WhyNotAppendable(batch, log_end, chain, state.epoch); !why.empty()) {
      DropAnswer(state, from, std::move(why));
      break;
    }
    log_end = {.offset = batch.end_offset(), .epoch = batch.epoch};
    chain = batch.chain_hash;
    good.push_back(batch);
  }
  if (good.empty()) {
    return batches.empty();
  }
  AppendToLog(state, std::move(good));
  return true;
}

// consensus.md §3.5. Each round removes at least one epoch of ours, until the logs match.
bool Truncate(RaftState& state, NodeId from, const EpochEnd& diverging) {
  if (diverging.epoch < Epoch(0) || diverging.end_offset < Offset(0)) {
    DropAnswer(state, from, fmt::format("diverging epoch {}", diverging.epoch));
    return false;
  }
  const EpochEnd local =
      state.log.EndOffsetForEpoch(KVORUM_MUTANT(R07) ? diverging.epoch - 1 : diverging.epoch);
  const Offset target = local.epoch == diverging.epoch
                            ? std::min(local.end_offset, diverging.end_offset)
                            : local.end_offset;
  KVORUM_CHECK(!state.high_watermark.has_value() || target >= *state.high_watermark,
               "leader {} of epoch {} says the logs diverge at {}, below the high watermark {}",
               from, state.epoch, target, *state.high_watermark);
  if (target >= state.log.end() || !state.log.IsBatchEnd(target)) {
    DropAnswer(state, from, fmt::format("diverging at {}, where no batch ends", target));
    return false;
  }
  TruncateLog(state, target);
  return true;
}

void AdvanceHighWatermark(RaftState& state, NodeId from, Offset leader_high_watermark) {
  const Offset reached = std::min(leader_high_watermark, state.log.end());
  if (state.high_watermark.has_value() && reached < *state.high_watermark) {
    // Taking the larger one silently would hide a loss.
    Trace(state, RaftTraceKind::kRequestRejected,
          {.peer = from, .offset = reached, .detail = "high watermark went back"});
    return;
  }
  if (reached == state.high_watermark) {
    return;
  }
  state.high_watermark = reached;
  state.effects.high_watermark = reached;
  state.log.Prune(reached);
  Trace(state, RaftTraceKind::kHighWatermark, {.offset = reached});
}

// The first good answer of an epoch says what the replica must hold before its word counts again:
// all that this leader had, which was elected without its vote (protocol-aware recovery).
void NoteQuarantineEnd(RaftState& state, const FetchResponse& response) {
  if (state.is_quarantined &&
      (!state.quarantine_end.has_value() || state.quarantine_end->epoch != state.epoch)) {
    state.quarantine_end = QuarantineEnd{.epoch = state.epoch, .log_end = response.log_end_offset};
  }
}

}  // namespace

void OnFetchResponse(RaftState& state, NodeId from, const FetchResponse& response) {
  KVORUM_CHECK(IsFollowing(state, from), "fetch answer of {}, not the leader", from);
  if (response.high_watermark.has_value() && *response.high_watermark < Offset(0)) {
    DropAnswer(state, from, "negative high watermark");
    return;
  }
  if (response.snapshot_id.has_value()) {
    BeginSnapshotCopy(state, from, *response.snapshot_id);
    if (!IsCopyingSnapshot(state)) {
      return;
    }
  } else if (response.diverging_epoch.has_value()) {
    if (!Truncate(state, from, *response.diverging_epoch)) {
      return;
    }
  } else {
    if (!AppendFetched(state, from, response.batches)) {
      return;
    }
    if (response.high_watermark.has_value()) {
      AdvanceHighWatermark(state, from, *response.high_watermark);
    }
  }
  ClearFailures(state, from);
  state.probing.failures = 0;
  auto& follower = std::get<Follower>(state.role);
  follower.round = std::max(follower.round, response.round);
  follower.has_fetched = true;
  follower.campaign_at.reset();
  follower.fetch_deadline = NextFetchDeadline(state, from);
  NoteQuarantineEnd(state, response);
  MaybeEndQuarantine(state);
}

void MaybeEndQuarantine(RaftState& state) {
  if (!state.is_quarantined || !state.quarantine_end.has_value() ||
      state.quarantine_end->epoch != state.epoch) {
    return;
  }
  const Offset needed =
      KVORUM_MUTANT(QuarantineLeftEarly) ? Offset(0) : state.quarantine_end->log_end;
  if (state.log.durable_end() >= needed && state.high_watermark >= needed) {
    LeaveQuarantine(state);
  }
}

void OnFetchFailed(RaftState& state, NodeId to, SendFailure failure) {
  if (!IsFollowing(state, to)) {
    BackOff(state, to);
    OnProbeFailed(state);
    return;
  }
  BackOff(state, to);
  PeerConnection& peer = state.peers[to];
  if (failure == SendFailure::kRefused) {
    OnLeaderRefused(state, std::get<Follower>(state.role));
  } else if (peer.failures == 1) {
    // A killed leader's connection is reset first; only a fresh attempt shows its port closed.
    peer.ready_at = state.now.now;
  }
}

void OnProbeFailed(RaftState& state) {
  ++state.probing.failures;
  state.probing.next = state.now.now + BackoffAfter(state.config, state.probing.failures);
}

void NoteOlderLeader(RaftState& state, const ResponseHeader& header) {
  const std::optional<Voter>& leader = header.leader_voter;
  if (leader.has_value() && leader->key.node_id == header.leader_id &&
      leader->key.node_id >= NodeId(0) && leader->key.node_id != state.config.self.node_id) {
    state.probing.told = leader;
  }
}

void PollFetching(RaftState& state) {
  const TimePoint now = state.now.now;
  if ((MayElect(state) && !IsFreezing(state)) || KVORUM_MUTANT(R46)) {
    const auto* unattached = std::get_if<Unattached>(&state.role);
    const auto* follower = std::get_if<Follower>(&state.role);
    const bool must_campaign =
        (unattached != nullptr && unattached->election_deadline <= now) ||
        (follower != nullptr &&
         (follower->fetch_deadline <= now || follower->campaign_at.value_or(kNever) <= now));
    if (must_campaign) {
      BecomeProspective(state);
      return;
    }
  }
  if (!MayFetch(state)) {
    return;
  }
  const Voter* leader = LeaderToFetchFrom(state);
  if (leader != nullptr && IsReady(state, leader->key.node_id)) {
    if (MaybeSendUpdateVoter(state)) {
      return;
    }
    if (SnapshotCopyOf(state) != nullptr) {
      SendFetchSnapshot(state, *leader);
    } else {
      SendFetch(state, *leader, /*is_probe=*/false);
    }
  } else if (state.pending_writes.empty() && !IsAsking(state, leader)) {
    MaybeProbe(state);
  }
}

void PollProbing(RaftState& state) {
  if (ProbingDeadline(state) <= state.now.now) {
    MaybeProbe(state);
  }
}

TimePoint ProbingDeadline(const RaftState& state) {
  const bool may_probe = !state.config.bootstrap_servers.empty() &&
                         !state.fetch_target.has_value() && state.pending_writes.empty();
  return may_probe ? state.probing.next : kNever;
}

TimePoint FetchingDeadline(const RaftState& state) {
  TimePoint earliest = kNever;
  if (KVORUM_MUTANT(R21) && std::holds_alternative<Follower>(state.role)) {
    return state.now.now;
  }
  if ((MayElect(state) && !IsFreezing(state)) || KVORUM_MUTANT(R46)) {
    if (const auto* unattached = std::get_if<Unattached>(&state.role)) {
      earliest = unattached->election_deadline;
    } else if (const auto* follower = std::get_if<Follower>(&state.role)) {
      earliest = std::min(follower->fetch_deadline, follower->campaign_at.value_or(kNever));
    }
  }
  if (!MayFetch(state)) {
    return earliest;
  }
  const Voter* leader = LeaderToFetchFrom(state);
  if (state.pending_writes.empty() && !IsAsking(state, leader)) {
    earliest = std::min(earliest, state.probing.next);
  }
  if (leader != nullptr) {
    earliest = std::min(earliest, NextReady(state, leader->key.node_id));
  }
  return earliest;
}

}  // namespace kvorum::raft
