#pragma once

#include <cstddef>

#include "absl/status/statusor.h"
#include "kvorum/v1/acl.pb.h"
#include "server/metadata/command.h"

namespace kvorum {

inline constexpr int kMaxAclsPerRequest = 1'000;
inline constexpr int kMaxAclFiltersPerRequest = 25;  // each looks at every entry
inline constexpr size_t kMaxAclsDeletedPerRequest = 10'000;
inline constexpr size_t kMaxAclTextBytes = 249;
// The only name a CLUSTER resource has (Kafka's Resource.CLUSTER_NAME).
inline constexpr char kAclClusterName[] = "kafka-cluster";

// An identical binding answers the id it has. Faults of an item: INVALID_REQUEST, LIMIT_EXCEEDED.
absl::StatusOr<CommandResult<v1::CreateAclsResponse>> Execute(const CommandContext& context,
                                                              const v1::CreateAclsRequest& request);

// INVALID_REQUEST for a filter; POLICY_VIOLATION if all together match too many.
absl::StatusOr<CommandResult<v1::DeleteAclsResponse>> Execute(const CommandContext& context,
                                                              const v1::DeleteAclsRequest& request);

// By id. INVALID_REQUEST for a bad filter or page.
absl::StatusOr<v1::DescribeAclsResponse> Query(const QueryContext& context,
                                               const v1::DescribeAclsRequest& request);

}  // namespace kvorum
