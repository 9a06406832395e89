#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "server/base/ids.h"
#include "server/raft/voter_set.h"
#include "storage/types/record_batch.h"
#include "storage/types/snapshot_manifest.h"

namespace kvorum::raft {

// The RPCs between controllers as plain values (KIP-595 "RPCs"); rpc/raft_codec maps them to and
// from kvorum.v1. Outcomes are data: an error travels in the response's header.

enum class RaftError {
  kNone,
  kFencedLeaderEpoch,
  kUnknownLeaderEpoch,
  kNotLeaderOrFollower,
  kBrokerNotAvailable,  // shutting down
  kInvalidRequest,
  kInvalidVoterKey,
  kInconsistentClusterId,
  kCorruptLog,
  kSnapshotNotFound,
  kPositionOutOfRange,
  kRequestTimedOut,  // a change of the voter set cannot be made now: try again later
  kObserverOnly,     // the receiver is never to be a voter
};

// As the receiver of a Fetch: whoever listens at that address. For replicas that were told an
// address, but not yet who lives there.
inline constexpr NodeId kAnyNode{-1};

// In every request. A mismatch of cluster, generation or receiver changes nothing on the receiver,
// not even its epoch.
struct RequestHeader {
  std::string cluster_id;
  uint64_t generation = 0;
  ReplicaKey sender;
  ReplicaKey receiver;          // of a Fetch also kAnyNode
  std::string client_endpoint;  // the sender's, for leader hints; filled and read by node, not raft
  // What the sender can work with, as client_endpoint; 0 and 0: a release that does not say.
  int32_t min_metadata_level = 0;
  int32_t max_metadata_level = 0;
  std::optional<PeerAddress> sender_address{};  // where the sender listens for controllers
};

// The answering node's view after it handled the request.
struct ResponseHeader {
  RaftError error = RaftError::kNone;
  Epoch leader_epoch;
  std::optional<NodeId> leader_id;
  std::string client_endpoint;  // the answering node's, as in RequestHeader
  int32_t min_metadata_level = 0;
  int32_t max_metadata_level = 0;
  // Where `leader_id` is reached, for those whose log does not name it (KIP-853 "NodeEndpoints").
  std::optional<Voter> leader_voter{};
};

struct VoteRequest {
  RequestHeader header;
  Epoch epoch;             // a pre-vote carries the current epoch, not the next (KIP-996)
  OffsetAndEpoch log_end;  // offset: one past the last record; epoch: of the last record
  bool pre_vote = false;
};
struct VoteResponse {
  ResponseHeader header;
  bool vote_granted = false;
};

struct BeginQuorumEpochRequest {
  RequestHeader header;  // the sender is the leader
  Epoch leader_epoch;
};
struct BeginQuorumEpochResponse {
  ResponseHeader header;
};

struct EndQuorumEpochRequest {
  RequestHeader header;  // the sender was the leader
  Epoch leader_epoch;
  std::vector<ReplicaKey> preferred_candidates;  // most complete log first
  // The first of them is to be elected now, without asking whether the leader still lives (Raft
  // thesis §3.10).
  bool is_transfer = false;
};
struct EndQuorumEpochResponse {
  ResponseHeader header;
};

struct FetchRequest {
  RequestHeader header;
  Epoch current_leader_epoch;
  Offset fetch_offset;  // the requester's durable log end: a fetch at N acknowledges all below N
  Epoch last_fetched_epoch;              // of its last record; 0: empty log
  uint64_t last_chain_hash = 0;          // of its log below fetch_offset
  std::optional<Offset> high_watermark;  // the requester's
  uint32_t max_wait_ms = 0;
  uint32_t max_bytes = 0;
  uint64_t round = 0;  // last round number received from this leader: confirms its leadership
  // The requester's disk forgot something: this fetch acknowledges nothing (reliability:
  // quarantine).
  bool is_quarantined = false;
};

// Largest epoch at or below the one asked for, and where it ends.
struct EpochEnd {
  Epoch epoch;
  Offset end_offset;

  friend bool operator==(const EpochEnd&, const EpochEnd&) = default;
};

struct FetchResponse {
  ResponseHeader header;
  std::optional<Offset> high_watermark;
  Offset log_start_offset;
  Offset log_end_offset;                    // the answering leader's
  std::optional<EpochEnd> diverging_epoch;  // set: truncate, and no batches
  std::optional<SnapshotId> snapshot_id;    // set: fetch this snapshot first, and no batches
  std::vector<RecordBatch> batches;
  uint64_t round = 0;
};

// One chunk of a snapshot (KIP-630). Chunks are what is stored, so a position counts them.
struct FetchSnapshotRequest {
  RequestHeader header;
  Epoch current_leader_epoch;
  SnapshotId snapshot_id;
  int64_t position = 0;  // chunks held: the index of the one wanted
};
struct FetchSnapshotResponse {
  ResponseHeader header;
  SnapshotManifest manifest;  // in every answer: whichever comes first begins the copy
  int64_t position = 0;
  std::string chunk;
};

// A voter has moved: its entry in the voter set gets this address (KIP-853 "UpdateRaftVoter").
struct UpdateVoterRequest {
  RequestHeader header;  // the sender is the voter
  Epoch current_leader_epoch;
  PeerAddress address;
};
struct UpdateVoterResponse {
  ResponseHeader header;
};

using RaftRequest = std::variant<VoteRequest, BeginQuorumEpochRequest, EndQuorumEpochRequest,
                                 FetchRequest, FetchSnapshotRequest, UpdateVoterRequest>;
using RaftResponse = std::variant<VoteResponse, BeginQuorumEpochResponse, EndQuorumEpochResponse,
                                  FetchResponse, FetchSnapshotResponse, UpdateVoterResponse>;

inline const RequestHeader& HeaderOf(const RaftRequest& request) {
  return std::visit([](const auto& r) -> const RequestHeader& { return r.header; }, request);
}
inline RequestHeader& HeaderOf(RaftRequest& request) {
  return std::visit([](auto& r) -> RequestHeader& { return r.header; }, request);
}
inline ResponseHeader& HeaderOf(RaftResponse& response) {
  return std::visit([](auto& r) -> ResponseHeader& { return r.header; }, response);
}
inline const ResponseHeader& HeaderOf(const RaftResponse& response) {
  return std::visit([](const auto& r) -> const ResponseHeader& { return r.header; }, response);
}

}  // namespace kvorum::raft
