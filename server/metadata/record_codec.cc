#include "server/metadata/record_codec.h"

#include <fmt/format.h>

#include <utility>

#include "server/base/check.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/metadata/record_visit.h"

namespace kvorum {
namespace {

// What a record adds to a payload beyond its own bytes: one tag byte and a length of up to five.
constexpr size_t kRecordOverheadBytes = 6;

size_t EncodedSize(const v1::MetadataRecord& record) {
  return record.ByteSizeLong() + kRecordOverheadBytes;
}

absl::Status UnknownContent(const v1::MetadataRecord& record, std::string_view what) {
  return MakeError(ErrorReason::kCorruptLog,
                   fmt::format("record of kind {} has {} this version does not know; run the "
                               "version that wrote it, or a newer one",
                               static_cast<int>(record.record_case()), what));
}

// Of the message itself, not of those inside it.
bool HasUnknownFields(const google::protobuf::Message& message) {
  return !message.GetReflection()->GetUnknownFields(message).empty();
}

template <typename Inner>
bool HasUnknownContent(const Inner& inner) {
  if constexpr (requires { inner.endpoints(); }) {
    for (const v1::Endpoint& endpoint : inner.endpoints()) {
      if (HasUnknownFields(endpoint)) {
        return true;
      }
    }
  }
  return HasUnknownFields(inner);
}

template <typename Inner>
bool HasUnknownEnumValues(const Inner& inner) {
  if constexpr (requires { inner.leader_recovery_state(); }) {
    return !v1::LeaderRecoveryState_IsValid(inner.leader_recovery_state());
  } else {
    return false;
  }
}

}  // namespace

absl::Status CheckKnownRecord(const v1::MetadataRecord& record) {
  if (record.record_case() == v1::MetadataRecord::RECORD_NOT_SET || HasUnknownFields(record)) {
    return UnknownContent(record, "a kind");
  }
  return VisitRecord(record, [&record](const auto& inner) -> absl::Status {
    if (HasUnknownContent(inner)) {
      return UnknownContent(record, "a field");
    }
    if (HasUnknownEnumValues(inner)) {
      return UnknownContent(record, "an enum value");
    }
    return absl::OkStatus();
  });
}

absl::Status CheckFitsOneBatch(const std::vector<v1::MetadataRecord>& records) {
  if (records.size() > kMaxRecordsPerBatch) {
    return MakeError(ErrorReason::kPolicyViolation,
                     fmt::format("the request needs {} records but one batch holds at most {}; "
                                 "split the request",
                                 records.size(), kMaxRecordsPerBatch));
  }
  size_t bytes = 0;
  for (const v1::MetadataRecord& record : records) {
    bytes += EncodedSize(record);
  }
  if (bytes > kMaxBatchBytes) {
    return MakeError(ErrorReason::kPolicyViolation,
                     fmt::format("the request needs {} bytes of records but one batch holds at "
                                 "most {}; split the request",
                                 bytes, kMaxBatchBytes));
  }
  return absl::OkStatus();
}

std::string EncodeRecords(const std::vector<v1::MetadataRecord>& records) {
  KVORUM_CHECK(!records.empty(), "a batch without records");
  if (const absl::Status fits = CheckFitsOneBatch(records); !fits.ok()) {
    KVORUM_CHECK(false, "{}", fits.ToString());
  }
  v1::RecordBatchPayload payload;
  payload.mutable_records()->Reserve(static_cast<int>(records.size()));
  for (const v1::MetadataRecord& record : records) {
    *payload.add_records() = record;
  }
  return payload.SerializeAsString();
}

absl::StatusOr<std::vector<v1::MetadataRecord>> DecodeRecords(std::string_view payload) {
  if (payload.size() > kMaxBatchBytes) {
    return MakeError(ErrorReason::kCorruptLog,
                     fmt::format("payload of {} bytes, over {}", payload.size(), kMaxBatchBytes));
  }
  v1::RecordBatchPayload batch;
  if (!batch.ParseFromArray(payload.data(), static_cast<int>(payload.size()))) {
    return MakeError(ErrorReason::kCorruptLog,
                     fmt::format("payload of {} bytes is no record batch", payload.size()));
  }
  if (HasUnknownFields(batch)) {
    return MakeError(ErrorReason::kCorruptLog, "payload has a field this version does not know");
  }
  const size_t count = static_cast<size_t>(batch.records_size());
  if (count == 0 || count > kMaxRecordsPerBatch) {
    return MakeError(ErrorReason::kCorruptLog,
                     fmt::format("payload of {} records, not 1 to {}", count, kMaxRecordsPerBatch));
  }
  std::vector<v1::MetadataRecord> records;
  records.reserve(count);
  for (v1::MetadataRecord& record : *batch.mutable_records()) {
    KVORUM_RETURN_IF_ERROR(CheckKnownRecord(record));
    records.push_back(std::move(record));
  }
  return records;
}

std::vector<std::vector<v1::MetadataRecord>> SplitIntoBatches(
    std::vector<v1::MetadataRecord> records) {
  std::vector<std::vector<v1::MetadataRecord>> batches;
  size_t bytes = 0;
  for (v1::MetadataRecord& record : records) {
    const size_t size = EncodedSize(record);
    if (batches.empty() || batches.back().size() == kMaxRecordsPerBatch ||
        bytes + size > kMaxBatchBytes) {
      batches.emplace_back();
      bytes = 0;
    }
    bytes += size;
    batches.back().push_back(std::move(record));
  }
  return batches;
}

}  // namespace kvorum
