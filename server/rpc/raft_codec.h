#pragma once

#include "absl/status/statusor.h"
#include "kvorum/v1/raft.pb.h"
#include "server/raft/messages.h"

namespace kvorum::rpc {

// The messages between controllers: kvorum.v1 <-> raft/messages.h. Decoding is the gateway: what
// comes out has all fields in range (sizes, signs, 16-byte ids, whole and undamaged batches), so
// that raft only ever has to judge meaning. Errors are INVALID_REQUEST, or CORRUPT_LOG for damaged
// batches, and name the field in the message and as the fact "field". Any thread.

inline constexpr size_t kMaxPeerClusterIdBytes = 128;
inline constexpr size_t kMaxPeerEndpointBytes = 300;
inline constexpr size_t kMaxPeerHostBytes = 255;
inline constexpr int kMaxPreferredCandidates = 64;
// What a requester may ask for at most; more is cut, not refused.
inline constexpr uint32_t kMaxFetchWaitMs = 300'000;
inline constexpr uint32_t kMaxFetchBytes = 8 << 20;

absl::StatusOr<raft::VoteRequest> Decode(const v1::VoteRequest& wire);
absl::StatusOr<raft::VoteResponse> Decode(const v1::VoteResponse& wire);
absl::StatusOr<raft::BeginQuorumEpochRequest> Decode(const v1::BeginQuorumEpochRequest& wire);
absl::StatusOr<raft::BeginQuorumEpochResponse> Decode(const v1::BeginQuorumEpochResponse& wire);
absl::StatusOr<raft::EndQuorumEpochRequest> Decode(const v1::EndQuorumEpochRequest& wire);
absl::StatusOr<raft::EndQuorumEpochResponse> Decode(const v1::EndQuorumEpochResponse& wire);
absl::StatusOr<raft::FetchRequest> Decode(const v1::FetchRequest& wire);
absl::StatusOr<raft::FetchResponse> Decode(const v1::FetchResponse& wire);
absl::StatusOr<raft::FetchSnapshotRequest> Decode(const v1::FetchSnapshotRequest& wire);
absl::StatusOr<raft::FetchSnapshotResponse> Decode(const v1::FetchSnapshotResponse& wire);
absl::StatusOr<raft::UpdateVoterRequest> Decode(const v1::UpdateRaftVoterRequest& wire);
absl::StatusOr<raft::UpdateVoterResponse> Decode(const v1::UpdateRaftVoterResponse& wire);

void Encode(const raft::VoteRequest& request, v1::VoteRequest& wire);
void Encode(const raft::VoteResponse& response, v1::VoteResponse& wire);
void Encode(const raft::BeginQuorumEpochRequest& request, v1::BeginQuorumEpochRequest& wire);
void Encode(const raft::BeginQuorumEpochResponse& response, v1::BeginQuorumEpochResponse& wire);
void Encode(const raft::EndQuorumEpochRequest& request, v1::EndQuorumEpochRequest& wire);
void Encode(const raft::EndQuorumEpochResponse& response, v1::EndQuorumEpochResponse& wire);
void Encode(const raft::FetchRequest& request, v1::FetchRequest& wire);
void Encode(const raft::FetchResponse& response, v1::FetchResponse& wire);
void Encode(const raft::FetchSnapshotRequest& request, v1::FetchSnapshotRequest& wire);
void Encode(const raft::FetchSnapshotResponse& response, v1::FetchSnapshotResponse& wire);
void Encode(const raft::UpdateVoterRequest& request, v1::UpdateRaftVoterRequest& wire);
void Encode(const raft::UpdateVoterResponse& response, v1::UpdateRaftVoterResponse& wire);

}  // namespace kvorum::rpc
