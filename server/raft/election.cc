#include "server/raft/election.h"

#include <algorithm>

#include "server/base/mutants.h"
#include "server/base/overloaded.h"
#include "server/raft/fetching.h"
#include "server/raft/outbox.h"
#include "server/raft/peers.h"
#include "server/raft/transitions.h"

namespace kvorum::raft {
namespace {

bool IsSane(const VoteRequest& request) {
  if (request.epoch < Epoch(0) || request.log_end.offset < Offset(0) ||
      request.log_end.epoch < Epoch(0)) {
    return false;
  }
  // A candidate raised the epoch above all of its log's; a pre-vote has not yet.
  return request.pre_vote ? request.log_end.epoch <= request.epoch
                          : request.log_end.epoch < request.epoch;
}

bool IsLogUpToDate(const RaftState& state, const VoteRequest& request) {
  return KVORUM_MUTANT(ShorterLogElected) || IsUpToDate(request.log_end, state.log.end_position());
}

// consensus.md §1.4, left column. Before the role is asked: a vote is given once per epoch.
bool GrantsVote(const RaftState& state, const VoteRequest& request) {
  if (state.is_quarantined && !KVORUM_MUTANT(QuarantineVotes)) {
    return false;  // what it acknowledged before may be missing from the log it would compare
  }
  const bool may_vote = std::visit(
      Overloaded{[](const Unattached&) { return true; }, [](const Prospective&) { return true; },
                 [](const Follower&) { return false; }, [](const Candidate&) { return false; },
                 [](const Leader&) { return false; }, [](const Resigned&) { return false; }},
      state.role);
  if (!may_vote) {
    return false;
  }
  if (state.voted_key.has_value()) {
    return *state.voted_key == request.header.sender;
  }
  return !LeaderOfEpoch(state).has_value() && IsLogUpToDate(state, request);
}

// consensus.md §1.4, right column: who hears a live leader refuses.
bool GrantsPreVote(const RaftState& state, const VoteRequest& request) {
  if (state.is_quarantined || std::holds_alternative<Leader>(state.role)) {
    return false;
  }
  const auto* follower = std::get_if<Follower>(&state.role);
  // An observer never gives its leader up, but its word must not shield a silent one: it may be a
  // voter that does not know it yet.
  const bool hears_leader = follower != nullptr && follower->has_fetched &&
                            (IsVoter(state) || state.now.now < follower->fetch_deadline);
  if (hears_leader && !KVORUM_MUTANT(R18b)) {
    return false;
  }
  return IsLogUpToDate(state, request);
}

// A voter that campaigns itself has dropped the veto with which it refused us: ask it again, else
// two prospectives whose logs differ wait for each other until their timers end.
void ForgetRefusal(RaftState& state, NodeId from) {
  auto* prospective = std::get_if<Prospective>(&state.role);
  if (prospective == nullptr) {
    return;
  }
  const auto it = prospective->tally.answers.find(from);
  if (it != prospective->tally.answers.end() && !it->second) {
    prospective->tally.answers.erase(it);
  }
}

// Another follower of the same lost leader is ahead of us: two campaigns at once split the vote,
// and a lost vote is waited out. Not the election timer, which a pre-vote must not touch (KIP-996),
// but the early campaign that a closed port has called for.
void LetGoFirst(RaftState& state) {
  auto* follower = std::get_if<Follower>(&state.role);
  if (follower != nullptr && follower->campaign_at.has_value()) {
    follower->campaign_at = std::max(*follower->campaign_at, state.now.now + 2 * kCampaignStagger);
  }
}

ElectionTally* TallyOf(RaftState& state) {
  if (auto* prospective = std::get_if<Prospective>(&state.role)) {
    return &prospective->tally;
  }
  auto* candidate = std::get_if<Candidate>(&state.role);
  return candidate == nullptr ? nullptr : &candidate->tally;
}

void AskVoters(RaftState& state, const ElectionTally& tally, bool pre_vote) {
  for (const auto& [id, voter] : Voters(state).voters()) {
    if (tally.has_answer(id) || !IsReady(state, id)) {
      continue;
    }
    Send(state, voter,
         VoteRequest{.header = MakeHeader(state, voter.key),
                     .epoch = state.epoch,
                     .log_end = state.log.end_position(),
                     .pre_vote = pre_vote},
         state.config.request_timeout);
  }
}

void PollProspective(RaftState& state, const Prospective& role) {
  const VoterSet& voters = Voters(state);
  if (role.tally.is_won(voters)) {
    BecomeCandidate(state);
  } else if (role.tally.is_lost(voters) || role.election_deadline <= state.now.now) {
    if (role.leader.has_value()) {
      BecomeFollower(state, state.epoch, *role.leader);
    } else if (role.leader_id.has_value() && voters.Find(*role.leader_id) != nullptr) {
      BecomeFollower(state, state.epoch, *voters.Find(*role.leader_id));
    } else {
      BecomeUnattached(state, state.epoch, role.leader_id);
    }
  } else {
    AskVoters(state, role.tally, /*pre_vote=*/true);
    PollProbing(state);
  }
}

void PollCandidate(RaftState& state, const Candidate& role) {
  if (role.tally.is_won(Voters(state))) {
    BecomeLeader(state);
  } else if (role.election_deadline <= state.now.now) {
    BecomeProspective(state);
  } else {
    // A lost vote is waited out too: leaving early live-locks elections (KAFKA-18345).
    AskVoters(state, role.tally, /*pre_vote=*/false);
  }
}

}  // namespace

void OnVoteRequest(RaftState& state, RequestToken token, const VoteRequest& request) {
  if (!IsSane(request)) {
    Trace(state, RaftTraceKind::kRequestRejected,
          {.peer = request.header.sender.node_id, .detail = "invalid vote request"});
    ReplyError(state, token, request, RaftError::kInvalidRequest);
    return;
  }
  if (request.epoch < state.epoch) {
    ReplyError(state, token, request, RaftError::kFencedLeaderEpoch);
    return;
  }
  if (request.epoch > state.epoch) {
    BecomeUnattached(state, request.epoch, std::nullopt);
  }
  const NodeId candidate = request.header.sender.node_id;
  const bool granted =
      request.pre_vote ? GrantsPreVote(state, request) : GrantsVote(state, request);
  if (granted && !request.pre_vote) {
    RecordVote(state, request.header.sender);
  }
  if (!granted && request.pre_vote) {
    ForgetRefusal(state, candidate);
  }
  if (granted && request.pre_vote) {
    LetGoFirst(state);
  }
  const RaftTraceKind kind =
      request.pre_vote
          ? (granted ? RaftTraceKind::kPreVoteGranted : RaftTraceKind::kPreVoteRejected)
          : (granted ? RaftTraceKind::kVoteGranted : RaftTraceKind::kVoteRejected);
  Trace(state, kind, {.peer = candidate});
  Reply(
      state, token,
      VoteResponse{.header = MakeResponseHeader(state, RaftError::kNone), .vote_granted = granted});
}

void OnVoteResponse(RaftState& state, NodeId from, const VoteResponse& response) {
  // Answers to another role's requests are stale: its conversations ended with it.
  if (ElectionTally* tally = TallyOf(state); tally != nullptr) {
    tally->answers[from] = response.vote_granted;
  }
}

void PollElection(RaftState& state) {
  if (const auto* prospective = std::get_if<Prospective>(&state.role)) {
    PollProspective(state, *prospective);
  } else {
    PollCandidate(state, std::get<Candidate>(state.role));
  }
}

TimePoint ElectionDeadline(const RaftState& state) {
  const auto* prospective = std::get_if<Prospective>(&state.role);
  const ElectionTally& tally =
      prospective != nullptr ? prospective->tally : std::get<Candidate>(state.role).tally;
  TimePoint earliest = prospective != nullptr
                           ? std::min(prospective->election_deadline, ProbingDeadline(state))
                           : std::get<Candidate>(state.role).election_deadline;
  for (const auto& [id, voter] : Voters(state).voters()) {
    if (!tally.has_answer(id)) {
      earliest = std::min(earliest, NextReady(state, id));
    }
  }
  return earliest;
}

}  // namespace kvorum::raft
