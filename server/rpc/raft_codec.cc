#include "server/rpc/raft_codec.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "storage/types/snapshot_manifest.h"

namespace kvorum::rpc {
namespace {

// Far above any log, and far enough below the end of the type for sums of a few of them.
constexpr int64_t kMaxOffset = int64_t{1} << 62;
constexpr int64_t kUnknownOffset = -1;
constexpr int32_t kUnknownNode = -1;

absl::Status Refuse(std::string_view field, std::string_view why) {
  absl::Status status = MakeError(ErrorReason::kInvalidRequest, fmt::format("{}: {}", field, why));
  SetErrorFact(status, "field", field);
  return status;
}

absl::StatusOr<Epoch> DecodeEpoch(std::string_view field, int32_t value, int32_t min = 0) {
  if (value < min) {
    return Refuse(field, fmt::format("{} is below {}", value, min));
  }
  return Epoch(value);
}

absl::StatusOr<Offset> DecodeOffset(std::string_view field, int64_t value) {
  if (value < 0 || value > kMaxOffset) {
    return Refuse(field, fmt::format("{} is no offset", value));
  }
  return Offset(value);
}

absl::StatusOr<std::optional<Offset>> DecodeMaybeOffset(std::string_view field, int64_t value) {
  if (value == kUnknownOffset) {
    return std::optional<Offset>();
  }
  KVORUM_ASSIGN_OR_RETURN(const Offset offset, DecodeOffset(field, value));
  return std::optional<Offset>(offset);
}

int64_t EncodeMaybeOffset(const std::optional<Offset>& offset) {
  return offset.has_value() ? offset->value() : kUnknownOffset;
}

absl::StatusOr<ReplicaKey> DecodeKey(std::string_view field, const v1::ReplicaKey& wire) {
  if (wire.node_id() < 0) {
    return Refuse(field, fmt::format("node_id {} is negative", wire.node_id()));
  }
  const std::optional<Uuid> directory = Uuid::FromBytes(wire.directory_id());
  if (!directory.has_value()) {
    return Refuse(field, fmt::format("directory_id has {} bytes instead of {}",
                                     wire.directory_id().size(), Uuid::kBytes));
  }
  return ReplicaKey{NodeId(wire.node_id()), *directory};
}

void EncodeKey(const ReplicaKey& key, v1::ReplicaKey& wire) {
  wire.set_node_id(key.node_id.value());
  wire.set_directory_id(key.directory_id.ToBytes());
}

absl::Status CheckLength(std::string_view field, const std::string& text, size_t max) {
  return text.size() <= max
             ? absl::OkStatus()
             : Refuse(field, fmt::format("{} bytes, at most {} are allowed", text.size(), max));
}

// Of requests and responses.
template <typename Wire, typename Header>
absl::Status DecodeLevels(const Wire& wire, Header& header) {
  if (wire.min_metadata_level() < 0 || wire.max_metadata_level() < wire.min_metadata_level()) {
    return Refuse(
        "header.min_metadata_level",
        fmt::format("{} to {} is no range", wire.min_metadata_level(), wire.max_metadata_level()));
  }
  header.min_metadata_level = wire.min_metadata_level();
  header.max_metadata_level = wire.max_metadata_level();
  return absl::OkStatus();
}

absl::StatusOr<raft::PeerAddress> DecodeAddress(std::string_view field, const std::string& host,
                                                uint32_t port) {
  if (host.empty()) {
    return Refuse(field, "names no host");
  }
  KVORUM_RETURN_IF_ERROR(CheckLength(field, host, kMaxPeerHostBytes));
  if (port == 0 || port > UINT16_MAX) {
    return Refuse(field, fmt::format("{} is no port", port));
  }
  return raft::PeerAddress{host, static_cast<uint16_t>(port)};
}

enum class Receiver { kNamed, kMayBeAnyone };

absl::StatusOr<raft::RequestHeader> DecodeHeader(const v1::RaftRequestHeader& wire,
                                                 Receiver receiver = Receiver::kNamed) {
  raft::RequestHeader header;
  if (wire.cluster_id().empty()) {
    return Refuse("header.cluster_id", "is missing");
  }
  KVORUM_RETURN_IF_ERROR(
      CheckLength("header.cluster_id", wire.cluster_id(), kMaxPeerClusterIdBytes));
  KVORUM_RETURN_IF_ERROR(
      CheckLength("header.client_endpoint", wire.client_endpoint(), kMaxPeerEndpointBytes));
  KVORUM_ASSIGN_OR_RETURN(header.sender, DecodeKey("header.sender", wire.sender()));
  if (receiver == Receiver::kMayBeAnyone && !wire.has_receiver()) {
    header.receiver.node_id = raft::kAnyNode;
  } else {
    KVORUM_ASSIGN_OR_RETURN(header.receiver, DecodeKey("header.receiver", wire.receiver()));
  }
  header.cluster_id = wire.cluster_id();
  header.generation = wire.generation();
  header.client_endpoint = wire.client_endpoint();
  if (!wire.sender_host().empty()) {
    KVORUM_ASSIGN_OR_RETURN(
        header.sender_address,
        DecodeAddress("header.sender_host", wire.sender_host(), wire.sender_port()));
  }
  KVORUM_RETURN_IF_ERROR(DecodeLevels(wire, header));
  return header;
}

void EncodeHeader(const raft::RequestHeader& header, v1::RaftRequestHeader& wire) {
  wire.set_cluster_id(header.cluster_id);
  wire.set_generation(header.generation);
  EncodeKey(header.sender, *wire.mutable_sender());
  if (header.receiver.node_id != raft::kAnyNode) {
    EncodeKey(header.receiver, *wire.mutable_receiver());
  }
  wire.set_client_endpoint(header.client_endpoint);
  if (header.sender_address.has_value()) {
    wire.set_sender_host(header.sender_address->host);
    wire.set_sender_port(header.sender_address->port);
  }
  wire.set_min_metadata_level(header.min_metadata_level);
  wire.set_max_metadata_level(header.max_metadata_level);
}

v1::RaftError EncodeError(raft::RaftError error) {
  switch (error) {
    case raft::RaftError::kNone:
      return v1::RAFT_ERROR_NONE;
    case raft::RaftError::kFencedLeaderEpoch:
      return v1::RAFT_ERROR_FENCED_LEADER_EPOCH;
    case raft::RaftError::kUnknownLeaderEpoch:
      return v1::RAFT_ERROR_UNKNOWN_LEADER_EPOCH;
    case raft::RaftError::kNotLeaderOrFollower:
      return v1::RAFT_ERROR_NOT_LEADER_OR_FOLLOWER;
    case raft::RaftError::kBrokerNotAvailable:
      return v1::RAFT_ERROR_BROKER_NOT_AVAILABLE;
    case raft::RaftError::kInvalidRequest:
      return v1::RAFT_ERROR_INVALID_REQUEST;
    case raft::RaftError::kInvalidVoterKey:
      return v1::RAFT_ERROR_INVALID_VOTER_KEY;
    case raft::RaftError::kInconsistentClusterId:
      return v1::RAFT_ERROR_INCONSISTENT_CLUSTER_ID;
    case raft::RaftError::kCorruptLog:
      return v1::RAFT_ERROR_CORRUPT_LOG;
    case raft::RaftError::kSnapshotNotFound:
      return v1::RAFT_ERROR_SNAPSHOT_NOT_FOUND;
    case raft::RaftError::kPositionOutOfRange:
      return v1::RAFT_ERROR_POSITION_OUT_OF_RANGE;
    case raft::RaftError::kRequestTimedOut:
      return v1::RAFT_ERROR_REQUEST_TIMED_OUT;
    case raft::RaftError::kObserverOnly:
      return v1::RAFT_ERROR_OBSERVER_ONLY;
  }
  return v1::RAFT_ERROR_INVALID_REQUEST;
}

absl::StatusOr<raft::RaftError> DecodeError(v1::RaftError error) {
  switch (error) {
    case v1::RAFT_ERROR_NONE:
      return raft::RaftError::kNone;
    case v1::RAFT_ERROR_FENCED_LEADER_EPOCH:
      return raft::RaftError::kFencedLeaderEpoch;
    case v1::RAFT_ERROR_UNKNOWN_LEADER_EPOCH:
      return raft::RaftError::kUnknownLeaderEpoch;
    case v1::RAFT_ERROR_NOT_LEADER_OR_FOLLOWER:
      return raft::RaftError::kNotLeaderOrFollower;
    case v1::RAFT_ERROR_BROKER_NOT_AVAILABLE:
      return raft::RaftError::kBrokerNotAvailable;
    case v1::RAFT_ERROR_INVALID_REQUEST:
      return raft::RaftError::kInvalidRequest;
    case v1::RAFT_ERROR_INVALID_VOTER_KEY:
      return raft::RaftError::kInvalidVoterKey;
    case v1::RAFT_ERROR_INCONSISTENT_CLUSTER_ID:
      return raft::RaftError::kInconsistentClusterId;
    case v1::RAFT_ERROR_CORRUPT_LOG:
      return raft::RaftError::kCorruptLog;
    case v1::RAFT_ERROR_SNAPSHOT_NOT_FOUND:
      return raft::RaftError::kSnapshotNotFound;
    case v1::RAFT_ERROR_POSITION_OUT_OF_RANGE:
      return raft::RaftError::kPositionOutOfRange;
    case v1::RAFT_ERROR_REQUEST_TIMED_OUT:
      return raft::RaftError::kRequestTimedOut;
    case v1::RAFT_ERROR_OBSERVER_ONLY:
      return raft::RaftError::kObserverOnly;
    default:  // an error of a newer release; open enums have no exhaustive switch
      return Refuse("header.error", fmt::format("{} is unknown", static_cast<int>(error)));
  }
}

absl::StatusOr<raft::ResponseHeader> DecodeHeader(const v1::RaftResponseHeader& wire) {
  raft::ResponseHeader header;
  KVORUM_ASSIGN_OR_RETURN(header.error, DecodeError(wire.error()));
  KVORUM_ASSIGN_OR_RETURN(header.leader_epoch,
                          DecodeEpoch("header.leader_epoch", wire.leader_epoch()));
  if (wire.leader_id() < kUnknownNode) {
    return Refuse("header.leader_id", fmt::format("{} is no node id", wire.leader_id()));
  }
  if (wire.leader_id() != kUnknownNode) {
    header.leader_id = NodeId(wire.leader_id());
  }
  KVORUM_RETURN_IF_ERROR(
      CheckLength("header.client_endpoint", wire.client_endpoint(), kMaxPeerEndpointBytes));
  header.client_endpoint = wire.client_endpoint();
  KVORUM_RETURN_IF_ERROR(DecodeLevels(wire, header));
  if (wire.has_leader_address()) {
    const v1::ControllerAddress& leader = wire.leader_address();
    raft::Voter voter;
    KVORUM_ASSIGN_OR_RETURN(voter.key, DecodeKey("header.leader_address", leader.key()));
    KVORUM_ASSIGN_OR_RETURN(voter.address,
                            DecodeAddress("header.leader_address", leader.host(), leader.port()));
    if (header.leader_id != voter.key.node_id) {
      return Refuse("header.leader_address", fmt::format("is of node {}, the leader is {}",
                                                         voter.key.node_id, wire.leader_id()));
    }
    header.leader_voter = std::move(voter);
  }
  return header;
}

void EncodeHeader(const raft::ResponseHeader& header, v1::RaftResponseHeader& wire) {
  wire.set_error(EncodeError(header.error));
  wire.set_leader_epoch(header.leader_epoch.value());
  wire.set_leader_id(header.leader_id.has_value() ? header.leader_id->value() : kUnknownNode);
  wire.set_client_endpoint(header.client_endpoint);
  wire.set_min_metadata_level(header.min_metadata_level);
  wire.set_max_metadata_level(header.max_metadata_level);
  if (header.leader_voter.has_value()) {
    v1::ControllerAddress& leader = *wire.mutable_leader_address();
    EncodeKey(header.leader_voter->key, *leader.mutable_key());
    leader.set_host(header.leader_voter->address.host);
    leader.set_port(header.leader_voter->address.port);
  }
}

absl::StatusOr<SnapshotId> DecodeSnapshotId(std::string_view field, const v1::SnapshotId& wire) {
  SnapshotId id;
  KVORUM_ASSIGN_OR_RETURN(id.offset, DecodeOffset(field, wire.end_offset()));
  KVORUM_ASSIGN_OR_RETURN(id.epoch, DecodeEpoch(field, wire.epoch()));
  return id;
}

void EncodeSnapshotId(const SnapshotId& id, v1::SnapshotId& wire) {
  wire.set_end_offset(id.offset.value());
  wire.set_epoch(id.epoch.value());
}

absl::StatusOr<std::vector<RecordBatch>> DecodeBatches(std::string_view bytes) {
  std::vector<RecordBatch> batches;
  while (!bytes.empty()) {
    absl::StatusOr<RecordBatch> batch = DecodeBatch(bytes);
    if (!batch.ok()) {
      absl::Status status = MakeError(ErrorReason::kCorruptLog,
                                      fmt::format("batches: {}", batch.status().ToString()));
      SetErrorFact(status, "field", "batches");
      return status;
    }
    batches.push_back(*std::move(batch));
  }
  return batches;
}

}  // namespace

absl::StatusOr<raft::VoteRequest> Decode(const v1::VoteRequest& wire) {
  raft::VoteRequest request;
  KVORUM_ASSIGN_OR_RETURN(request.header, DecodeHeader(wire.header()));
  KVORUM_ASSIGN_OR_RETURN(request.epoch, DecodeEpoch("epoch", wire.epoch()));
  KVORUM_ASSIGN_OR_RETURN(request.log_end.epoch, DecodeEpoch("last_epoch", wire.last_epoch()));
  KVORUM_ASSIGN_OR_RETURN(request.log_end.offset,
                          DecodeOffset("log_end_offset", wire.log_end_offset()));
  if (request.log_end.epoch > request.epoch) {
    return Refuse("last_epoch", fmt::format("{} is above the candidate's epoch {}",
                                            wire.last_epoch(), wire.epoch()));
  }
  if ((wire.last_epoch() == 0) != (wire.log_end_offset() == 0)) {
    return Refuse("last_epoch", fmt::format("{} does not go with log_end_offset {}",
                                            wire.last_epoch(), wire.log_end_offset()));
  }
  request.pre_vote = wire.pre_vote();
  return request;
}

void Encode(const raft::VoteRequest& request, v1::VoteRequest& wire) {
  EncodeHeader(request.header, *wire.mutable_header());
  wire.set_epoch(request.epoch.value());
  wire.set_last_epoch(request.log_end.epoch.value());
  wire.set_log_end_offset(request.log_end.offset.value());
  wire.set_pre_vote(request.pre_vote);
}

absl::StatusOr<raft::VoteResponse> Decode(const v1::VoteResponse& wire) {
  raft::VoteResponse response;
  KVORUM_ASSIGN_OR_RETURN(response.header, DecodeHeader(wire.header()));
  response.vote_granted = wire.vote_granted();
  return response;
}

void Encode(const raft::VoteResponse& response, v1::VoteResponse& wire) {
  EncodeHeader(response.header, *wire.mutable_header());
  wire.set_vote_granted(response.vote_granted);
}

absl::StatusOr<raft::BeginQuorumEpochRequest> Decode(const v1::BeginQuorumEpochRequest& wire) {
  raft::BeginQuorumEpochRequest request;
  KVORUM_ASSIGN_OR_RETURN(request.header, DecodeHeader(wire.header()));
  KVORUM_ASSIGN_OR_RETURN(request.leader_epoch,
                          DecodeEpoch("leader_epoch", wire.leader_epoch(), 1));
  return request;
}

void Encode(const raft::BeginQuorumEpochRequest& request, v1::BeginQuorumEpochRequest& wire) {
  EncodeHeader(request.header, *wire.mutable_header());
  wire.set_leader_epoch(request.leader_epoch.value());
}

absl::StatusOr<raft::BeginQuorumEpochResponse> Decode(const v1::BeginQuorumEpochResponse& wire) {
  raft::BeginQuorumEpochResponse response;
  KVORUM_ASSIGN_OR_RETURN(response.header, DecodeHeader(wire.header()));
  return response;
}

void Encode(const raft::BeginQuorumEpochResponse& response, v1::BeginQuorumEpochResponse& wire) {
  EncodeHeader(response.header, *wire.mutable_header());
}

absl::StatusOr<raft::EndQuorumEpochRequest> Decode(const v1::EndQuorumEpochRequest& wire) {
  raft::EndQuorumEpochRequest request;
  KVORUM_ASSIGN_OR_RETURN(request.header, DecodeHeader(wire.header()));
  KVORUM_ASSIGN_OR_RETURN(request.leader_epoch,
                          DecodeEpoch("leader_epoch", wire.leader_epoch(), 1));
  if (wire.preferred_candidates_size() > kMaxPreferredCandidates) {
    return Refuse("preferred_candidates",
                  fmt::format("{} items, at most {} are allowed", wire.preferred_candidates_size(),
                              kMaxPreferredCandidates));
  }
  for (const v1::ReplicaKey& candidate : wire.preferred_candidates()) {
    KVORUM_ASSIGN_OR_RETURN(const ReplicaKey key, DecodeKey("preferred_candidates", candidate));
    request.preferred_candidates.push_back(key);
  }
  request.is_transfer = wire.transfer();
  return request;
}

void Encode(const raft::EndQuorumEpochRequest& request, v1::EndQuorumEpochRequest& wire) {
  EncodeHeader(request.header, *wire.mutable_header());
  wire.set_leader_epoch(request.leader_epoch.value());
  for (const ReplicaKey& candidate : request.preferred_candidates) {
    EncodeKey(candidate, *wire.add_preferred_candidates());
  }
  wire.set_transfer(request.is_transfer);
}

absl::StatusOr<raft::EndQuorumEpochResponse> Decode(const v1::EndQuorumEpochResponse& wire) {
  raft::EndQuorumEpochResponse response;
  KVORUM_ASSIGN_OR_RETURN(response.header, DecodeHeader(wire.header()));
  return response;
}

void Encode(const raft::EndQuorumEpochResponse& response, v1::EndQuorumEpochResponse& wire) {
  EncodeHeader(response.header, *wire.mutable_header());
}

absl::StatusOr<raft::FetchRequest> Decode(const v1::FetchRequest& wire) {
  raft::FetchRequest request;
  KVORUM_ASSIGN_OR_RETURN(request.header, DecodeHeader(wire.header(), Receiver::kMayBeAnyone));
  KVORUM_ASSIGN_OR_RETURN(request.current_leader_epoch,
                          DecodeEpoch("current_leader_epoch", wire.current_leader_epoch()));
  KVORUM_ASSIGN_OR_RETURN(request.fetch_offset, DecodeOffset("fetch_offset", wire.fetch_offset()));
  KVORUM_ASSIGN_OR_RETURN(request.last_fetched_epoch,
                          DecodeEpoch("last_fetched_epoch", wire.last_fetched_epoch()));
  KVORUM_ASSIGN_OR_RETURN(request.high_watermark,
                          DecodeMaybeOffset("high_watermark", wire.high_watermark()));
  request.last_chain_hash = wire.last_chain_hash();
  request.max_wait_ms = std::min(wire.max_wait_ms(), kMaxFetchWaitMs);
  request.max_bytes = std::min(wire.max_bytes(), kMaxFetchBytes);
  request.round = wire.round();
  request.is_quarantined = wire.quarantined();
  return request;
}

void Encode(const raft::FetchRequest& request, v1::FetchRequest& wire) {
  EncodeHeader(request.header, *wire.mutable_header());
  wire.set_current_leader_epoch(request.current_leader_epoch.value());
  wire.set_fetch_offset(request.fetch_offset.value());
  wire.set_last_fetched_epoch(request.last_fetched_epoch.value());
  wire.set_last_chain_hash(request.last_chain_hash);
  wire.set_high_watermark(EncodeMaybeOffset(request.high_watermark));
  wire.set_max_wait_ms(request.max_wait_ms);
  wire.set_max_bytes(request.max_bytes);
  wire.set_round(request.round);
  wire.set_quarantined(request.is_quarantined);
}

absl::StatusOr<raft::FetchResponse> Decode(const v1::FetchResponse& wire) {
  raft::FetchResponse response;
  KVORUM_ASSIGN_OR_RETURN(response.header, DecodeHeader(wire.header()));
  KVORUM_ASSIGN_OR_RETURN(response.high_watermark,
                          DecodeMaybeOffset("high_watermark", wire.high_watermark()));
  KVORUM_ASSIGN_OR_RETURN(response.log_start_offset,
                          DecodeOffset("log_start_offset", wire.log_start_offset()));
  if (wire.has_diverging_epoch()) {
    raft::EpochEnd end;
    KVORUM_ASSIGN_OR_RETURN(end.epoch,
                            DecodeEpoch("diverging_epoch.epoch", wire.diverging_epoch().epoch()));
    KVORUM_ASSIGN_OR_RETURN(end.end_offset, DecodeOffset("diverging_epoch.end_offset",
                                                         wire.diverging_epoch().end_offset()));
    response.diverging_epoch = end;
    if (!wire.batches().empty()) {
      return Refuse("batches", "must be empty beside diverging_epoch");
    }
  }
  KVORUM_ASSIGN_OR_RETURN(response.log_end_offset,
                          DecodeOffset("log_end_offset", wire.log_end_offset()));
  if (wire.has_snapshot_id()) {
    KVORUM_ASSIGN_OR_RETURN(response.snapshot_id,
                            DecodeSnapshotId("snapshot_id", wire.snapshot_id()));
    if (!wire.batches().empty() || wire.has_diverging_epoch()) {
      return Refuse("snapshot_id", "must stand alone");
    }
  }
  KVORUM_ASSIGN_OR_RETURN(response.batches, DecodeBatches(wire.batches()));
  response.round = wire.round();
  return response;
}

void Encode(const raft::FetchResponse& response, v1::FetchResponse& wire) {
  EncodeHeader(response.header, *wire.mutable_header());
  wire.set_high_watermark(EncodeMaybeOffset(response.high_watermark));
  wire.set_log_start_offset(response.log_start_offset.value());
  if (response.diverging_epoch.has_value()) {
    wire.mutable_diverging_epoch()->set_epoch(response.diverging_epoch->epoch.value());
    wire.mutable_diverging_epoch()->set_end_offset(response.diverging_epoch->end_offset.value());
  }
  wire.set_log_end_offset(response.log_end_offset.value());
  if (response.snapshot_id.has_value()) {
    EncodeSnapshotId(*response.snapshot_id, *wire.mutable_snapshot_id());
  }
  size_t bytes = 0;
  for (const RecordBatch& batch : response.batches) {
    bytes += batch.encoded_size();
  }
  std::string& frames = *wire.mutable_batches();
  frames.reserve(bytes);
  for (const RecordBatch& batch : response.batches) {
    AppendEncodedBatch(batch, frames);
  }
  wire.set_round(response.round);
}

absl::StatusOr<raft::FetchSnapshotRequest> Decode(const v1::FetchSnapshotRequest& wire) {
  raft::FetchSnapshotRequest request;
  KVORUM_ASSIGN_OR_RETURN(request.header, DecodeHeader(wire.header()));
  KVORUM_ASSIGN_OR_RETURN(request.current_leader_epoch,
                          DecodeEpoch("current_leader_epoch", wire.current_leader_epoch()));
  KVORUM_ASSIGN_OR_RETURN(request.snapshot_id, DecodeSnapshotId("snapshot_id", wire.snapshot_id()));
  if (wire.position() < 0) {
    return Refuse("position", fmt::format("{} is negative", wire.position()));
  }
  request.position = wire.position();
  return request;
}

void Encode(const raft::FetchSnapshotRequest& request, v1::FetchSnapshotRequest& wire) {
  EncodeHeader(request.header, *wire.mutable_header());
  wire.set_current_leader_epoch(request.current_leader_epoch.value());
  EncodeSnapshotId(request.snapshot_id, *wire.mutable_snapshot_id());
  wire.set_position(request.position);
}

absl::StatusOr<raft::FetchSnapshotResponse> Decode(const v1::FetchSnapshotResponse& wire) {
  raft::FetchSnapshotResponse response;
  KVORUM_ASSIGN_OR_RETURN(response.header, DecodeHeader(wire.header()));
  response.position = wire.position();
  if (response.header.error != raft::RaftError::kNone) {
    return response;
  }
  KVORUM_ASSIGN_OR_RETURN(response.manifest, DecodeManifest(wire.manifest()));
  if (wire.chunk().size() > kMaxSnapshotChunkBytes) {
    return Refuse("chunk", fmt::format("{} bytes, at most {} are allowed", wire.chunk().size(),
                                       kMaxSnapshotChunkBytes));
  }
  response.chunk = wire.chunk();
  return response;
}

void Encode(const raft::FetchSnapshotResponse& response, v1::FetchSnapshotResponse& wire) {
  EncodeHeader(response.header, *wire.mutable_header());
  EncodeSnapshotId(response.manifest.id, *wire.mutable_snapshot_id());
  wire.set_position(response.position);
  if (response.header.error == raft::RaftError::kNone) {
    wire.set_manifest(EncodeManifest(response.manifest));
    wire.set_chunk(response.chunk);
  }
}

absl::StatusOr<raft::UpdateVoterRequest> Decode(const v1::UpdateRaftVoterRequest& wire) {
  raft::UpdateVoterRequest request;
  KVORUM_ASSIGN_OR_RETURN(request.header, DecodeHeader(wire.header()));
  KVORUM_ASSIGN_OR_RETURN(request.current_leader_epoch,
                          DecodeEpoch("current_leader_epoch", wire.current_leader_epoch()));
  KVORUM_ASSIGN_OR_RETURN(request.address, DecodeAddress("host", wire.host(), wire.port()));
  return request;
}

void Encode(const raft::UpdateVoterRequest& request, v1::UpdateRaftVoterRequest& wire) {
  EncodeHeader(request.header, *wire.mutable_header());
  wire.set_current_leader_epoch(request.current_leader_epoch.value());
  wire.set_host(request.address.host);
  wire.set_port(request.address.port);
}

absl::StatusOr<raft::UpdateVoterResponse> Decode(const v1::UpdateRaftVoterResponse& wire) {
  raft::UpdateVoterResponse response;
  KVORUM_ASSIGN_OR_RETURN(response.header, DecodeHeader(wire.header()));
  return response;
}

void Encode(const raft::UpdateVoterResponse& response, v1::UpdateRaftVoterResponse& wire) {
  EncodeHeader(response.header, *wire.mutable_header());
}

}  // namespace kvorum::rpc
