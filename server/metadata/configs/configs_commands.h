#pragma once

#include <cstddef>
#include <vector>

#include "absl/status/statusor.h"
#include "kvorum/v1/config.pb.h"
#include "kvorum/v1/topic.pb.h"
#include "server/metadata/command.h"

namespace kvorum {

inline constexpr int kMaxConfigResourcesPerRequest = 1'000;
inline constexpr int kMaxConfigOperationsPerRequest = 10'000;
inline constexpr size_t kMaxConfigResourceNameBytes = 249;

// Incremental, per resource: all of its operations or none. What does not change anything emits
// nothing. Faults of an item: INVALID_CONFIG, UNKNOWN_TOPIC_OR_PARTITION, BROKER_ID_NOT_REGISTERED,
// INVALID_REQUEST, LIMIT_EXCEEDED.
absl::StatusOr<CommandResult<v1::AlterConfigsResponse>> Execute(
    const CommandContext& context, const v1::AlterConfigsRequest& request);

// What is in effect and where it comes from. Faults of an item as above.
absl::StatusOr<v1::DescribeConfigsResponse> Query(const QueryContext& context,
                                                  const v1::DescribeConfigsRequest& request);

// The records of the configs that `topic` is created with. `planned`: configs that the same request
// makes already. INVALID_CONFIG, INVALID_REQUEST, LIMIT_EXCEEDED.
absl::StatusOr<std::vector<v1::MetadataRecord>> PlanTopicConfigs(const CommandContext& context,
                                                                 const v1::NewTopic& topic,
                                                                 size_t planned);

// OK if the configs of `resource` can be set. Else the reason why not, as above.
absl::Status ValidateConfigResource(const MetadataImage& image, const v1::ConfigResource& resource);

}  // namespace kvorum
