#pragma once

#include <optional>
#include <string>

#include "server/base/ids.h"

namespace kvorum::raft {

enum class RaftTraceKind {
  kBecameUnattached,
  kBecameProspective,
  kBecameCandidate,
  kBecameLeader,
  kBecameFollower,
  kBecameResigned,
  kVoteGranted,  // peer: the candidate
  kVoteRejected,
  kPreVoteGranted,
  kPreVoteRejected,
  kAppended,           // offset: new log end
  kTruncated,          // offset: new log end
  kHighWatermark,      // offset: new high watermark
  kSnapshotTaken,      // offset: its end
  kSnapshotInstalled,  // offset: its end, where the log now begins
  kLogStartMoved,      // offset: the new log start
  kQuarantineLeft,     // offset: log end
  kDivergingFetch,     // peer: the follower told to truncate; offset: where
  kCheckQuorumFailed,
  kVotersChanged,            // offset: of the voter set that holds now; detail: its node ids
  kLeaderRemoved,            // the voter set without this leader is committed
  kLeadershipGivenUp,        // peer: the successor; detail: why
  kLeaderConnectionRefused,  // peer: the leader
  // peer: the sender of a request that was refused, or of an answer that was dropped; detail: why
  kRequestRejected,
};

// One thing the core did: becomes a log line, a counter, a golden line, a simulator line.
struct RaftTrace {
  RaftTraceKind kind;
  NodeId node;
  Epoch epoch;
  std::optional<NodeId> peer;
  std::optional<Offset> offset;
  std::string detail;  // usually empty
};

// "became_leader node=1 epoch=5 offset=118".
std::string ToText(const RaftTrace& trace);

}  // namespace kvorum::raft
