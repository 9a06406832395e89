#pragma once

#include <optional>
#include <vector>

#include "server/base/time.h"
#include "server/raft/events.h"
#include "server/raft/raft_trace.h"
#include "server/raft/voter_set.h"
#include "storage/types/storage_write.h"

namespace kvorum::raft {

struct SendRequest {
  CorrelationId id;
  Voter to;
  RaftRequest request;
  Duration timeout{};  // after it, RequestFailed{kOther}
};

// Part of the log that answers a Fetch; the executor reads it (recent batches, else storage) into
// FetchResponse::batches.
struct FetchRange {
  Offset from;
  Offset to;  // exclusive: the log end when the answer was decided
  uint32_t max_bytes = 0;
};

// Chunk that answers a FetchSnapshot; the executor reads it into FetchSnapshotResponse::chunk.
struct SnapshotChunkRead {
  SnapshotId id;
  int64_t index = 0;
};

struct SendReply {
  RequestToken token;
  RaftResponse response;
  std::optional<FetchRange> read;                 // FetchResponse only
  std::optional<SnapshotChunkRead> chunk_read{};  // FetchSnapshotResponse only
};

// Store a chunk of the snapshot that is being fetched; answered by SnapshotChunkStored.
struct StoreSnapshotChunk {
  SnapshotId id;
  int64_t index = 0;
  std::string chunk;
};

struct ReadConfirmed {
  ReadToken token;
  bool confirmed = false;  // false: not the leader (any more)
  Offset read_offset;      // the read must reflect everything below it
};

// Role or leader changed.
struct LeadershipChange {
  Epoch epoch;
  std::optional<NodeId> leader_id;
  bool is_leader = false;     // this node leads `epoch`
  Offset epoch_start_offset;  // if is_leader: offset of its LeaderChange record
};

// What must happen outside, since the last TakeEffects. Everything in it may be carried out at
// once: messages that depend on a write are held back in the core until its WriteDone.
struct Effects {
  std::vector<StorageWrite> writes;  // in id order
  std::vector<SendRequest> sends;
  std::vector<SendReply> replies;
  std::optional<Offset> high_watermark;  // set when it advanced
  std::vector<ReadConfirmed> reads;
  std::vector<LeadershipChange> leadership;  // in order
  std::optional<StoreSnapshotChunk> store_chunk;
  std::optional<SnapshotManifest> freeze_snapshot;  // answered by SnapshotFrozen
  std::vector<SnapshotId> delete_snapshots;         // nothing refers to them any more
  // The log was replaced by this snapshot: the state below its end must be loaded from it. `writes`
  // holds the installation.
  std::optional<SnapshotManifest> installed;
  std::vector<RaftTrace> traces;
};

}  // namespace kvorum::raft
