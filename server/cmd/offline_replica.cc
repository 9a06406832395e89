#include "server/cmd/offline_replica.h"

#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cstdio>
#include <future>
#include <utility>

#include "server/base/status_macros.h"
#include "server/cmd/exit_codes.h"
#include "server/node/control_codec.h"
#include "storage/log_verifier.h"

namespace kvorum {
namespace {

constexpr size_t kReadBytes = 4 << 20;

absl::StatusOr<std::vector<RecordBatch>> ReadFrom(Storage& storage, Offset from, Offset to) {
  std::promise<absl::StatusOr<std::vector<RecordBatch>>> result;
  storage.Read({.from = from, .to = to, .max_bytes = kReadBytes},
               [&result](absl::StatusOr<std::vector<RecordBatch>> batches) {
                 result.set_value(std::move(batches));
               });
  return result.get_future().get();
}

absl::StatusOr<std::string> ReadChunk(Storage& storage, const SnapshotId& id, int64_t index) {
  std::promise<absl::StatusOr<std::string>> result;
  storage.ReadSnapshotChunk(id, index, [&result](absl::StatusOr<std::string> chunk) {
    result.set_value(std::move(chunk));
  });
  return result.get_future().get();
}

v1::VotersRecord ToRecord(const raft::VoterSet& voters) {
  v1::ControlBatch batch;
  batch.ParseFromString(*EncodeVoterSet(voters));
  return batch.records(0).voters();
}

}  // namespace

RocksDbStorageOptions StorageOptionsFor(const std::string& data_dir,
                                        const MetaProperties& properties) {
  RocksDbStorageOptions options;
  options.data_dir = data_dir;
  options.cluster_id = properties.cluster_id;
  options.replica = {properties.node_id, properties.directory_id};
  return options;
}

absl::StatusOr<OfflineReplica> OfflineReplica::Open(const std::string& data_dir) {
  OfflineReplica replica;
  replica.data_dir_ = data_dir;
  KVORUM_ASSIGN_OR_RETURN(replica.properties_, ReadMetaProperties(data_dir));
  RocksDbStorageOptions options = StorageOptionsFor(data_dir, replica.properties_);
  options.read_only = true;
  KVORUM_ASSIGN_OR_RETURN(replica.storage_, RocksDbStorage::Open(std::move(options)));
  KVORUM_ASSIGN_OR_RETURN(replica.state_, replica.storage_->Recover());
  return replica;
}

std::optional<raft::VoterSet> VotersInLog(const RecoveredState& state) {
  for (auto it = state.control_batches.rbegin(); it != state.control_batches.rend(); ++it) {
    if (std::optional<raft::VoterSet> voters = DecodeVoterSet(*it->payload)) {
      return voters;
    }
  }
  for (const SnapshotManifest& snapshot : state.snapshots) {
    if (snapshot.id.offset == state.log_start_offset && !snapshot.voters.empty()) {
      return DecodeVoterSet(snapshot.voters);
    }
  }
  return std::nullopt;
}

raft::VoterSet VotersOf(const MetaProperties& properties, const RecoveredState& state) {
  if (std::optional<raft::VoterSet> voters = VotersInLog(state)) {
    return *std::move(voters);
  }
  std::vector<raft::Voter> voters;
  for (const InitialVoter& voter : properties.initial_voters) {
    voters.push_back({voter.key, {voter.host, voter.port}});
  }
  return raft::VoterSet(std::move(voters));
}

raft::VoterSet OfflineReplica::Voters() const { return VotersOf(properties_, state_); }

Offset OfflineReplica::CommittedAtLeast() const {
  return state_.snapshots.empty()
             ? state_.log_start_offset
             : std::max(state_.log_start_offset, state_.snapshots.back().id.offset);
}

v1::DirectoryState OfflineReplica::Describe() const {
  const BatchEnd end = EndOf(state_);
  const QuorumState& quorum = state_.quorum_state;
  v1::DirectoryState out;
  out.set_data_dir(data_dir_);
  out.set_cluster_id(properties_.cluster_id);
  out.set_generation(HexText(properties_.generation));
  out.set_node_id(properties_.node_id.value());
  out.set_directory_id(properties_.directory_id.ToString());
  out.set_epoch(quorum.epoch.value());
  out.set_voted_node_id(quorum.voted_key.has_value() ? quorum.voted_key->node_id.value() : -1);
  out.set_leader_id(quorum.leader_id.has_value() ? quorum.leader_id->value() : -1);
  out.set_log_start_offset(state_.log_start_offset.value());
  out.set_log_end_offset(end.end_offset.value());
  out.set_log_end_epoch(end.epoch.value());
  out.set_log_end_chain_hash(HexText(end.chain_hash));
  out.set_committed_at_least(CommittedAtLeast().value());
  *out.mutable_voters() = ToRecord(Voters());
  for (const SnapshotManifest& snapshot : state_.snapshots) {
    *out.add_snapshots() = DescribeSnapshot(snapshot);
  }
  if (state_.quarantine.has_value()) {
    out.set_quarantine(state_.quarantine->reason);
  }
  out.set_recovery_is_pending(properties_.recovering_from.has_value());
  return out;
}

absl::Status OfflineReplica::ForEachBatch(const BatchVisitor& visit) const {
  const Offset end = EndOf(state_).end_offset;
  for (Offset next = state_.log_start_offset; next < end;) {
    KVORUM_ASSIGN_OR_RETURN(const std::vector<RecordBatch> batches, ReadFrom(*storage_, next, end));
    for (const RecordBatch& batch : batches) {
      KVORUM_RETURN_IF_ERROR(visit(batch));
      next = batch.end_offset();
    }
  }
  return absl::OkStatus();
}

absl::Status OfflineReplica::ForEachChunk(const SnapshotManifest& snapshot,
                                          const ChunkVisitor& visit) const {
  for (int64_t index = 0; index < snapshot.chunk_count; ++index) {
    KVORUM_ASSIGN_OR_RETURN(const std::string chunk, ReadChunk(*storage_, snapshot.id, index));
    KVORUM_RETURN_IF_ERROR(visit(index, chunk));
  }
  return absl::OkStatus();
}

v1::SnapshotState DescribeSnapshot(const SnapshotManifest& snapshot) {
  v1::SnapshotState out;
  out.set_end_offset(snapshot.id.offset.value());
  out.set_epoch(snapshot.id.epoch.value());
  out.set_last_append_time_ms(snapshot.last_append_time_ms);
  out.set_chunk_count(snapshot.chunk_count);
  out.set_size_bytes(snapshot.size_bytes);
  out.set_chain_hash(HexText(snapshot.chain_hash));
  out.set_state_hash(HexText(snapshot.state_hash));
  out.set_digest(HexText(snapshot.digest));
  return out;
}

std::string HexText(uint64_t value) { return fmt::format("{:016x}", value); }

void PrintJsonLine(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string json;
  // Cannot fail: no Any is in it, and every string is ours or was checked as UTF-8 when parsed.
  google::protobuf::util::MessageToJsonString(message, &json, options).ok();
  fmt::print("{}\n", json);
}

int ExitCodeOf(const absl::Status& status) {
  if (status.ok()) {
    return kExitOk;
  }
  fmt::print(stderr, "kvorumd: {}\n", std::string(status.message()));
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
      return kExitUsage;
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kUnavailable:
      return kExitStorageFailed;
    default:
      return kExitBadDirectory;
  }
}

}  // namespace kvorum
