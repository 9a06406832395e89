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
inline constexpr int kMaxLogDirs = 100;

// A new incarnation gets the offset of its registration record, the last of the result, as broker
// epoch, and starts fenced; the partitions of the incarnation before are cleaned up first. It must
// wait for that one's session to end, unless that process is known to be gone, or it knows that
// one's epoch: then that one has stopped in good order. The same incarnation again may change
// endpoints, rack and log directories, and keeps epoch and state. KIP-631, KIP-841, KIP-966.
// INVALID_REQUEST, INVALID_REGISTRATION, DUPLICATE_BROKER_REGISTRATION.
absl::StatusOr<CommandResult<v1::RegisterBrokerResponse>> Execute(
    const CommandContext& context, const v1::RegisterBrokerRequest& request);

// Partition changes first. BROKER_ID_NOT_REGISTERED.
absl::StatusOr<CommandResult<v1::UnregisterBrokerResponse>> Execute(
    const CommandContext& context, const v1::UnregisterBrokerRequest& request);

// Leadership first where it can move; the rest of what the broker leads is told. Drained brokers
// stay so across incarnations. BROKER_ID_NOT_REGISTERED.
absl::StatusOr<CommandResult<v1::DrainBrokerResponse>> Execute(
    const CommandContext& context, const v1::DrainBrokerRequest& request);

// What moved away comes back with the balancing of leaders. BROKER_ID_NOT_REGISTERED.
absl::StatusOr<CommandResult<v1::UndrainBrokerResponse>> Execute(
    const CommandContext& context, const v1::UndrainBrokerRequest& request);

// BROKER_ID_NOT_REGISTERED.
absl::StatusOr<v1::GetBrokerResponse> Query(const QueryContext& context,
                                            const v1::GetBrokerRequest& request);

// By id.
absl::StatusOr<v1::ListBrokersResponse> Query(const QueryContext& context,
                                              const v1::ListBrokersRequest& request);

}  // namespace kvorum
