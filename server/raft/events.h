#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>

#include "server/base/time.h"
#include "server/raft/messages.h"
#include "server/raft/voter_set.h"
#include "storage/types/storage_write.h"

namespace kvorum::raft {

// Names an inbound request until it is answered; given by the caller, unique per incarnation.
using RequestToken = StrongInt<struct RequestTokenTag, uint64_t>;
// Names an outbound request until its answer; given by the core, grows. An answer to any but the
// newest request to that peer is stale and dropped.
using CorrelationId = StrongInt<struct CorrelationIdTag, uint64_t>;
// Names a read that waits for the leadership to be confirmed; given by the caller.
using ReadToken = StrongInt<struct ReadTokenTag, uint64_t>;
// Names a change of the quorum that somebody asked for; given by the caller.
using ChangeToken = StrongInt<struct ChangeTokenTag, uint64_t>;

// Peers without a node id, known by their address alone. A transport that meets a negative node id
// connects to the address; answers come back under the same id.
inline constexpr NodeId kDialNode{-1};                // the endpoint of a voter to be
inline constexpr int32_t kFirstBootstrapServer = -2;  // and downwards, in their order

// Time passed; act on whatever is due.
struct TimerFired {};

// A peer asks. Exactly one SendReply will name `token`.
struct RequestReceived {
  RequestToken token;
  RaftRequest request;
};

// A peer answered request `id`.
struct ResponseReceived {
  NodeId from;
  CorrelationId id;
  RaftResponse response;
};

enum class SendFailure {
  kRefused,  // a fresh connection was refused: the peer's process is gone
  kOther,    // reset, deadline, unreachable: says nothing about the process
};

// Request `id` will not be answered.
struct RequestFailed {
  NodeId to;
  CorrelationId id;
  SendFailure failure = SendFailure::kOther;
};

// The active controller appends one batch. REQUIRES: leader of `epoch`, not shutting down.
struct AppendRecords {
  Epoch epoch;
  int32_t record_count = 0;
  std::shared_ptr<const std::string> payload;
};

// StorageWrite `id` and all before it are synced.
struct WriteDone {
  WriteId id;
};

// A linearizable read: answered by one ReadConfirmed, when a majority has echoed a round that began
// after this event, and a record of the own epoch is committed (Raft §8; api: "fetch round").
struct ConfirmLeadership {
  ReadToken token;
};

enum class VoterChangeKind { kAdd, kRemove, kUpdate };

// A change of the voter set by one replica (KIP-853). Answered by one QuorumChangeDone: with an
// error at once or after the dial to `voter.address`, else when the change is committed. Any role.
struct ChangeVoters {
  ChangeToken token;
  VoterChangeKind kind = VoterChangeKind::kAdd;
  Voter voter;  // kRemove: the key counts
  TimePoint deadline = kNever;
  bool is_dry_run = false;  // every check and the dial, but nothing is appended
};

// Hand leadership to voter `target` (Raft thesis §3.10). Answered by one QuorumChangeDone, when it
// leads or will not. Until then nothing should be appended: the target could not catch up.
struct TransferLeadership {
  ChangeToken token;
  NodeId target;
  TimePoint deadline = kNever;
  bool is_dry_run = false;
};

// Hand leadership over and refuse new work. A leader becomes Resigned.
struct BeginShutdown {};

// The chunk that StoreSnapshotChunk named is stored (not yet synced: that comes with freezing).
struct SnapshotChunkStored {
  SnapshotId id;
  int64_t index = 0;
};

// FreezeSnapshot has ended: the copy is durable and its digest right, or it is gone.
struct SnapshotFrozen {
  SnapshotId id;
  bool is_good = false;
};

// This node's own snapshot is durable. REQUIRES: at a batch end, not above the high watermark nor
// this disk's durable end.
struct SnapshotTaken {
  SnapshotManifest manifest;
};

// Forget the log below the snapshot at `offset`, and the snapshots before that one. REQUIRES: a
// snapshot there.
struct MoveLogStart {
  Offset offset;
};

using Event =
    std::variant<TimerFired, RequestReceived, ResponseReceived, RequestFailed, AppendRecords,
                 WriteDone, ConfirmLeadership, BeginShutdown, SnapshotChunkStored, SnapshotFrozen,
                 SnapshotTaken, MoveLogStart, ChangeVoters, TransferLeadership>;

}  // namespace kvorum::raft
