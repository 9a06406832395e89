#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "kvorum/v1/producer_id.pb.h"
#include "server/metadata/command.h"

namespace kvorum {

inline constexpr int32_t kProducerIdBlockSize = 1'000;

// The next block. BROKER_ID_NOT_REGISTERED, STALE_BROKER_EPOCH; LIMIT_EXCEEDED when the ids of 63
// bits are used up.
absl::StatusOr<CommandResult<v1::AllocateProducerIdsResponse>> Execute(
    const CommandContext& context, const v1::AllocateProducerIdsRequest& request);

}  // namespace kvorum
