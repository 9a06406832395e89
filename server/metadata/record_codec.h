#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kvorum/v1/record.pb.h"

namespace kvorum {

// One batch is one commit: written, replicated, applied and streamed whole (KAFKA-14204).
inline constexpr size_t kMaxRecordsPerBatch = 10'000;
inline constexpr size_t kMaxBatchBytes = size_t{4} << 20;  // of its public records
// What a batch may carry for controllers only, on top: a reason, an expiry and a stored reply.
inline constexpr size_t kMaxPrivateRecordsPerBatch = 3;
inline constexpr size_t kMaxPrivateBytes = size_t{1} << 20;

// OK if the public ones among `records` fit one batch. Else POLICY_VIOLATION with the limit, for a
// command to answer before anything is appended.
absl::Status CheckFitsOneBatch(const std::vector<v1::MetadataRecord>& records);

// The payload of a data batch. Equal records give equal bytes.
// REQUIRES: not empty; CheckFitsOneBatch; private ones (IsPrivate) last.
std::string EncodeRecords(const std::vector<v1::MetadataRecord>& records);

// How many bytes at the front of a well-formed payload are for subscribers too.
size_t PublicBytes(std::string_view payload);

// Calls `visit` for the records of a payload (or of a snapshot chunk), in order. It may take what
// is in the record, which is one and the same, used again: thousands come in a batch. Stops with
// CORRUPT_LOG if it is no payload, is empty or over the limits; UNSUPPORTED_VERSION if it holds a
// record, field or enum value this version does not know: a reader can't tell what it would be
// missing. The records before were visited then.
absl::Status VisitRecords(std::string_view payload,
                          absl::FunctionRef<void(v1::MetadataRecord& record)> visit);

// The same records in a list.
absl::StatusOr<std::vector<v1::MetadataRecord>> DecodeRecords(std::string_view payload);

// Cuts `records` into runs that fit one batch each, in order, the last one full. For results that
// need not be atomic (CommandResult::is_atomic).
std::vector<std::vector<v1::MetadataRecord>> SplitIntoBatches(
    std::vector<v1::MetadataRecord> records);

// OK (else UNSUPPORTED_VERSION) if `record` is of a known kind and has no field or enum value this
// version does not know.
absl::Status CheckKnownRecord(const v1::MetadataRecord& record);

}  // namespace kvorum
