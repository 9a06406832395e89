#pragma once

#include <optional>
#include <string>
#include <vector>

#include "server/raft/raft_state.h"

namespace kvorum::raft {

// Everything that leaves the core is made here: writes, messages, traces. A message leaves at once
// only if the newest QuorumState is synced; else it waits for that write, since it carries the
// epoch or a vote (KIP-595: persist before any reply).

RequestHeader MakeHeader(const RaftState& state, const ReplicaKey& receiver);
ResponseHeader MakeResponseHeader(const RaftState& state, RaftError error);

// Sends `request` to `to` as the one request in flight to it.
void Send(RaftState& state, const Voter& to, RaftRequest request, Duration timeout);

void Reply(RaftState& state, RequestToken token, RaftResponse response,
           std::optional<FetchRange> read = std::nullopt);
void ReplyWithChunk(RaftState& state, RequestToken token, FetchSnapshotResponse response,
                    SnapshotChunkRead read);
// Answers any request with `error` and the present epoch and leader.
void ReplyError(RaftState& state, RequestToken token, const RaftRequest& request, RaftError error);

struct TraceFields {
  std::optional<NodeId> peer;
  std::optional<Offset> offset;
  std::string detail;
};
// Tells whoever asked for `change` what became of it.
void AnswerChange(RaftState& state, const VoterChange& change, ChangeError error,
                  std::string detail);
void Trace(RaftState& state, RaftTraceKind kind, TraceFields fields = {});

// Writes epoch, vote and leader if they differ from what was written last.
void SaveQuorumState(RaftState& state);
// Appends to the log and, in the same write, saves the quorum state if it changed.
void AppendToLog(RaftState& state, std::vector<RecordBatch> batches);
// REQUIRES: a batch ends at `end`, which is not below the high watermark.
void TruncateLog(RaftState& state, Offset end);

// Replaces the log by the frozen snapshot `manifest` (KIP-630). REQUIRES: above the high watermark,
// not the leader.
void InstallSnapshot(RaftState& state, const SnapshotManifest& manifest);
// REQUIRES: a snapshot at `start`, which lies in the log and is durable here.
void TruncateLogPrefix(RaftState& state, Offset start);
// The replica has everything again: it is a voter like any other from here on.
void LeaveQuarantine(RaftState& state);

// Emits a LeadershipChange if (epoch, leader, is_leader) differ from those last emitted.
void AnnounceLeadership(RaftState& state);

}  // namespace kvorum::raft
