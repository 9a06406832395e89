#pragma once

#include <cstddef>

#include "absl/status/statusor.h"
#include "kvorum/v1/quota.pb.h"
#include "server/metadata/command.h"

namespace kvorum {

inline constexpr int kMaxQuotaEntitiesPerRequest = 1'000;
inline constexpr size_t kMaxQuotaNameBytes = 255;
inline constexpr int kMaxQuotaFilters = 3;  // one for each type

// Per entity: all of its operations or none. Faults of an item: INVALID_REQUEST, LIMIT_EXCEEDED.
absl::StatusOr<CommandResult<v1::AlterClientQuotasResponse>> Execute(
    const CommandContext& context, const v1::AlterClientQuotasRequest& request);

// INVALID_REQUEST for a bad filter or page.
absl::StatusOr<v1::DescribeClientQuotasResponse> Query(
    const QueryContext& context, const v1::DescribeClientQuotasRequest& request);

}  // namespace kvorum
