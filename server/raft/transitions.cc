#include "server/raft/transitions.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "server/base/check.h"
#include "server/base/mutants.h"
#include "server/raft/membership.h"
#include "server/raft/outbox.h"
#include "storage/types/record_batch.h"

namespace kvorum::raft {
namespace {

// What waited on a leadership that is over; answered under the new role.
struct LeftBehind {
  std::vector<WaitingFetch> fetches;
  std::deque<WaitingRead> reads;
  std::optional<VoterChange> change;
};

LeftBehind LeaveRole(RaftState& state) {
  LeftBehind left;
  if (auto* leader = std::get_if<Leader>(&state.role)) {
    if (!KVORUM_MUTANT(R19)) {
      left.fetches = state.waiting_fetches.TakeAll();
    }
    left.reads = std::exchange(leader->reads, {});
    left.change = std::exchange(leader->change, std::nullopt);
    // The log may be truncated before these are read.
    state.pending_writes.RefuseHeldReads();
    for (SendReply& reply : state.effects.replies) {
      RefuseRead(reply);
    }
  }
  state.peers.clear();
  state.fetch_target.reset();
  state.pending_writes.DropHeldRequests();
  return left;
}

void EnterEpoch(RaftState& state, Epoch epoch) {
  KVORUM_CHECK(epoch >= state.epoch, "epoch {} after {}", epoch, state.epoch);
  if (epoch > state.epoch) {
    state.epoch = epoch;
    state.voted_key.reset();
  }
}

void EnterRole(RaftState& state, RoleState role, RaftTraceKind kind, TraceFields fields,
               LeftBehind left) {
  state.role = std::move(role);
  SaveQuorumState(state);
  Trace(state, kind, std::move(fields));
  // Left waiting, they would delay the next election (KAFKA-10677).
  for (const WaitingFetch& fetch : left.fetches) {
    FetchResponse response;
    response.header = MakeResponseHeader(state, RaftError::kNotLeaderOrFollower);
    Reply(state, fetch.token, std::move(response));
  }
  for (const WaitingRead& read : left.reads) {
    state.effects.reads.push_back(
        ReadConfirmed{.token = read.token, .confirmed = false, .read_offset = Offset(0)});
  }
  if (left.change.has_value()) {
    // What was appended may still be committed by the next leader.
    AnswerChange(state, *left.change,
                 left.change->offset.has_value() ? ChangeError::kUnknown : ChangeError::kNotLeader,
                 "the leadership was lost");
  }
  AnnounceLeadership(state);
}

// Elections must not be put off for ever by a stream of higher epochs: those who already wait for
// one keep the rest of their time.
TimePoint NextElectionDeadline(RaftState& state) {
  if (const auto* role = std::get_if<Unattached>(&state.role)) {
    return role->election_deadline;
  }
  if (const auto* role = std::get_if<Candidate>(&state.role)) {
    return role->election_deadline;
  }
  if (const auto* role = std::get_if<Resigned>(&state.role)) {
    return role->election_deadline;
  }
  const auto* role = std::get_if<Prospective>(&state.role);
  if (role != nullptr && !role->tally.is_lost(Voters(state))) {
    return role->election_deadline;
  }
  return DrawElectionDeadline(state);
}

ElectionTally TallyWithSelf(const RaftState& state) {
  ElectionTally tally;
  if (IsVoter(state) || KVORUM_MUTANT(R46)) {
    tally.answers[state.config.self.node_id] = true;
  }
  return tally;
}

std::vector<NodeId> VoterIds(const VoterSet& voters) {
  std::vector<NodeId> ids;
  for (const auto& [id, voter] : voters.voters()) {
    ids.push_back(id);
  }
  return ids;
}

// The voter set to begin an epoch with: written if the log has none yet, or if this node is
// reached elsewhere than its entry says (KIP-853). Keys stay as they are, so that it may follow on
// a set that is not committed. One that is leaving has no entry.
std::optional<VoterSet> VotersToWrite(const RaftState& state) {
  const VoterSet& newest = Voters(state);
  const Voter self{.key = state.config.self, .address = *OwnAddress(state)};
  if (IsVoter(state) && *newest.Find(self.key.node_id) != self) {
    return newest.With(self);
  }
  return state.voters.is_in_log() ? std::nullopt : std::optional(newest);
}

// LeaderChange, so that the high watermark can pass the older epochs' records (Raft §5.4.2); and
// the voter set, if it must be told.
RecordBatch MakeEpochStartBatch(const RaftState& state, std::vector<NodeId> granting) {
  EpochStartRecords records{.leader_id = state.config.self.node_id,
                            .voters = VoterIds(Voters(state)),
                            .granting_voters = std::move(granting),
                            .voter_set = VotersToWrite(state)};
  return MakeBatch(state.log.end(), records.record_count(), state.epoch, /*is_control=*/true,
                   state.now.wall_ms, state.config.encode_control(records), state.log.chain());
}

Resigned MakeResigned(RaftState& state, std::vector<ReplicaKey> preferred,
                      HandOver how = HandOver::kPreVote) {
  Resigned role;
  role.preferred = std::move(preferred);
  role.is_transfer = how == HandOver::kTransfer;
  for (const auto& [id, voter] : Voters(state).voters()) {
    if (id != state.config.self.node_id) {
      role.unacked.insert(id);
    }
  }
  // Alone, there is nobody to hand over to and nobody to wait for.
  role.election_deadline = role.unacked.empty() ? state.now.now : DrawElectionDeadline(state);
  return role;
}

// Where the leader is reached. A peer knows better than the own log, which may be old.
std::optional<Voter> FindLeader(const RaftState& state, NodeId leader_id,
                                const std::optional<Voter>& told) {
  if (leader_id == state.config.self.node_id) {
    return std::nullopt;
  }
  if (told.has_value() && told->key.node_id == leader_id) {
    return told;
  }
  const Voter* voter = Voters(state).Find(leader_id);
  return voter == nullptr ? std::nullopt : std::optional(*voter);
}

// Not at once: an election may be under way, and its winner will say so sooner than a probe. Whose
// turn it is stays, so that many changes of epoch do not ask the same peers over and over.
void BeginProbing(RaftState& state) {
  state.probing.next = state.now.now + state.config.retry_backoff;
  state.probing.failures = 0;
  state.probing.told.reset();
}

}  // namespace

void BecomeInitialRole(RaftState& state) {
  const std::optional<NodeId> leader = state.submitted.leader_id;
  BeginProbing(state);
  const bool led = leader == state.config.self.node_id;
  if (led && IsVoter(state) && KVORUM_MUTANT(R02)) {
    Candidate role{.tally = TallyWithSelf(state), .election_deadline = DrawElectionDeadline(state)};
    for (const auto& [id, voter] : Voters(state).voters()) {
      role.tally.answers[id] = true;
    }
    state.role = std::move(role);
    SaveQuorumState(state);
  } else if (led && (IsVoter(state) || IsLeaving(state))) {
    // It may have lost an unsynced tail that others hold: leading again in this epoch could give
    // the same offsets other content (KAFKA-10527).
    Resigned role = MakeResigned(state, {});
    EnterRole(state, std::move(role), RaftTraceKind::kBecameResigned, {}, {});
  } else if (leader.has_value() && FindLeader(state, *leader, std::nullopt).has_value()) {
    BecomeFollower(state, state.epoch, *FindLeader(state, *leader, std::nullopt));
  } else {
    const Unattached role{.leader_id = led ? std::nullopt : leader,
                          .election_deadline = IsVoter(state) && Voters(state).size() == 1
                                                   ? state.now.now
                                                   : DrawElectionDeadline(state)};
    EnterRole(state, role, RaftTraceKind::kBecameUnattached, {}, {});
  }
}

void BecomeUnattached(RaftState& state, Epoch epoch, std::optional<NodeId> leader_id) {
  KVORUM_CHECK(epoch > state.epoch || std::holds_alternative<Prospective>(state.role),
               "unattached again in epoch {}", epoch);
  const Unattached role{.leader_id = leader_id, .election_deadline = NextElectionDeadline(state)};
  LeftBehind left = LeaveRole(state);
  EnterEpoch(state, epoch);
  BeginProbing(state);
  EnterRole(state, role, RaftTraceKind::kBecameUnattached, {.peer = leader_id}, std::move(left));
}

void BecomeFollower(RaftState& state, Epoch epoch, Voter leader) {
  const NodeId leader_id = leader.key.node_id;
  KVORUM_CHECK(leader_id != state.config.self.node_id, "follower of itself in epoch {}", epoch);
  if (epoch == state.epoch) {
    const std::optional<NodeId> known = LeaderOfEpoch(state);
    KVORUM_CHECK(!known.has_value() || *known == leader_id, "leaders {} and {} in epoch {}", *known,
                 leader_id, epoch);
  }
  LeftBehind left = LeaveRole(state);
  EnterEpoch(state, epoch);
  BeginProbing(state);
  Follower role{.leader = std::move(leader),
                .fetch_deadline = NextFetchDeadline(state, leader_id),
                .has_fetched = false,
                .round = 0,
                .campaign_at = std::nullopt,
                .next_update = state.now.now + UpdateVoterPeriod(state.config)};
  EnterRole(state, std::move(role), RaftTraceKind::kBecameFollower, {.peer = leader_id},
            std::move(left));
}

void BecomeProspective(RaftState& state) {
  KVORUM_CHECK(MayElect(state) || KVORUM_MUTANT(R46), "observer campaigns in epoch {}",
               state.epoch);
  KVORUM_CHECK(RoleOf(state) != Role::kLeader, "leader of {} campaigns", state.epoch);
  KVORUM_CHECK(RoleOf(state) != Role::kResigned, "resigned leader of {} campaigns", state.epoch);
  const auto* follower = std::get_if<Follower>(&state.role);
  Prospective role{.leader_id = LeaderOfEpoch(state),
                   .leader = follower == nullptr ? std::nullopt : std::optional(follower->leader),
                   .tally = TallyWithSelf(state),
                   .election_deadline = DrawElectionDeadline(state)};
  if (KVORUM_MUTANT(R18)) {
    for (const auto& [id, voter] : Voters(state).voters()) {
      role.tally.answers[id] = true;
    }
  }
  LeftBehind left = LeaveRole(state);
  EnterRole(state, std::move(role), RaftTraceKind::kBecameProspective, {}, std::move(left));
}

void BecomeCandidate(RaftState& state) {
  KVORUM_CHECK(MayElect(state) || KVORUM_MUTANT(R46), "observer is a candidate after epoch {}",
               state.epoch);
  KVORUM_CHECK(RoleOf(state) == Role::kProspective, "candidate from role {}",
               RoleName(RoleOf(state)));
  LeftBehind left = LeaveRole(state);
  EnterEpoch(state, state.epoch + 1);
  if (!KVORUM_MUTANT(VoteForgotten)) {
    state.voted_key = state.config.self;
  }
  Candidate role{.tally = TallyWithSelf(state), .election_deadline = DrawElectionDeadline(state)};
  EnterRole(state, std::move(role), RaftTraceKind::kBecameCandidate, {}, std::move(left));
}

void BecomeLeader(RaftState& state) {
  const auto* candidate = std::get_if<Candidate>(&state.role);
  KVORUM_CHECK(candidate != nullptr, "leader from role {}", RoleName(RoleOf(state)));
  KVORUM_CHECK(candidate->tally.is_won(Voters(state)), "leader of {} with {} votes", state.epoch,
               candidate->tally.granted());
  std::vector<NodeId> granting;
  for (const auto& [id, granted] : candidate->tally.answers) {
    if (granted) {
      granting.push_back(id);
    }
  }
  LeaveRole(state);
  Leader leader;
  leader.epoch_start_offset = state.log.end();
  leader.since = state.now.now;
  leader.address = *OwnAddress(state);
  leader.confirmed_round = state.round;
  for (const auto& [id, voter] : Voters(state).voters()) {
    if (id != state.config.self.node_id) {
      leader.progress[voter.key];
      leader.next_begin[id] = state.now.now;
    }
  }
  const Offset start = leader.epoch_start_offset;
  RecordBatch batch = MakeEpochStartBatch(state, std::move(granting));
  state.role = std::move(leader);
  Trace(state, RaftTraceKind::kBecameLeader, {.offset = start});
  std::vector<RecordBatch> batches;
  batches.push_back(std::move(batch));
  // One write for "leader = self" and the batch: neither exists without the other.
  AppendToLog(state, std::move(batches));
  AnnounceLeadership(state);
}

std::vector<ReplicaKey> SuccessorsOf(const RaftState& state) {
  const auto& leader = std::get<Leader>(state.role);
  struct Ranked {
    bool is_silent;
    Offset reached;
    ReplicaKey key;
  };
  std::vector<Ranked> ranked;
  for (const auto& [id, voter] : Voters(state).voters()) {
    if (id == state.config.self.node_id) {
      continue;
    }
    const auto it = leader.progress.find(voter.key);
    const bool is_known = it != leader.progress.end();
    ranked.push_back(
        {.is_silent =
             !is_known || !it->second.WasHeardSince(state.now.now - state.config.fetch_timeout),
         .reached = is_known ? it->second.log_end_offset().value_or(Offset(0)) : Offset(0),
         .key = voter.key});
  }
  std::stable_sort(ranked.begin(), ranked.end(), [](const Ranked& a, const Ranked& b) {
    return a.is_silent != b.is_silent ? b.is_silent : a.reached > b.reached;
  });
  std::vector<ReplicaKey> successors;
  for (const Ranked& rank : ranked) {
    successors.push_back(rank.key);
  }
  return successors;
}

void BecomeResigned(RaftState& state, HandOver how, const std::optional<ReplicaKey>& first) {
  KVORUM_CHECK(std::holds_alternative<Leader>(state.role), "{} resigns", RoleName(RoleOf(state)));
  std::vector<ReplicaKey> successors = SuccessorsOf(state);
  if (first.has_value()) {
    std::stable_partition(successors.begin(), successors.end(),
                          [&](const ReplicaKey& key) { return key == *first; });
  }
  Resigned role = MakeResigned(state, std::move(successors), how);
  LeftBehind left = LeaveRole(state);
  EnterRole(state, std::move(role), RaftTraceKind::kBecameResigned, {}, std::move(left));
}

void AdoptEpoch(RaftState& state, Epoch epoch, std::optional<NodeId> leader_id,
                const std::optional<Voter>& told) {
  std::optional<Voter> leader =
      leader_id.has_value() ? FindLeader(state, *leader_id, told) : std::nullopt;
  if (leader.has_value()) {
    BecomeFollower(state, epoch, *std::move(leader));
  } else {
    BecomeUnattached(state, epoch, leader_id);
  }
}

void LearnLeader(RaftState& state, NodeId leader_id, const std::optional<Voter>& told) {
  KVORUM_CHECK(LeaderOfEpoch(state).value_or(leader_id) == leader_id,
               "leader {} of epoch {} was known", leader_id, state.epoch);
  if (std::optional<Voter> leader = FindLeader(state, leader_id, told)) {
    BecomeFollower(state, state.epoch, *std::move(leader));
    return;
  }
  if (auto* unattached = std::get_if<Unattached>(&state.role)) {
    unattached->leader_id = leader_id;
  } else if (auto* prospective = std::get_if<Prospective>(&state.role)) {
    prospective->leader_id = leader_id;
  }
  SaveQuorumState(state);
  AnnounceLeadership(state);
}

void RecordVote(RaftState& state, const ReplicaKey& candidate) {
  KVORUM_CHECK(!state.voted_key.has_value() || *state.voted_key == candidate,
               "second vote in epoch {}: {} after {}", state.epoch, candidate, *state.voted_key);
  if (state.voted_key == candidate) {
    return;
  }
  state.voted_key = candidate;
  // Give the candidate its time before campaigning against it.
  const TimePoint deadline = DrawElectionDeadline(state);
  if (auto* unattached = std::get_if<Unattached>(&state.role)) {
    unattached->election_deadline = deadline;
  } else {
    auto* prospective = std::get_if<Prospective>(&state.role);
    KVORUM_CHECK(prospective != nullptr, "{} votes for {}", RoleName(RoleOf(state)), candidate);
    prospective->election_deadline = deadline;
  }
  SaveQuorumState(state);
}

}  // namespace kvorum::raft
