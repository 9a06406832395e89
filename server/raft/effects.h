#pragma once

#include <optional>
#include <string>
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

enum class ChangeError {
  kNone,
  kNotLeader,         // nothing was appended
  kNothingCommitted,  // no record of this leader's epoch yet (Raft single-server bug of 2015)
  kChangePending,     // the newest voter set is not committed, or another change is under way
  kDuplicateVoter,    // the node id is taken, by this or another disk
  kVoterNotFound,     // no such replica in the voter set
  kLastVoter,         // somebody must be left
  kTooManyVoters,
  kQuorumAtRisk,  // of the new set too few were heard lately: it could not commit itself
  kNotCaughtUp,   // not heard from, or behind the log's end
  kUnreachable,   // nobody answers at the address
  kOtherReplica,  // somebody else does
  kObserverOnly,  // the replica itself does, and is never to be a voter
  kTimedOut,      // before anything was appended
  kUnknown,       // appended, or handed over; what became of it is not known here
  kOtherLeader,   // handed over, and another voter was elected
};

// The answer to a ChangeVoters or TransferLeadership.
struct QuorumChangeDone {
  ChangeToken token;
  ChangeError error = ChangeError::kNone;
  std::string detail;  // for people: the values behind the error
  VoterSet voters;     // with the change, if there was no error
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
  std::vector<QuorumChangeDone> changes;
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
