#include "server/cmd/dump_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/cmd/exit_codes.h"
#include "server/cmd/offline_replica.h"
#include "server/metadata/credentials/credentials_image.h"

namespace kvorum {
namespace {

// All records of a payload in the order of their offsets, without what nobody may read.
void MoveRecords(v1::RecordBatchPayload& payload,
                 google::protobuf::RepeatedPtrField<v1::MetadataRecord>& out) {
  out.Swap(payload.mutable_records());
  out.MergeFrom(payload.private_records());
  for (v1::MetadataRecord& record : out) {
    HideSecrets(record);
  }
}

// The records of a batch, as messages of the two kinds.
absl::Status ParseRecords(const RecordBatch& batch, v1::LogBatch& out) {
  v1::ControlBatch control;
  v1::RecordBatchPayload data;
  const bool is_parsed = batch.is_control ? control.ParseFromString(*batch.payload)
                                          : data.ParseFromString(*batch.payload);
  if (!is_parsed) {
    return MakeError(
        ErrorReason::kCorruptLog,
        fmt::format("the payload of the batch at {} cannot be read", batch.base_offset));
  }
  out.mutable_control_records()->Swap(control.mutable_records());
  MoveRecords(data, *out.mutable_records());
  return absl::OkStatus();
}

v1::LogBatch DescribeBatch(const RecordBatch& batch) {
  v1::LogBatch out;
  out.set_base_offset(batch.base_offset.value());
  out.set_last_offset(batch.last_offset().value());
  out.set_epoch(batch.epoch.value());
  out.set_record_count(batch.record_count);
  out.set_size_bytes(static_cast<int64_t>(batch.encoded_size()));
  out.set_append_time_ms(batch.append_time_ms);
  out.set_chain_hash(HexText(batch.chain_hash));
  out.set_is_control(batch.is_control);
  return out;
}

void PrintText(const v1::LogBatch& batch) {
  fmt::print(
      "batch base_offset={} last_offset={} epoch={} control={} records={} bytes={} "
      "append_time_ms={} chain_hash={}\n",
      batch.base_offset(), batch.last_offset(), batch.epoch(), batch.is_control(),
      batch.record_count(), batch.size_bytes(), batch.append_time_ms(), batch.chain_hash());
  int64_t offset = batch.base_offset();
  for (const v1::ControlRecord& record : batch.control_records()) {
    fmt::print("  offset={} {}\n", offset, record.ShortDebugString());
    ++offset;
  }
  for (const v1::MetadataRecord& record : batch.records()) {
    fmt::print("  offset={} {}\n", offset, record.ShortDebugString());
    ++offset;
  }
}

void PrintText(const v1::SnapshotState& snapshot) {
  fmt::print(
      "snapshot end_offset={} epoch={} chunks={} bytes={} last_append_time_ms={} chain_hash={} "
      "state_hash={}\n",
      snapshot.end_offset(), snapshot.epoch(), snapshot.chunk_count(), snapshot.size_bytes(),
      snapshot.last_append_time_ms(), snapshot.chain_hash(), snapshot.state_hash());
}

void PrintHead(const v1::DirectoryState& state, bool json) {
  if (json) {
    v1::DumpLine line;
    *line.mutable_directory() = state;
    PrintJsonLine(line);
    return;
  }
  const auto id = [](int32_t node) { return node < 0 ? "none" : fmt::format("{}", node); };
  fmt::print("# node={} directory={} cluster={} generation={}\n", state.node_id(),
             state.directory_id(), state.cluster_id(), state.generation());
  fmt::print("# quorum epoch={} voted={} leader={}\n", state.epoch(), id(state.voted_node_id()),
             id(state.leader_id()));
  fmt::print("# log start={} end={} snapshots={}\n", state.log_start_offset(),
             state.log_end_offset(), state.snapshots_size());
  if (!state.quarantine().empty()) {
    fmt::print("# quarantined: {}\n", state.quarantine());
  }
}

absl::Status DumpBatches(const OfflineReplica& replica, const DumpOptions& options) {
  return replica.ForEachBatch([&options](const RecordBatch& batch) {
    v1::DumpLine line;
    *line.mutable_batch() = DescribeBatch(batch);
    if (!options.without_records) {
      KVORUM_RETURN_IF_ERROR(ParseRecords(batch, *line.mutable_batch()));
    }
    if (options.json) {
      PrintJsonLine(line);
    } else {
      PrintText(line.batch());
    }
    return absl::OkStatus();
  });
}

absl::StatusOr<SnapshotManifest> ChooseSnapshot(const OfflineReplica& replica,
                                                const DumpOptions& options) {
  const std::vector<SnapshotManifest>& snapshots = replica.state().snapshots;
  const auto chosen = std::find_if(snapshots.rbegin(), snapshots.rend(),
                                   [&options](const SnapshotManifest& snapshot) {
                                     return !options.snapshot_end.has_value() ||
                                            snapshot.id.offset == Offset(*options.snapshot_end);
                                   });
  if (chosen != snapshots.rend()) {
    return *chosen;
  }
  std::string ends;
  for (const SnapshotManifest& snapshot : snapshots) {
    ends += fmt::format("{}{}", ends.empty() ? "" : ", ", snapshot.id.offset);
  }
  return MakeError(ErrorReason::kSnapshotNotFound,
                   fmt::format("{} has {}", replica.data_dir(),
                               ends.empty() ? "no snapshot yet: everything is in its log"
                                            : "snapshots that end at " + ends));
}

absl::Status PrintChunk(const SnapshotManifest& snapshot, int64_t index, const std::string& chunk,
                        bool json) {
  v1::RecordBatchPayload payload;
  if (!payload.ParseFromString(chunk)) {
    return MakeError(ErrorReason::kCorruptLog,
                     fmt::format("chunk {} of snapshot {} cannot be read", index, snapshot.id));
  }
  v1::DumpLine line;
  v1::SnapshotChunkRecords& out = *line.mutable_chunk();
  out.set_snapshot_end_offset(snapshot.id.offset.value());
  out.set_chunk_index(index);
  MoveRecords(payload, *out.mutable_records());
  if (json) {
    PrintJsonLine(line);
    return absl::OkStatus();
  }
  for (const v1::MetadataRecord& record : out.records()) {
    fmt::print("  {}\n", record.ShortDebugString());
  }
  return absl::OkStatus();
}

absl::Status RunDumpLog(const DumpOptions& options) {
  KVORUM_ASSIGN_OR_RETURN(const OfflineReplica replica, OfflineReplica::Open(options.data_dir));
  PrintHead(replica.Describe(), options.json);
  return DumpBatches(replica, options);
}

absl::Status RunDumpSnapshot(const DumpOptions& options) {
  KVORUM_ASSIGN_OR_RETURN(const OfflineReplica replica, OfflineReplica::Open(options.data_dir));
  KVORUM_ASSIGN_OR_RETURN(const SnapshotManifest snapshot, ChooseSnapshot(replica, options));
  v1::DumpLine line;
  *line.mutable_snapshot() = DescribeSnapshot(snapshot);
  if (options.json) {
    PrintJsonLine(line);
  } else {
    PrintText(line.snapshot());
  }
  if (options.without_records) {
    return absl::OkStatus();
  }
  return replica.ForEachChunk(snapshot, [&](int64_t index, const std::string& chunk) {
    return PrintChunk(snapshot, index, chunk, options.json);
  });
}

}  // namespace

int DumpLog(const DumpOptions& options) { return ExitCodeOf(RunDumpLog(options)); }

int DumpSnapshot(const DumpOptions& options) { return ExitCodeOf(RunDumpSnapshot(options)); }

}  // namespace kvorum
