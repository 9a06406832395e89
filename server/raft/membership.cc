#include "server/raft/membership.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "server/base/check.h"
#include "server/base/mutants.h"
#include "server/raft/fetch_answer.h"
#include "server/raft/leadership.h"
#include "server/raft/outbox.h"
#include "server/raft/peers.h"
#include "server/raft/reads.h"
#include "server/raft/transfer.h"
#include "server/raft/transitions.h"
#include "storage/types/record_batch.h"

namespace kvorum::raft {
namespace {

// What speaks against a change now.
struct Objection {
  ChangeError error = ChangeError::kNone;
  std::string detail;
};

// A voter that waits for the answer to its update does not fetch meanwhile: the dial must end long
// before its fetch timer does.
Duration DialTimeout(const RaftConfig& config) {
  return std::min(config.request_timeout, config.fetch_timeout / 3);
}

Duration CatchUpWindow(const RaftConfig& config) { return config.fetch_timeout * 2; }

// As check-quorum counts them.
Duration HearingWindow(const RaftConfig& config) { return config.fetch_timeout * 3 / 2; }

std::string AddressText(const PeerAddress& address) {
  return fmt::format("{}:{}", address.host, address.port);
}

Objection CheckMembers(const RaftState& state, const VoterChange& change) {
  const VoterSet& voters = Voters(state);
  const ReplicaKey& key = change.voter.key;
  const Voter* holder = voters.Find(key.node_id);
  if (change.kind == VoterChangeKind::kAdd) {
    if (holder != nullptr) {
      return {ChangeError::kDuplicateVoter, fmt::format("{} is a voter", holder->key)};
    }
    if (voters.size() >= kMaxVoters) {
      return {ChangeError::kTooManyVoters, fmt::format("there are {} voters", voters.size())};
    }
    return {};
  }
  if (!voters.Contains(key)) {
    return {ChangeError::kVoterNotFound,
            holder == nullptr ? fmt::format("{} is no voter", key)
                              : fmt::format("{} is no voter, {} is", key, holder->key)};
  }
  if (change.kind == VoterChangeKind::kRemove && voters.size() == 1) {
    return {ChangeError::kLastVoter, fmt::format("{} is the only voter", key)};
  }
  return {};
}

// The new set counts from the append on: one that is for the most part silent could neither commit
// itself nor anything else.
Objection CheckIsHeard(const RaftState& state, const Leader& leader, const VoterSet& next) {
  size_t heard = 0;
  const TimePoint since = state.now.now - HearingWindow(state.config);
  for (const auto& [id, voter] : next.voters()) {
    const auto it = leader.progress.find(voter.key);
    const bool is_heard = it != leader.progress.end() && it->second.WasHeardSince(since);
    heard += voter.key == state.config.self || is_heard ? 1 : 0;
  }
  if (heard >= next.majority()) {
    return {};
  }
  return {ChangeError::kQuorumAtRisk,
          fmt::format("of the {} voters that would remain, {} are heard "
                      "and {} are needed",
                      next.size(), heard, next.majority())};
}

std::string ProgressText(const RaftState& state, const ReplicaKey& replica) {
  const auto& progress = std::get<Leader>(state.role).progress;
  const auto it = progress.find(replica);
  if (it == progress.end()) {
    return fmt::format("{} has not fetched from this leader", replica);
  }
  const std::optional<Offset> end = it->second.log_end_offset();
  return end.has_value()
             ? fmt::format("{} holds the log up to {} of {}", replica, *end, state.log.end())
             : fmt::format("{} is still fetching a snapshot", replica);
}

// In the order of consensus.md §2.7.
Objection FindObjection(const RaftState& state, const VoterChange& change) {
  const auto& leader = std::get<Leader>(state.role);
  if (state.transfer.has_value()) {
    return {ChangeError::kChangePending,
            fmt::format("leadership goes to node {}", state.transfer->target.node_id)};
  }
  if (!leader.high_watermark.has_value() && !KVORUM_MUTANT(R14)) {
    return {ChangeError::kNothingCommitted,
            fmt::format("epoch {} has committed nothing yet", state.epoch)};
  }
  if (state.voters.newest_offset() >= leader.high_watermark && !KVORUM_MUTANT(R14)) {
    return {ChangeError::kChangePending,
            fmt::format("the voter set at {} is not committed", *state.voters.newest_offset())};
  }
  if (Objection objection = CheckMembers(state, change); objection.error != ChangeError::kNone) {
    return objection;
  }
  if (change.kind == VoterChangeKind::kUpdate) {
    return {};
  }
  if (change.kind == VoterChangeKind::kAdd && !IsCaughtUpLately(state, change.voter.key)) {
    return {ChangeError::kNotCaughtUp, ProgressText(state, change.voter.key)};
  }
  return CheckIsHeard(state, leader, WithChange(Voters(state), change));
}

// The record counts from here on: who is a voter, what is a majority.
void AppendVoters(RaftState& state, VoterChange& change) {
  const VoterSet next = WithChange(Voters(state), change);
  KVORUM_CHECK(next.CountDifferences(Voters(state)) <= 1 && !next.empty(),
               "voter set of {} after one of {}", next.size(), Voters(state).size());
  change.offset = state.log.end();
  std::vector<RecordBatch> batches;
  batches.push_back(MakeBatch(state.log.end(), 1, state.epoch, /*is_control=*/true,
                              state.now.wall_ms, state.config.encode_voters(next),
                              state.log.chain()));
  AppendToLog(state, std::move(batches));
  if (change.kind == VoterChangeKind::kRemove) {
    // An observer from here on, known as one when it fetches; one that is gone leaves nothing.
    std::get<Leader>(state.role).progress.erase(change.voter.key);
  }
  WakeFetches(state,
              [&](const WaitingFetch& fetch) { return fetch.fetch_offset < state.log.end(); });
  MaybeAdvanceHighWatermark(state);
  MaybeConfirmReads(state);
}

void Carry(RaftState& state, VoterChange change) {
  auto& leader = std::get<Leader>(state.role);
  if (change.is_dry_run || WithChange(Voters(state), change) == Voters(state)) {
    AnswerChange(state, change, ChangeError::kNone, "");
    return;
  }
  AppendVoters(state, change);
  if (std::holds_alternative<RequestToken>(change.asker)) {
    // At once: the voter fetches again, and with that it lets its own update commit.
    AnswerChange(state, change, ChangeError::kNone, "");
  } else {
    leader.change = std::move(change);
  }
}

void Dial(RaftState& state, const VoterChange& change) {
  state.peers.erase(kDialNode);
  BeginQuorumEpochRequest request{.header = MakeHeader(state, change.voter.key),
                                  .leader_epoch = state.epoch};
  const Voter there{.key = {kDialNode, Uuid()}, .address = change.voter.address};
  Send(state, there, std::move(request), DialTimeout(state.config));
}

void Begin(RaftState& state, VoterChange change) {
  auto* leader = std::get_if<Leader>(&state.role);
  if (leader == nullptr || IsShuttingDown(state)) {
    AnswerChange(state, change, ChangeError::kNotLeader, "");
    return;
  }
  if (leader->change.has_value()) {
    AnswerChange(state, change, ChangeError::kChangePending,
                 fmt::format("a change of {} is under way", leader->change->voter.key));
    return;
  }
  Objection objection = FindObjection(state, change);
  if (objection.error != ChangeError::kNone) {
    AnswerChange(state, change, objection.error, std::move(objection.detail));
    return;
  }
  // A voter that was reachable only in theory would cost the quorum its majority (KAFKA-20661).
  if (change.kind != VoterChangeKind::kRemove && change.voter.key != state.config.self) {
    Dial(state, change);
    leader->change = std::move(change);
  } else {
    Carry(state, std::move(change));
  }
}

}  // namespace

VoterSet WithChange(const VoterSet& voters, const VoterChange& change) {
  return change.kind == VoterChangeKind::kRemove ? voters.Without(change.voter.key.node_id)
                                                 : voters.With(change.voter);
}

bool IsCaughtUpLately(const RaftState& state, const ReplicaKey& replica) {
  const auto& progress = std::get<Leader>(state.role).progress;
  const auto it = progress.find(replica);
  return it != progress.end() &&
         it->second.last_caught_up() >= state.now.now - CatchUpWindow(state.config);
}

void OnChangeVoters(RaftState& state, const ChangeVoters& event) {
  Begin(state, VoterChange{.asker = event.token,
                           .kind = event.kind,
                           .voter = event.voter,
                           .deadline = event.deadline,
                           .is_dry_run = event.is_dry_run,
                           .offset = std::nullopt});
}

void OnUpdateVoterRequest(RaftState& state, RequestToken token, const UpdateVoterRequest& request) {
  const ReplicaKey& replica = request.header.sender;
  if (request.address.host.empty() || request.address.port == 0) {
    ReplyError(state, token, request, RaftError::kInvalidRequest);
    return;
  }
  if (const RaftError error = CheckLeader(state, request.current_leader_epoch);
      error != RaftError::kNone) {
    ReplyError(state, token, request, error);
    return;
  }
  // It follows this leader: for check-quorum as good as a fetch.
  if (ReplicaProgress* progress = ProgressOf(state, replica); progress != nullptr) {
    progress->OnContact(state.now.now, 0);
  }
  Begin(state, VoterChange{.asker = token,
                           .kind = VoterChangeKind::kUpdate,
                           .voter = {.key = replica, .address = request.address},
                           .deadline = kNever,
                           .is_dry_run = false,
                           .offset = std::nullopt});
}

void OnDialed(RaftState& state, ChangeError result) {
  auto* leader = std::get_if<Leader>(&state.role);
  if (leader == nullptr || !leader->change.has_value() || leader->change->offset.has_value()) {
    return;
  }
  VoterChange change = *std::exchange(leader->change, std::nullopt);
  if (result != ChangeError::kNone) {
    AnswerChange(state, change, result, AddressText(change.voter.address));
    return;
  }
  // Much may have happened since it was asked for.
  Objection objection = FindObjection(state, change);
  if (objection.error != ChangeError::kNone) {
    AnswerChange(state, change, objection.error, std::move(objection.detail));
  } else {
    Carry(state, std::move(change));
  }
}

bool IsChangingVoters(const RaftState& state) {
  const auto& leader = std::get<Leader>(state.role);
  return leader.change.has_value() || state.voters.newest_offset() >= leader.high_watermark;
}

void PollMembership(RaftState& state) {
  auto& leader = std::get<Leader>(state.role);
  if (leader.change.has_value()) {
    const bool is_committed =
        leader.change->offset.has_value() && leader.high_watermark > *leader.change->offset;
    if (is_committed) {
      const VoterChange change = *std::exchange(leader.change, std::nullopt);
      AnswerChange(state, change, ChangeError::kNone, "");
    } else if (leader.change->deadline <= state.now.now) {
      const VoterChange change = *std::exchange(leader.change, std::nullopt);
      // What was appended stays, and is committed or not: the next change waits for that.
      AnswerChange(state, change,
                   change.offset.has_value() ? ChangeError::kUnknown : ChangeError::kTimedOut,
                   "the deadline has passed");
    }
  }
  // By that fact, not by a request, which may have timed out: else such a leader never goes.
  if (!IsVoter(state) && state.voters.newest_offset() < leader.high_watermark &&
      !KVORUM_MUTANT(RemovedLeaderStays)) {
    Trace(state, RaftTraceKind::kLeaderRemoved, {.offset = state.voters.newest_offset()});
    BecomeResigned(state, HandOver::kTransfer);
  }
}

TimePoint MembershipDeadline(const Leader& leader) {
  return leader.change.has_value() ? leader.change->deadline : kNever;
}

Duration UpdateVoterPeriod(const RaftConfig& config) { return config.fetch_timeout * 2; }

bool MaybeSendUpdateVoter(RaftState& state) {
  auto& follower = std::get<Follower>(state.role);
  if (!state.config.advertised_address.has_value() || follower.next_update > state.now.now ||
      !IsVoter(state)) {
    return false;
  }
  follower.next_update = state.now.now + UpdateVoterPeriod(state.config);
  if (Voters(state).Find(state.config.self.node_id)->address == state.config.advertised_address) {
    return false;
  }
  Send(state, follower.leader,
       UpdateVoterRequest{.header = MakeHeader(state, follower.leader.key),
                          .current_leader_epoch = state.epoch,
                          .address = *state.config.advertised_address},
       state.config.fetch_timeout / 2);
  return true;
}

void OnUpdateVoterResponse(RaftState& state, NodeId from) {
  ClearFailures(state, from);
  if (auto* follower = std::get_if<Follower>(&state.role);
      follower != nullptr && follower->leader_id() == from) {
    follower->fetch_deadline = NextFetchDeadline(state, from);
  }
}

}  // namespace kvorum::raft
