#include "server/cmd/dump_log.h"

#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>

#include <cstdio>
#include <future>
#include <memory>
#include <utility>
#include <vector>

#include "kvorum/v1/control_record.pb.h"
#include "kvorum/v1/record.pb.h"
#include "server/base/status_macros.h"
#include "server/cmd/exit_codes.h"
#include "storage/meta_properties.h"
#include "storage/rocksdb/rocksdb_storage.h"

namespace kvorum {
namespace {

constexpr size_t kReadBytes = 4 << 20;

// The records of a batch, as messages of the two kinds.
absl::StatusOr<std::unique_ptr<google::protobuf::Message>> ParsePayload(const RecordBatch& batch) {
  std::unique_ptr<google::protobuf::Message> message;
  if (batch.is_control) {
    message = std::make_unique<v1::ControlBatch>();
  } else {
    message = std::make_unique<v1::RecordBatchPayload>();
  }
  if (!message->ParseFromString(*batch.payload)) {
    return absl::DataLossError(fmt::format("the payload of the batch at {} is no {}",
                                           batch.base_offset, message->GetTypeName()));
  }
  return message;
}

template <typename Record>
void PrintTextRecords(const RecordBatch& batch,
                      const google::protobuf::RepeatedPtrField<Record>& records) {
  Offset offset = batch.base_offset;
  for (const Record& record : records) {
    fmt::print("  offset={} {}\n", offset, record.ShortDebugString());
    ++offset;
  }
}

void PrintText(const RecordBatch& batch, const google::protobuf::Message* payload) {
  fmt::print(
      "batch base_offset={} last_offset={} epoch={} control={} records={} bytes={} "
      "append_time_ms={} chain_hash={:016x}\n",
      batch.base_offset, batch.last_offset(), batch.epoch, batch.is_control, batch.record_count,
      batch.encoded_size(), batch.append_time_ms, batch.chain_hash);
  if (payload == nullptr) {
    return;
  }
  if (batch.is_control) {
    PrintTextRecords(batch, static_cast<const v1::ControlBatch*>(payload)->records());
  } else {
    PrintTextRecords(batch, static_cast<const v1::RecordBatchPayload*>(payload)->records());
  }
}

void PrintJson(const RecordBatch& batch, const google::protobuf::Message* payload) {
  std::string records = "{}";
  if (payload != nullptr) {
    records.clear();
    // Cannot fail for messages that were parsed.
    google::protobuf::util::MessageToJsonString(*payload, &records).ok();
  }
  fmt::print(
      "{{\"baseOffset\":{},\"lastOffset\":{},\"epoch\":{},\"isControl\":{},\"recordCount\":{},"
      "\"bytes\":{},\"appendTimeMs\":{},\"chainHash\":\"{:016x}\",\"payload\":{}}}\n",
      batch.base_offset, batch.last_offset(), batch.epoch, batch.is_control, batch.record_count,
      batch.encoded_size(), batch.append_time_ms, batch.chain_hash, records);
}

absl::StatusOr<std::vector<RecordBatch>> ReadFrom(Storage& storage, Offset from, Offset to) {
  std::promise<absl::StatusOr<std::vector<RecordBatch>>> result;
  storage.Read({.from = from, .to = to, .max_bytes = kReadBytes},
               [&result](absl::StatusOr<std::vector<RecordBatch>> batches) {
                 result.set_value(std::move(batches));
               });
  return result.get_future().get();
}

absl::Status PrintBatch(const RecordBatch& batch, const DumpLogOptions& options) {
  std::unique_ptr<google::protobuf::Message> payload;
  if (!options.batches_only) {
    KVORUM_ASSIGN_OR_RETURN(payload, ParsePayload(batch));
  }
  if (options.json) {
    PrintJson(batch, payload.get());
  } else {
    PrintText(batch, payload.get());
  }
  return absl::OkStatus();
}

void PrintHead(const MetaProperties& properties, const RecoveredState& state, Offset end) {
  fmt::print("# node={} directory={} cluster={} generation={:016x}\n", properties.node_id,
             properties.directory_id, properties.cluster_id, properties.generation);
  const QuorumState& quorum = state.quorum_state;
  fmt::print("# quorum epoch={} voted={} leader={}\n", quorum.epoch,
             quorum.voted_key.has_value() ? fmt::format("{}", *quorum.voted_key) : "none",
             quorum.leader_id.has_value() ? fmt::format("{}", *quorum.leader_id) : "unknown");
  fmt::print("# log start={} end={} batches={}\n", state.log_start_offset, end,
             state.batch_ends.size());
}

absl::Status Dump(const MetaProperties& properties, const DumpLogOptions& options) {
  KVORUM_ASSIGN_OR_RETURN(
      const std::unique_ptr<RocksDbStorage> storage,
      RocksDbStorage::Open({.data_dir = options.data_dir,
                            .cluster_id = properties.cluster_id,
                            .replica = {properties.node_id, properties.directory_id}}));
  KVORUM_ASSIGN_OR_RETURN(const RecoveredState state, storage->Recover());
  const Offset end =
      state.batch_ends.empty() ? state.log_start_offset : state.batch_ends.back().end_offset;
  if (!options.json) {
    PrintHead(properties, state, end);
  }
  for (Offset next = state.log_start_offset; next < end;) {
    KVORUM_ASSIGN_OR_RETURN(const std::vector<RecordBatch> batches, ReadFrom(*storage, next, end));
    for (const RecordBatch& batch : batches) {
      KVORUM_RETURN_IF_ERROR(PrintBatch(batch, options));
      next = batch.end_offset();
    }
  }
  return absl::OkStatus();
}

}  // namespace

int DumpLog(const DumpLogOptions& options) {
  const absl::StatusOr<MetaProperties> properties = ReadMetaProperties(options.data_dir);
  if (!properties.ok()) {
    fmt::print(stderr, "kvorumd: {}\n", std::string(properties.status().message()));
    return kExitBadDirectory;
  }
  if (const absl::Status status = Dump(*properties, options); !status.ok()) {
    fmt::print(stderr, "kvorumd: {}\n", std::string(status.message()));
    return kExitStorageFailed;
  }
  return kExitOk;
}

}  // namespace kvorum
