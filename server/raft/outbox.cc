#include "server/raft/outbox.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

#include "server/base/check.h"
#include "server/base/mutants.h"
#include "server/base/overloaded.h"
#include "server/raft/membership.h"
#include "server/raft/peers.h"

namespace kvorum::raft {
namespace {

QuorumState CurrentQuorumState(const RaftState& state) {
  return QuorumState{
      .epoch = state.epoch, .voted_key = state.voted_key, .leader_id = LeaderOfEpoch(state)};
}

// Gives `write` its id and hands it over. The log has been changed already.
void Submit(RaftState& state, StorageWrite write) {
  if (const QuorumState current = CurrentQuorumState(state); current != state.submitted) {
    write.quorum_state = current;
    state.submitted = current;
  }
  write.id = state.pending_writes.Add(state.log.end(), state.now.now);
  if (write.quorum_state.has_value()) {
    state.quorum_state_write = write.id;
  }
  state.effects.writes.push_back(std::move(write));
}

// They can go once the write that was submitted last is synced.
void DoomSnapshotsBelow(RaftState& state, Offset start) {
  auto& snapshots = state.snapshots;
  while (!snapshots.empty() && snapshots.front().id.offset < start) {
    state.doomed_snapshots.push_back(
        DoomedSnapshot{.id = snapshots.front().id, .after = state.pending_writes.last()});
    snapshots.erase(snapshots.begin());
  }
}

void TraceVoters(RaftState& state, const VoterSet& before) {
  if (before == Voters(state)) {
    return;
  }
  std::vector<int32_t> ids;
  for (const auto& [id, voter] : Voters(state).voters()) {
    ids.push_back(id.value());
  }
  Trace(state, RaftTraceKind::kVotersChanged,
        {.offset = state.voters.newest_offset(),
         .detail = fmt::format("voters={}", fmt::join(ids, ","))});
}

RaftError ToRaftError(ChangeError error) {
  switch (error) {
    case ChangeError::kNone:
      return RaftError::kNone;
    case ChangeError::kNotLeader:
    case ChangeError::kUnknown:
      return RaftError::kNotLeaderOrFollower;
    case ChangeError::kOtherReplica:
    case ChangeError::kVoterNotFound:
      return RaftError::kInvalidRequest;
    default:
      return RaftError::kRequestTimedOut;
  }
}

bool MayLeave(const RaftState& state) {
  return KVORUM_MUTANT(R01) || state.pending_writes.IsDone(state.quorum_state_write);
}

void Leave(RaftState& state, SendReply reply) {
  if (MayLeave(state)) {
    state.effects.replies.push_back(std::move(reply));
  } else {
    state.pending_writes.Hold(state.quorum_state_write, std::move(reply));
  }
}

RaftResponse MakeErrorResponse(const RaftRequest& request, ResponseHeader header) {
  return std::visit(
      Overloaded{
          [&](const VoteRequest&) -> RaftResponse { return VoteResponse{.header = header}; },
          [&](const BeginQuorumEpochRequest&) -> RaftResponse {
            return BeginQuorumEpochResponse{.header = header};
          },
          [&](const EndQuorumEpochRequest&) -> RaftResponse {
            return EndQuorumEpochResponse{.header = header};
          },
          [&](const FetchRequest&) -> RaftResponse { return FetchResponse{.header = header}; },
          [&](const FetchSnapshotRequest& r) -> RaftResponse {
            FetchSnapshotResponse response;
            response.header = header;
            response.manifest.id = r.snapshot_id;
            response.position = r.position;
            return response;
          },
          [&](const UpdateVoterRequest&) -> RaftResponse {
            return UpdateVoterResponse{.header = header};
          }},
      request);
}

}  // namespace

RequestHeader MakeHeader(const RaftState& state, const ReplicaKey& receiver) {
  return RequestHeader{.cluster_id = state.config.cluster_id,
                       .generation = state.config.generation,
                       .sender = state.config.self,
                       .receiver = receiver,
                       .sender_address = OwnAddress(state)};
}

ResponseHeader MakeResponseHeader(const RaftState& state, RaftError error) {
  ResponseHeader header{
      .error = error, .leader_epoch = state.epoch, .leader_id = KnownLeader(state)};
  if (std::holds_alternative<Leader>(state.role)) {
    if (const std::optional<PeerAddress> address = OwnAddress(state)) {
      header.leader_voter = Voter{.key = state.config.self, .address = *address};
    }
  } else if (const auto* follower = std::get_if<Follower>(&state.role)) {
    header.leader_voter =
        Voter{.key = follower->leader.key, .address = CurrentAddress(state, follower->leader)};
  }
  return header;
}

void Send(RaftState& state, const Voter& to, RaftRequest request, Duration timeout) {
  ++state.last_correlation_id;
  PeerConnection& peer = state.peers[to.key.node_id];
  peer.in_flight = state.last_correlation_id;
  peer.request_index = request.index();
  SendRequest send{.id = state.last_correlation_id,
                   .to = {.key = to.key, .address = CurrentAddress(state, to)},
                   .request = std::move(request),
                   .timeout = timeout};
  if (MayLeave(state)) {
    state.effects.sends.push_back(std::move(send));
  } else {
    state.pending_writes.Hold(state.quorum_state_write, std::move(send));
  }
}

void Reply(RaftState& state, RequestToken token, RaftResponse response,
           std::optional<FetchRange> read) {
  Leave(state, SendReply{.token = token, .response = std::move(response), .read = read});
}

void ReplyWithChunk(RaftState& state, RequestToken token, FetchSnapshotResponse response,
                    SnapshotChunkRead read) {
  Leave(state, SendReply{.token = token, .response = std::move(response), .chunk_read = read});
}

void ReplyError(RaftState& state, RequestToken token, const RaftRequest& request, RaftError error) {
  Reply(state, token, MakeErrorResponse(request, MakeResponseHeader(state, error)));
}

void Trace(RaftState& state, RaftTraceKind kind, TraceFields fields) {
  state.effects.traces.push_back(RaftTrace{.kind = kind,
                                           .node = state.config.self.node_id,
                                           .epoch = state.epoch,
                                           .peer = fields.peer,
                                           .offset = fields.offset,
                                           .detail = std::move(fields.detail)});
}

void AnswerChange(RaftState& state, const VoterChange& change, ChangeError error,
                  std::string detail) {
  if (const auto* token = std::get_if<ChangeToken>(&change.asker)) {
    QuorumChangeDone done{
        .token = *token, .error = error, .detail = std::move(detail), .voters = {}};
    if (error == ChangeError::kNone) {
      done.voters = WithChange(Voters(state), change);
    }
    state.effects.changes.push_back(std::move(done));
    return;
  }
  Reply(state, std::get<RequestToken>(change.asker),
        UpdateVoterResponse{.header = MakeResponseHeader(state, ToRaftError(error))});
}

void SaveQuorumState(RaftState& state) {
  if (CurrentQuorumState(state) != state.submitted) {
    Submit(state, StorageWrite{});
  }
}

void AppendToLog(RaftState& state, std::vector<RecordBatch> batches) {
  for (const RecordBatch& batch : batches) {
    KVORUM_CHECK(batch.epoch <= state.epoch, "batch of epoch {} in epoch {}", batch.epoch,
                 state.epoch);
    state.log.Append(batch);
    if (!batch.is_control) {
      continue;
    }
    if (std::optional<VoterSet> set = state.config.decode_control(*batch.payload)) {
      const VoterSet before = Voters(state);
      state.voters.Append(batch.base_offset, *std::move(set));
      TraceVoters(state, before);
    }
  }
  StorageWrite write;
  write.append = std::move(batches);
  Submit(state, std::move(write));
  Trace(state, RaftTraceKind::kAppended, {.offset = state.log.end()});
}

void TruncateLog(RaftState& state, Offset end) {
  // What is committed stays: being told otherwise means that a majority lost it (KAFKA-12460).
  KVORUM_CHECK(!state.high_watermark.has_value() || end >= *state.high_watermark,
               "truncation to {} below the high watermark {}", end, *state.high_watermark);
  KVORUM_CHECK(!std::holds_alternative<Leader>(state.role), "leader of {} truncates to {}",
               state.epoch, end);
  state.log.TruncateTo(end);
  const VoterSet before = Voters(state);
  if (!KVORUM_MUTANT(VotersKept)) {
    state.voters.TruncateTo(end);
  }
  TraceVoters(state, before);
  state.pending_writes.TruncateTo(end);
  StorageWrite write;
  write.truncate_to = end;
  Submit(state, std::move(write));
  Trace(state, RaftTraceKind::kTruncated, {.offset = end});
}

void InstallSnapshot(RaftState& state, const SnapshotManifest& manifest) {
  const Offset end = manifest.id.offset;
  KVORUM_CHECK(!state.high_watermark.has_value() || end > *state.high_watermark,
               "snapshot at {} installed below the high watermark {}", end, *state.high_watermark);
  KVORUM_CHECK(!std::holds_alternative<Leader>(state.role), "leader of {} installs a snapshot",
               state.epoch);
  state.log.ResetTo(manifest.id, manifest.chain_hash);
  state.voters.ResetTo(
      end, manifest.voters.empty() ? std::nullopt : state.config.decode_control(manifest.voters));
  state.pending_writes.ResetTo(end);
  state.high_watermark = end;
  StorageWrite write;
  write.install = manifest;
  Submit(state, std::move(write));
  DoomSnapshotsBelow(state, end);
  state.effects.installed = manifest;
  Trace(state, RaftTraceKind::kSnapshotInstalled, {.offset = end});
}

void TruncateLogPrefix(RaftState& state, Offset start) {
  state.log.TruncatePrefix(start);
  state.voters.TruncatePrefix(start);
  StorageWrite write;
  write.log_start = start;
  Submit(state, std::move(write));
  DoomSnapshotsBelow(state, start);
  Trace(state, RaftTraceKind::kLogStartMoved, {.offset = start});
}

void LeaveQuarantine(RaftState& state) {
  KVORUM_CHECK(state.is_quarantined, "not quarantined");
  state.is_quarantined = false;
  state.quarantine_end.reset();
  StorageWrite write;
  write.leave_quarantine = true;
  Submit(state, std::move(write));
  // No word of a voter leaves before that is durable.
  state.quorum_state_write = state.pending_writes.last();
  Trace(state, RaftTraceKind::kQuarantineLeft, {.offset = state.log.end()});
}

void AnnounceLeadership(RaftState& state) {
  const auto* leader = std::get_if<Leader>(&state.role);
  LeadershipChange change{.epoch = state.epoch,
                          .leader_id = KnownLeader(state),
                          .is_leader = leader != nullptr,
                          .epoch_start_offset = Offset(0)};
  const LeadershipChange& last = state.announced;
  if (change.epoch == last.epoch && change.leader_id == last.leader_id &&
      change.is_leader == last.is_leader) {
    return;
  }
  if (leader != nullptr) {
    change.epoch_start_offset = leader->epoch_start_offset;
  }
  state.announced = change;
  state.effects.leadership.push_back(change);
}

}  // namespace kvorum::raft
