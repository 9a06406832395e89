#pragma once

#include <cstddef>

#include "absl/status/statusor.h"
#include "kvorum/v1/broker.pb.h"
#include "server/metadata/command.h"

namespace kvorum {

inline constexpr int kMaxEndpoints = 32;
inline constexpr size_t kMaxEndpointNameBytes = 255;
inline constexpr size_t kMaxHostBytes = 255;
inline constexpr size_t kMaxRackBytes = 255;

// A new incarnation gets the offset of its registration record, the last of the result, as broker
// epoch, and starts fenced; the partitions of the incarnation before are cleaned up first. The same
// incarnation again may change endpoints and rack, and keeps epoch and fencing. KIP-631, KIP-841.
// INVALID_REQUEST, INVALID_REGISTRATION, DUPLICATE_BROKER_REGISTRATION.
absl::StatusOr<CommandResult<v1::RegisterBrokerResponse>> Execute(
    const CommandContext& context, const v1::RegisterBrokerRequest& request);

// Partition changes first. BROKER_ID_NOT_REGISTERED.
absl::StatusOr<CommandResult<v1::UnregisterBrokerResponse>> Execute(
    const CommandContext& context, const v1::UnregisterBrokerRequest& request);

// By id.
absl::StatusOr<v1::ListBrokersResponse> Query(const QueryContext& context,
                                              const v1::ListBrokersRequest& request);

}  // namespace kvorum
