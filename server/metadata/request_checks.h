#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kvorum/v1/common.pb.h"

namespace kvorum {

inline constexpr size_t kMaxWriteReasonBytes = 1'024;

// Refuses values that are none (INVALID_REQUEST). The waits of a write are parsed by the
// controller, which also knows whether `if_unchanged_since` is a place in the log.
absl::Status CheckWriteOptions(const v1::WriteOptions& options);
absl::Status CheckReadOptions(const v1::ReadOptions& options);

// INVALID_REQUEST unless `broker_id` >= 0.
absl::Status CheckBrokerId(int32_t broker_id);

// True for well-formed UTF-8 (no overlong forms, no surrogates) without control characters (C0,
// DEL, C1).
bool IsPrintableUtf8(std::string_view text);

// `text` in quotes if it is short and printable, else its size: for messages, where nothing
// unchecked belongs.
std::string ShownText(std::string_view text);

}  // namespace kvorum
