#pragma once

#include <cstddef>

#include "absl/status/statusor.h"
#include "kvorum/v1/entry.pb.h"
#include "server/metadata/command.h"

namespace kvorum {

inline constexpr size_t kMaxEntryKeyBytes = 512;
inline constexpr size_t kMaxEntryValueBytes = size_t{64} << 10;
inline constexpr size_t kMaxEntryNamespaceBytes = 64;

// INVALID_KEY, VALUE_TOO_LARGE; INVALID_UPDATE_VERSION if the key is not at `expected_version`;
// LIMIT_EXCEEDED. For an owner: BROKER_ID_NOT_REGISTERED, STALE_BROKER_EPOCH, BROKER_NOT_AVAILABLE.
absl::StatusOr<CommandResult<v1::PutEntryResponse>> Execute(const CommandContext& context,
                                                            const v1::PutEntryRequest& request);

// INVALID_KEY, UNKNOWN_KEY, INVALID_UPDATE_VERSION.
absl::StatusOr<CommandResult<v1::DeleteEntryResponse>> Execute(
    const CommandContext& context, const v1::DeleteEntryRequest& request);

// INVALID_KEY, UNKNOWN_KEY.
absl::StatusOr<v1::GetEntryResponse> Query(const QueryContext& context,
                                           const v1::GetEntryRequest& request);

// By name, those that have entries. INVALID_REQUEST for a bad page.
absl::StatusOr<v1::ListEntryNamespacesResponse> Query(
    const QueryContext& context, const v1::ListEntryNamespacesRequest& request);

// By key. INVALID_KEY for a bad prefix, INVALID_REQUEST for a bad page.
absl::StatusOr<v1::ListEntriesResponse> Query(const QueryContext& context,
                                              const v1::ListEntriesRequest& request);

}  // namespace kvorum
