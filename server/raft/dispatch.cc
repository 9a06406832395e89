#include "server/raft/dispatch.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "server/base/mutants.h"
#include "server/base/overloaded.h"
#include "server/raft/election.h"
#include "server/raft/fetch_answer.h"
#include "server/raft/fetching.h"
#include "server/raft/leadership.h"
#include "server/raft/membership.h"
#include "server/raft/outbox.h"
#include "server/raft/peers.h"
#include "server/raft/snapshots.h"
#include "server/raft/transfer.h"
#include "server/raft/transitions.h"

namespace kvorum::raft {
namespace {

void TraceRejected(RaftState& state, NodeId peer, std::string why) {
  Trace(state, RaftTraceKind::kRequestRejected, {.peer = peer, .detail = std::move(why)});
}

// Not for us: nothing changes, not even the epoch (KAFKA-10817, KIP-853).
// Only a question may be addressed to whoever is there.
RaftError CheckIdentity(const RaftState& state, const RaftRequest& request) {
  const RequestHeader& header = HeaderOf(request);
  const bool is_for_anyone = std::holds_alternative<FetchRequest>(request);
  if ((header.cluster_id != state.config.cluster_id ||
       header.generation != state.config.generation) &&
      !KVORUM_MUTANT(R35)) {
    return RaftError::kInconsistentClusterId;
  }
  const bool is_ours = header.receiver == state.config.self ||
                       (is_for_anyone && header.receiver.node_id == kAnyNode);
  if (!is_ours && !KVORUM_MUTANT(R35b)) {
    return RaftError::kInvalidVoterKey;
  }
  const bool is_sane =
      header.sender.node_id >= NodeId(0) && header.sender.node_id != state.config.self.node_id;
  return is_sane ? RaftError::kNone : RaftError::kInvalidRequest;
}

Epoch EpochOf(const RaftRequest& request) {
  return std::visit(Overloaded{[](const VoteRequest& r) { return r.epoch; },
                               [](const BeginQuorumEpochRequest& r) { return r.leader_epoch; },
                               [](const EndQuorumEpochRequest& r) { return r.leader_epoch; },
                               [](const FetchRequest& r) { return r.current_leader_epoch; },
                               [](const FetchSnapshotRequest& r) { return r.current_leader_epoch; },
                               [](const UpdateVoterRequest& r) { return r.current_leader_epoch; }},
                    request);
}

bool IsSaneEpoch(const RaftState& state, Epoch epoch) {
  return epoch >= Epoch(0) &&
         int64_t{epoch.value()} <= int64_t{state.epoch.value()} + kMaxEpochJump;
}

// Begin- and EndQuorumEpoch name their sender as leader. Follows it if that is news; an error if it
// is too old or cannot be.
RaftError FollowSender(RaftState& state, const RequestHeader& header, Epoch epoch) {
  const NodeId sender = header.sender.node_id;
  std::optional<Voter> told;
  if (header.sender_address.has_value()) {
    told = Voter{.key = header.sender, .address = *header.sender_address};
  }
  if (epoch < Epoch(1)) {
    return RaftError::kInvalidRequest;
  }
  if (epoch < state.epoch) {
    return RaftError::kFencedLeaderEpoch;
  }
  if (epoch > state.epoch) {
    AdoptEpoch(state, epoch, sender, told);
    return RaftError::kNone;
  }
  const std::optional<NodeId> known = LeaderOfEpoch(state);
  if (known.has_value() && *known != sender) {
    // Two leaders in one epoch cannot be; never switch silently.
    TraceRejected(state, sender, fmt::format("leader of this epoch is {}", *known));
    return RaftError::kInvalidRequest;
  }
  if (!known.has_value() || (told.has_value() && RoleOf(state) == Role::kUnattached)) {
    LearnLeader(state, sender, told);
  } else if (auto* follower = std::get_if<Follower>(&state.role);
             follower != nullptr && told.has_value()) {
    follower->leader = *told;  // it may have moved
  }
  return RaftError::kNone;
}

void OnBeginQuorumEpoch(RaftState& state, RequestToken token,
                        const BeginQuorumEpochRequest& request) {
  if (state.config.is_observer_only && !IsVoter(state)) {
    // Sent to those who vote, or are about to: it is the dial of a leader that was told to add us.
    ReplyError(state, token, request, RaftError::kObserverOnly);
    return;
  }
  // Not a proof that fetching works: the fetch timer keeps running.
  const RaftError error = FollowSender(state, request.header, request.leader_epoch);
  Reply(state, token, BeginQuorumEpochResponse{.header = MakeResponseHeader(state, error)});
}

// How long the `place`-th of `count` successors waits, so that they do not split the vote
// (KIP-595 "EndQuorumEpoch"). A place at `count`: not listed.
Duration SuccessorBackoff(Duration longest, size_t place, size_t count) {
  if (place == 0 && count > 0) {
    return Duration::zero();
  }
  if (place >= count) {
    return longest;
  }
  const int64_t first = longest.count() >> (count - 1);
  return std::min(longest, Duration(first << (place - 1)));
}

void OnEndQuorumEpoch(RaftState& state, RequestToken token, const EndQuorumEpochRequest& request) {
  const NodeId sender = request.header.sender.node_id;
  const auto& preferred = request.preferred_candidates;
  RaftError error = RaftError::kInvalidRequest;
  if (preferred.size() <= kMaxPreferredCandidates) {
    error = FollowSender(state, request.header, request.leader_epoch);
  }
  auto* follower = std::get_if<Follower>(&state.role);
  if (error == RaftError::kNone && follower != nullptr && follower->leader_id() == sender) {
    const auto it = std::find(preferred.begin(), preferred.end(), state.config.self);
    const auto place = static_cast<size_t>(it - preferred.begin());
    follower->fetch_deadline =
        state.now.now + SuccessorBackoff(state.config.election_timeout, place, preferred.size());
    // The leader itself says that it leads no more: nothing is left to protect with a veto.
    follower->has_fetched = false;
    if (request.is_transfer && place == 0 && MayElect(state) && !IsShuttingDown(state)) {
      // Everybody else may still veto a pre-vote, but the leader itself has asked.
      BecomeProspective(state);
      BecomeCandidate(state);
    }
  }
  Reply(state, token, EndQuorumEpochResponse{.header = MakeResponseHeader(state, error)});
}

// What the answer says of epoch and leader (consensus.md §2.0). True: the answer is of our epoch
// and role, and its handler may go on.
bool AdoptFromResponse(RaftState& state, NodeId from, const ResponseHeader& header) {
  const bool is_about_us = header.error == RaftError::kInconsistentClusterId ||
                           header.error == RaftError::kInvalidVoterKey;
  if (is_about_us || !IsSaneEpoch(state, header.leader_epoch)) {
    TraceRejected(state, from,
                  is_about_us ? "peer refuses our identity" : "absurd epoch in answer");
    NoteNotFound(state, from);
    return false;
  }
  if (header.leader_epoch < state.epoch) {
    NoteOlderLeader(state, header);
    return false;
  }
  const bool is_news = header.leader_epoch > state.epoch;
  const std::optional<NodeId> named = header.leader_id;
  const std::optional<NodeId> known = is_news ? std::nullopt : LeaderOfEpoch(state);
  if (named == state.config.self.node_id && known != named) {
    TraceRejected(state, from, fmt::format("names us leader of epoch {}", header.leader_epoch));
    return false;
  }
  if (is_news) {
    AdoptEpoch(state, header.leader_epoch, named, header.leader_voter);
    return false;
  }
  if (named.has_value() && known.has_value() && *named != *known) {
    TraceRejected(state, from, fmt::format("names leader {}, known is {}", *named, *known));
    return false;
  }
  const bool is_unreachable =
      header.leader_voter.has_value() && std::holds_alternative<Unattached>(state.role);
  if (named.has_value() && (!known.has_value() || is_unreachable)) {
    LearnLeader(state, *named, header.leader_voter);
    return false;
  }
  if (auto* follower = std::get_if<Follower>(&state.role);
      follower != nullptr && from != follower->leader_id() && header.leader_voter.has_value() &&
      header.leader_voter->key.node_id == follower->leader_id()) {
    // Asked because the leader did not answer where it was thought to be.
    follower->leader = *header.leader_voter;
  } else if (auto* prospective = std::get_if<Prospective>(&state.role);
             prospective != nullptr && header.leader_voter.has_value() &&
             header.leader_voter->key.node_id == prospective->leader_id) {
    prospective->leader = *header.leader_voter;
  }
  return header.error == RaftError::kNone;
}

// REQUIRES: the answer is of our epoch, without error, and to this role's request.
void HandleResponse(RaftState& state, NodeId from, const RaftResponse& response) {
  std::visit(
      Overloaded{[&](const VoteResponse& r) {
                   ClearFailures(state, from);
                   OnVoteResponse(state, from, r);
                 },
                 [&](const BeginQuorumEpochResponse&) {
                   ClearFailures(state, from);
                   if (from == kDialNode) {
                     OnDialed(state, ChangeError::kNone);
                   }
                 },
                 [&](const EndQuorumEpochResponse&) {
                   ClearFailures(state, from);
                   OnEndQuorumEpochResponse(state, from);
                 },
                 [&](const FetchResponse& r) {
                   if (KnownLeader(state) == from && RoleOf(state) == Role::kFollower) {
                     OnFetchResponse(state, from, r);
                   } else {
                     OnProbeFailed(state);
                   }
                 },
                 [&](const FetchSnapshotResponse& r) { OnFetchSnapshotResponse(state, from, r); },
                 [&](const UpdateVoterResponse&) { OnUpdateVoterResponse(state, from); }},
      response);
}

// Of a dial that was answered, but not with yes.
ChangeError DialResult(RaftError error) {
  switch (error) {
    case RaftError::kInvalidVoterKey:
    case RaftError::kInconsistentClusterId:
      return ChangeError::kOtherReplica;
    case RaftError::kObserverOnly:
      return ChangeError::kObserverOnly;
    default:
      return ChangeError::kUnreachable;
  }
}

}  // namespace

void OnRequest(RaftState& state, RequestReceived event) {
  const RequestHeader& header = HeaderOf(event.request);
  const NodeId sender = header.sender.node_id;
  if (const RaftError error = CheckIdentity(state, event.request); error != RaftError::kNone) {
    TraceRejected(state, sender, "not for this replica");
    ReplyError(state, event.token, event.request, error);
    return;
  }
  if (!IsSaneEpoch(state, EpochOf(event.request))) {
    TraceRejected(state, sender, fmt::format("absurd epoch {}", EpochOf(event.request)));
    ReplyError(state, event.token, event.request, RaftError::kInvalidRequest);
    return;
  }
  NoteAddress(state, header);
  std::visit(
      Overloaded{
          [&](const VoteRequest& r) { OnVoteRequest(state, event.token, r); },
          [&](const BeginQuorumEpochRequest& r) { OnBeginQuorumEpoch(state, event.token, r); },
          [&](const EndQuorumEpochRequest& r) { OnEndQuorumEpoch(state, event.token, r); },
          [&](const FetchRequest& r) { OnFetchRequest(state, event.token, r); },
          [&](const FetchSnapshotRequest& r) { OnFetchSnapshotRequest(state, event.token, r); },
          [&](const UpdateVoterRequest& r) { OnUpdateVoterRequest(state, event.token, r); }},
      event.request);
}

void OnResponse(RaftState& state, const ResponseReceived& event) {
  const auto peer = state.peers.find(event.from);
  const bool is_expected =
      peer != state.peers.end() && peer->second.request_index == event.response.index();
  if (!is_expected || !FinishRequest(state, event.from, event.id)) {
    return;
  }
  const Role role = RoleOf(state);
  const Epoch epoch = state.epoch;
  if (AdoptFromResponse(state, event.from, HeaderOf(event.response))) {
    HandleResponse(state, event.from, event.response);
  } else if (RoleOf(state) == role && state.epoch == epoch) {
    BackOff(state, event.from);
    if (event.from == kDialNode) {
      OnDialed(state, DialResult(HeaderOf(event.response).error));
    }
    if (std::holds_alternative<FetchResponse>(event.response)) {
      // Not if it is the leader that refuses: then the others must be asked, all the sooner.
      const bool is_followed = role == Role::kFollower && KnownLeader(state) == event.from;
      if (!is_followed) {
        OnProbeFailed(state);
      }
    } else if (std::holds_alternative<FetchSnapshotResponse>(event.response)) {
      OnFetchSnapshotRefused(state, event.from, HeaderOf(event.response).error);
    }
  }
}

void OnRequestFailed(RaftState& state, const RequestFailed& event) {
  const bool was_fetch = state.fetch_target == event.to;
  if (!FinishRequest(state, event.to, event.id)) {
    return;
  }
  NoteNotFound(state, event.to);
  if (was_fetch) {
    OnFetchFailed(state, event.to, event.failure);
    return;
  }
  BackOff(state, event.to);
  if (event.to == kDialNode) {
    OnDialed(state, ChangeError::kUnreachable);
  }
}

void OnBeginShutdown(RaftState& state) {
  if (IsShuttingDown(state)) {
    return;
  }
  state.shutdown_deadline = state.now.now + state.config.shutdown_timeout;
  if (std::holds_alternative<Leader>(state.role)) {
    BecomeResigned(state);
  }
  FailTransfer(state, "this controller is stopping");
}

}  // namespace kvorum::raft
