#include "server/raft/snapshots.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "server/base/check.h"
#include "server/base/mutants.h"
#include "server/raft/fetch_answer.h"
#include "server/raft/fetching.h"
#include "server/raft/outbox.h"
#include "server/raft/peers.h"

namespace kvorum::raft {
namespace {

const SnapshotManifest* FindSnapshot(const RaftState& state, const SnapshotId& id) {
  const auto it = std::find_if(state.snapshots.begin(), state.snapshots.end(),
                               [&](const SnapshotManifest& snapshot) { return snapshot.id == id; });
  return it == state.snapshots.end() ? nullptr : &*it;
}

// The copy under way, if `id` is what it copies and it is at `stage`.
SnapshotCopy* CopyOf(RaftState& state, const SnapshotId& id, SnapshotCopy::Stage stage) {
  auto* follower = std::get_if<Follower>(&state.role);
  if (follower == nullptr || !follower->snapshot.has_value() || follower->snapshot->id != id ||
      follower->snapshot->stage != stage) {
    return nullptr;
  }
  return &*follower->snapshot;
}

void DropCopy(RaftState& state, NodeId from, std::string why) {
  std::get<Follower>(state.role).snapshot.reset();
  Trace(state, RaftTraceKind::kRequestRejected,
        {.peer = from, .detail = fmt::format("snapshot copy dropped: {}", why)});
  BackOff(state, from);
}

// The leader lives and has answered: each chunk is worth as much as a fetch.
void NoteProgress(RaftState& state) {
  auto& follower = std::get<Follower>(state.role);
  follower.has_fetched = true;
  follower.campaign_at.reset();
  follower.fetch_deadline = NextFetchDeadline(state, follower.leader_id());
}

void Freeze(RaftState& state, SnapshotCopy& copy) {
  copy.stage = SnapshotCopy::Stage::kFreezing;
  state.effects.freeze_snapshot = copy.manifest;
}

bool IsSane(const SnapshotManifest& manifest) {
  return manifest.chunk_count >= 0 && manifest.size_bytes >= 0;
}

// Why this answer is not the next piece of `copy`; empty if it is.
std::string WhyNotNext(const SnapshotCopy& copy, const FetchSnapshotResponse& response) {
  if (response.manifest.id != copy.id || response.position != copy.chunks) {
    return fmt::format("chunk {} of {}, wanted {} of {}", response.position, response.manifest.id,
                       copy.chunks, copy.id);
  }
  if (!IsSane(response.manifest) ||
      (copy.manifest.has_value() && *copy.manifest != response.manifest)) {
    return "another manifest";
  }
  const bool is_end = copy.chunks >= response.manifest.chunk_count;
  return is_end == response.chunk.empty() ? std::string() : "chunk does not go with the manifest";
}

}  // namespace

void OnFetchSnapshotRequest(RaftState& state, RequestToken token,
                            const FetchSnapshotRequest& request) {
  const ReplicaKey& replica = request.header.sender;
  if (const RaftError error = CheckLeader(state, request.current_leader_epoch);
      error != RaftError::kNone) {
    ReplyError(state, token, request, error);
    return;
  }
  const SnapshotManifest* manifest = FindSnapshot(state, request.snapshot_id);
  if (manifest == nullptr) {
    ReplyError(state, token, request, RaftError::kSnapshotNotFound);
    return;
  }
  // One without chunks is asked for once, for its manifest.
  const bool is_whole = request.position == 0 && manifest->chunk_count == 0;
  if (request.position < 0 || (request.position >= manifest->chunk_count && !is_whole)) {
    ReplyError(state, token, request, RaftError::kPositionOutOfRange);
    return;
  }
  // Of a voter this is contact for check-quorum; it acknowledges nothing (consensus.md §2.5).
  if (ReplicaProgress* progress = ProgressOf(state, replica); progress != nullptr) {
    progress->OnContact(state.now.now, 0);
    // A follower without news for a fetch timeout gives its copy up; what it asked for before that
    // may come late.
    progress->OnSnapshotFetch(request.snapshot_id, request.position,
                              state.now.now + 2 * state.config.fetch_timeout);
  }
  FetchSnapshotResponse response;
  response.header = MakeResponseHeader(state, RaftError::kNone);
  response.manifest = *manifest;
  response.position = request.position;
  if (is_whole) {
    Reply(state, token, std::move(response));
  } else {
    ReplyWithChunk(state, token, std::move(response), {request.snapshot_id, request.position});
  }
}

std::optional<SnapshotLease> OldestSnapshotLease(const RaftState& state, TimePoint now) {
  std::optional<SnapshotLease> oldest;
  if (const auto* leader = std::get_if<Leader>(&state.role)) {
    for (const auto& [key, progress] : leader->progress) {
      const std::optional<SnapshotLease>& lease = progress.snapshot_lease();
      if (lease.has_value() && lease->until > now &&
          (!oldest.has_value() || lease->id.offset < oldest->id.offset)) {
        oldest = lease;
      }
    }
  }
  return oldest;
}

void BeginSnapshotCopy(RaftState& state, NodeId from, const SnapshotId& id) {
  // At or below what is known to be committed here it would undo commits; from an epoch to come it
  // is no snapshot of this leader.
  if (id.offset <= state.high_watermark.value_or(Offset(0)) || id.epoch < Epoch(1) ||
      id.epoch > state.epoch) {
    DropCopy(state, from, fmt::format("the leader names {}", id));
    return;
  }
  auto& follower = std::get<Follower>(state.role);
  follower.snapshot = SnapshotCopy{.id = id, .manifest = std::nullopt};
  NoteProgress(state);
}

void SendFetchSnapshot(RaftState& state, const Voter& to) {
  const SnapshotCopy& copy = *std::get<Follower>(state.role).snapshot;
  Send(state, to,
       FetchSnapshotRequest{.header = MakeHeader(state, to.key),
                            .current_leader_epoch = state.epoch,
                            .snapshot_id = copy.id,
                            .position = copy.chunks},
       state.config.request_timeout);
  state.fetch_target = to.key.node_id;
}

void OnFetchSnapshotResponse(RaftState& state, NodeId from, const FetchSnapshotResponse& response) {
  SnapshotCopy* copy = CopyOf(state, response.manifest.id, SnapshotCopy::Stage::kAsking);
  if (copy == nullptr) {
    return;
  }
  if (std::string why = WhyNotNext(*copy, response); !why.empty()) {
    DropCopy(state, from, std::move(why));
    return;
  }
  ClearFailures(state, from);
  NoteProgress(state);
  copy->manifest = response.manifest;
  if (response.chunk.empty()) {
    Freeze(state, *copy);
    return;
  }
  copy->stage = SnapshotCopy::Stage::kStoring;
  state.effects.store_chunk =
      StoreSnapshotChunk{.id = copy->id, .index = copy->chunks, .chunk = response.chunk};
}

void OnFetchSnapshotRefused(RaftState& state, NodeId from, RaftError error) {
  auto* follower = std::get_if<Follower>(&state.role);
  const bool is_gone =
      error == RaftError::kSnapshotNotFound || error == RaftError::kPositionOutOfRange;
  if (follower != nullptr && follower->snapshot.has_value() && is_gone) {
    DropCopy(state, from, "the leader has it no more");
  }
}

void OnSnapshotChunkStored(RaftState& state, const SnapshotChunkStored& event) {
  SnapshotCopy* copy = CopyOf(state, event.id, SnapshotCopy::Stage::kStoring);
  if (copy == nullptr || event.index != copy->chunks) {
    return;  // of a copy that was given up
  }
  ++copy->chunks;
  copy->stage = SnapshotCopy::Stage::kAsking;
  NoteProgress(state);
  if (copy->chunks == copy->manifest->chunk_count) {
    Freeze(state, *copy);
  }
}

void OnSnapshotFrozen(RaftState& state, const SnapshotFrozen& event) {
  SnapshotCopy* copy = CopyOf(state, event.id, SnapshotCopy::Stage::kFreezing);
  if (copy == nullptr) {
    if (event.is_good && FindSnapshot(state, event.id) == nullptr) {
      state.effects.delete_snapshots.push_back(event.id);  // the role it was fetched for is over
    }
    return;
  }
  const SnapshotManifest manifest = *copy->manifest;
  auto& follower = std::get<Follower>(state.role);
  if (!event.is_good) {
    DropCopy(state, follower.leader_id(), "its digest is wrong");
    return;
  }
  follower.snapshot.reset();
  NoteProgress(state);
  state.snapshots.push_back(manifest);
  InstallSnapshot(state, manifest);
}

void OnSnapshotTaken(RaftState& state, const SnapshotTaken& event) {
  const SnapshotManifest& manifest = event.manifest;
  if (manifest.id.offset <= state.log.start() ||
      (!state.snapshots.empty() && manifest.id.offset <= state.snapshots.back().id.offset)) {
    // A newer one was installed while this one was made.
    if (FindSnapshot(state, manifest.id) == nullptr) {
      state.effects.delete_snapshots.push_back(manifest.id);
    }
    return;
  }
  KVORUM_CHECK(manifest.id.offset <= state.high_watermark.value_or(Offset(0)),
               "snapshot at {} above the high watermark", manifest.id.offset);
  KVORUM_CHECK(state.log.EpochBelow(manifest.id.offset) == manifest.id.epoch,
               "snapshot {} is none of this log", manifest.id);
  state.snapshots.push_back(manifest);
  Trace(state, RaftTraceKind::kSnapshotTaken, {.offset = manifest.id.offset});
}

void OnMoveLogStart(RaftState& state, const MoveLogStart& event) {
  const bool is_snapshot = std::any_of(
      state.snapshots.begin(), state.snapshots.end(),
      [&](const SnapshotManifest& snapshot) { return snapshot.id.offset == event.offset; });
  KVORUM_CHECK(is_snapshot, "log start {} without a snapshot there (KAFKA-14238)", event.offset);
  if (event.offset > state.log.start() && event.offset <= state.log.durable_end()) {
    TruncateLogPrefix(state, event.offset);
  }
}

void InstallRecoveredSnapshot(RaftState& state) {
  if (state.snapshots.empty()) {
    return;
  }
  const SnapshotManifest newest = state.snapshots.back();
  // Epochs first: a longer log of an older epoch is not newer (consensus.md §3.6).
  if (!IsUpToDate(state.log.end_position(), newest.id) && !KVORUM_MUTANT(R13)) {
    InstallSnapshot(state, newest);
  }
}

void ReleaseDoomedSnapshots(RaftState& state) {
  auto& doomed = state.doomed_snapshots;
  while (!doomed.empty() && state.pending_writes.IsDone(doomed.front().after)) {
    state.effects.delete_snapshots.push_back(doomed.front().id);
    doomed.erase(doomed.begin());
  }
}

}  // namespace kvorum::raft
