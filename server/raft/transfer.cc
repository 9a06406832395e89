#include "server/raft/transfer.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "server/raft/membership.h"
#include "server/raft/outbox.h"
#include "server/raft/transitions.h"

namespace kvorum::raft {
namespace {

void Answer(RaftState& state, ChangeToken token, ChangeError error, std::string detail) {
  state.effects.changes.push_back(QuorumChangeDone{
      .token = token, .error = error, .detail = std::move(detail), .voters = Voters(state)});
}

void Finish(RaftState& state, ChangeError error, std::string detail) {
  const PendingTransfer transfer = *std::exchange(state.transfer, std::nullopt);
  Answer(state, transfer.token, error, std::move(detail));
}

void GiveUp(RaftState& state, const std::optional<ReplicaKey>& first, std::string why) {
  const std::vector<ReplicaKey> successors = SuccessorsOf(state);
  const ReplicaKey& successor = first.has_value()     ? *first
                                : !successors.empty() ? successors.front()
                                                      : state.config.self;
  Trace(state, RaftTraceKind::kLeadershipGivenUp,
        {.peer = successor.node_id, .detail = std::move(why)});
  BecomeResigned(state, HandOver::kTransfer, first);
}

void PollTarget(RaftState& state) {
  const auto& leader = std::get<Leader>(state.role);
  const PendingTransfer& transfer = *state.transfer;
  if (!Voters(state).Contains(transfer.target)) {
    Finish(state, ChangeError::kVoterNotFound, fmt::format("{} is no voter", transfer.target));
    return;
  }
  const auto it = leader.progress.find(transfer.target);
  if (it != leader.progress.end() && it->second.log_end_offset() == state.log.end()) {
    GiveUp(state, transfer.target, "asked to");
  } else if (transfer.catch_up_deadline <= state.now.now) {
    Finish(
        state, ChangeError::kNotCaughtUp,
        fmt::format("{} did not reach the log's end {} in time", transfer.target, state.log.end()));
  }
}

TimePoint DiskStallDeadline(const RaftState& state) {
  const TimePoint oldest = state.pending_writes.oldest();
  return state.config.disk_stall_timeout == Duration::zero() || oldest == kNever
             ? kNever
             : oldest + state.config.disk_stall_timeout;
}

// Voters whose loop and disk work: a follower fetches only when all its writes are done.
size_t CountFit(const RaftState& state, const Leader& leader) {
  size_t count = 0;
  const TimePoint since = state.now.now - state.config.fetch_timeout * 2 / 3;
  for (const auto& [id, voter] : Voters(state).voters()) {
    const auto it = leader.progress.find(voter.key);
    count += it != leader.progress.end() && it->second.WasHeardSince(since) &&
                     it->second.log_end_offset() >= leader.high_watermark
                 ? 1
                 : 0;
  }
  return count;
}

void PollHealth(RaftState& state) {
  const auto& leader = std::get<Leader>(state.role);
  const bool is_disk_stalled = DiskStallDeadline(state) <= state.now.now;
  const bool is_loop_stalled = leader.stalled_at.has_value() &&
                               state.now.now - *leader.stalled_at < state.config.fetch_timeout;
  if ((!is_disk_stalled && !is_loop_stalled) || !leader.high_watermark.has_value()) {
    return;
  }
  // A stalled disk cannot record this node's vote for the successor: the others must do alone.
  const size_t majority = Voters(state).majority();
  const size_t needed = is_disk_stalled ? majority : std::max<size_t>(1, majority - 1);
  if (CountFit(state, leader) >= needed) {
    GiveUp(state, std::nullopt, is_disk_stalled ? "its disk has stalled" : "its loop has stalled");
  }
}

}  // namespace

void OnTransferLeadership(RaftState& state, const TransferLeadership& event) {
  const auto* leader = std::get_if<Leader>(&state.role);
  if (leader == nullptr || IsShuttingDown(state)) {
    Answer(state, event.token, ChangeError::kNotLeader, "");
    return;
  }
  const Voter* target = Voters(state).Find(event.target);
  if (target == nullptr) {
    Answer(state, event.token, ChangeError::kVoterNotFound,
           fmt::format("node {} is no voter", event.target));
  } else if (target->key == state.config.self) {
    Answer(state, event.token, ChangeError::kNone, "");
  } else if (state.transfer.has_value() || leader->change.has_value()) {
    Answer(state, event.token, ChangeError::kChangePending,
           "another transfer or change of the voters is under way");
  } else if (!leader->high_watermark.has_value()) {
    Answer(state, event.token, ChangeError::kNothingCommitted,
           fmt::format("epoch {} has committed nothing yet", state.epoch));
  } else if (!IsCaughtUpLately(state, target->key)) {
    Answer(state, event.token, ChangeError::kNotCaughtUp,
           fmt::format("{} is silent or behind the log's end {}", target->key, state.log.end()));
  } else if (event.is_dry_run) {
    Answer(state, event.token, ChangeError::kNone, "");
  } else {
    state.transfer =
        PendingTransfer{.token = event.token,
                        .target = target->key,
                        .epoch = state.epoch,
                        .catch_up_deadline =
                            std::min(event.deadline, state.now.now + state.config.election_timeout),
                        .deadline = event.deadline};
  }
}

void PollHandOver(RaftState& state) {
  if (state.transfer.has_value()) {
    PollTarget(state);
  } else {
    PollHealth(state);
  }
}

TimePoint HandOverDeadline(const RaftState& state) {
  if (state.transfer.has_value()) {
    return state.transfer->catch_up_deadline;
  }
  const TimePoint disk = DiskStallDeadline(state);
  return disk > state.now.now ? disk : kNever;
}

void OnFetchOfLaterEpoch(RaftState& state) {
  const auto* leader = std::get_if<Leader>(&state.role);
  // Not more often than elections come anyway, whatever is sent here.
  if (leader == nullptr || !leader->high_watermark.has_value() || state.transfer.has_value() ||
      state.now.now - leader->since < state.config.fetch_timeout) {
    return;
  }
  const size_t fit = CountFit(state, *leader) + (IsVoter(state) ? 1 : 0);
  if (fit >= Voters(state).majority()) {
    GiveUp(state, std::nullopt, "a replica is in a later epoch");
  }
}

void NoteLoopGap(RaftState& state) {
  auto* leader = std::get_if<Leader>(&state.role);
  if (leader != nullptr && state.config.loop_stall_timeout > Duration::zero() &&
      state.due != kNever && state.now.now - state.due >= state.config.loop_stall_timeout) {
    leader->stalled_at = state.now.now;
  }
}

void PollTransfer(RaftState& state) {
  if (!state.transfer.has_value() ||
      (std::holds_alternative<Leader>(state.role) && state.epoch == state.transfer->epoch)) {
    return;
  }
  const std::optional<NodeId> leader = KnownLeader(state);
  if (state.epoch > state.transfer->epoch && leader.has_value()) {
    if (leader == state.transfer->target.node_id) {
      Finish(state, ChangeError::kNone, "");
    } else {
      Finish(state, ChangeError::kOtherLeader,
             fmt::format("node {} leads epoch {}", *leader, state.epoch));
    }
  } else if (state.transfer->deadline <= state.now.now) {
    FailTransfer(state, "no leader was known in time");
  }
}

void FailTransfer(RaftState& state, std::string why) {
  if (state.transfer.has_value()) {
    Finish(state, ChangeError::kUnknown, std::move(why));
  }
}

}  // namespace kvorum::raft
