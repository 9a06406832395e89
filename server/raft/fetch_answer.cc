#include "server/raft/fetch_answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "server/base/mutants.h"
#include "server/raft/leadership.h"
#include "server/raft/outbox.h"
#include "server/raft/reads.h"
#include "server/raft/transfer.h"

namespace kvorum::raft {
namespace {

bool IsSane(const FetchRequest& request) {
  return request.fetch_offset >= Offset(0) && request.last_fetched_epoch >= Epoch(0) &&
         request.last_fetched_epoch <= request.current_leader_epoch &&
         request.high_watermark.value_or(Offset(0)) >= Offset(0);
}

enum class Position { kValid, kDiverging, kNeedsSnapshot, kCorrupt };

// Nothing of this log joins on to the requester's: below its start, or of an older epoch than the
// snapshot it begins with. And an empty replica loads the snapshot rather than the log.
bool NeedsSnapshot(const RaftState& state, Offset offset, Epoch last_epoch) {
  const LogShape& log = state.log;
  if (offset == Offset(0)) {
    return !state.snapshots.empty();
  }
  if (log.start() == Offset(0)) {
    return false;
  }
  const Epoch below_start = *log.EpochBelow(log.start());
  return offset < log.start() || last_epoch < below_start ||
         (offset == log.start() && last_epoch != below_start);
}

// Compares the requester's log end with our log (consensus.md §3.5). Same offset and epoch with
// another chain is not divergence, which truncation heals, but damage, which it would hide.
Position Validate(const RaftState& state, const FetchRequest& request, EpochEnd& diverging) {
  const LogShape& log = state.log;
  const Offset offset = request.fetch_offset;
  if (NeedsSnapshot(state, offset, request.last_fetched_epoch)) {
    return Position::kNeedsSnapshot;
  }
  if (offset > Offset(0)) {
    const EpochEnd local = log.EndOffsetForEpoch(request.last_fetched_epoch);
    if (local.epoch != request.last_fetched_epoch || local.end_offset < offset) {
      diverging = local;
      return Position::kDiverging;
    }
  }
  if (offset < log.oldest_known_end()) {
    // Committed and forgotten here: the requester checks the chain of what it is sent.
    return Position::kValid;
  }
  return log.ChainAt(offset) == request.last_chain_hash ? Position::kValid : Position::kCorrupt;
}

FetchResponse MakeResponse(const RaftState& state) {
  FetchResponse response;
  response.header = MakeResponseHeader(state, RaftError::kNone);
  response.high_watermark = std::get<Leader>(state.role).high_watermark;
  response.log_start_offset = state.log.start();
  response.log_end_offset = state.log.end();
  response.round = state.round;
  return response;
}

bool IsBehindHighWatermark(const RaftState& state, const std::optional<Offset>& theirs) {
  return theirs < std::get<Leader>(state.role).high_watermark;
}

void AnswerOrPark(RaftState& state, RequestToken token, const FetchRequest& request) {
  const ReplicaKey& replica = request.header.sender;
  const Duration max_wait = std::min<Duration>(std::chrono::milliseconds(request.max_wait_ms),
                                               state.config.fetch_max_wait);
  const WaitingFetch fetch{
      .token = token,
      .replica = replica,
      .fetch_offset = request.fetch_offset,
      .high_watermark = request.high_watermark,
      .max_bytes = std::clamp<uint32_t>(request.max_bytes, 1, state.config.fetch_max_bytes),
      .round = request.round,
      .deadline = state.now.now + max_wait};
  const bool is_news =
      fetch.fetch_offset < state.log.end() ||
      (IsBehindHighWatermark(state, fetch.high_watermark) && !KVORUM_MUTANT(R42)) ||
      NeedsRound(state, fetch);
  if (is_news || max_wait <= Duration::zero() ||
      state.waiting_fetches.size() >= state.config.max_parked_fetches) {
    AnswerFetch(state, fetch);
  } else {
    state.waiting_fetches.Add(fetch);
  }
}

void AnswerDiverging(RaftState& state, RequestToken token, const FetchRequest& request,
                     const EpochEnd& diverging) {
  Trace(state, RaftTraceKind::kDivergingFetch,
        {.peer = request.header.sender.node_id, .offset = diverging.end_offset});
  FetchResponse response = MakeResponse(state);
  response.diverging_epoch = diverging;
  Reply(state, token, std::move(response));
}

void AnswerWithSnapshot(RaftState& state, RequestToken token) {
  FetchResponse response = MakeResponse(state);
  response.snapshot_id = state.snapshots.back().id;
  Reply(state, token, std::move(response));
}

void Refuse(RaftState& state, RequestToken token, const FetchRequest& request, RaftError error,
            std::string why) {
  Trace(state, RaftTraceKind::kRequestRejected,
        {.peer = request.header.sender.node_id,
         .offset = request.fetch_offset,
         .detail = std::move(why)});
  ReplyError(state, token, request, error);
}

}  // namespace

RaftError CheckLeader(const RaftState& state, Epoch requested) {
  if (requested < state.epoch) {
    return RaftError::kFencedLeaderEpoch;
  }
  if (requested > state.epoch) {
    return RaftError::kUnknownLeaderEpoch;
  }
  return std::holds_alternative<Leader>(state.role) ? RaftError::kNone
                                                    : RaftError::kNotLeaderOrFollower;
}

ReplicaProgress* ProgressOf(RaftState& state, const ReplicaKey& replica) {
  auto& progress = std::get<Leader>(state.role).progress;
  const auto it = progress.find(replica);
  if (it != progress.end()) {
    return &it->second;
  }
  if (progress.size() >= kMaxTrackedObservers + Voters(state).size()) {
    return nullptr;
  }
  return &progress[replica];
}

void OnFetchRequest(RaftState& state, RequestToken token, const FetchRequest& request) {
  const ReplicaKey& replica = request.header.sender;
  if (!IsSane(request)) {
    Refuse(state, token, request, RaftError::kInvalidRequest, "invalid fetch request");
    return;
  }
  if (const RaftError error = CheckLeader(state, request.current_leader_epoch);
      error != RaftError::kNone) {
    if (error == RaftError::kUnknownLeaderEpoch) {
      OnFetchOfLaterEpoch(state);
    }
    ReplyError(state, token, request, error);
    return;
  }
  // A replica has one fetch in flight: it does not wait for the older one's answer any more.
  if (const auto older = state.waiting_fetches.Take(replica)) {
    Reply(state, older->token, MakeResponse(state));
  }
  EpochEnd diverging;
  const Position position = Validate(state, request, diverging);
  if (position == Position::kCorrupt) {
    Refuse(state, token, request, RaftError::kCorruptLog, "other log at the same offset and epoch");
    return;
  }
  ReplicaProgress* progress = ProgressOf(state, replica);
  if (progress != nullptr && request.is_quarantined && !KVORUM_MUTANT(QuarantineCounts)) {
    // Its word counts for nothing; nor does what it said before its disk forgot.
    *progress = ReplicaProgress();
    progress = nullptr;
  }
  if (progress != nullptr) {
    // Only what we gave out counts as an echo.
    progress->OnContact(state.now.now, request.round <= state.round ? request.round : 0);
  }
  if (position == Position::kNeedsSnapshot) {
    AnswerWithSnapshot(state, token);
    MaybeConfirmReads(state);
    return;
  }
  if (position == Position::kDiverging) {
    AnswerDiverging(state, token, request, diverging);
    MaybeConfirmReads(state);
    return;
  }
  if (progress != nullptr) {
    progress->OnFetch(state.now.now, request.fetch_offset, state.log.end());
  }
  MaybeAdvanceHighWatermark(state);
  MaybeConfirmReads(state);
  AnswerOrPark(state, token, request);
}

void AnswerFetch(RaftState& state, const WaitingFetch& fetch) {
  std::optional<FetchRange> read;
  if (fetch.fetch_offset < state.log.end()) {
    read =
        FetchRange{.from = fetch.fetch_offset, .to = state.log.end(), .max_bytes = fetch.max_bytes};
  }
  Reply(state, fetch.token, MakeResponse(state), read);
}

}  // namespace kvorum::raft
