#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "kvorum/v1/topic.pb.h"
#include "server/metadata/command.h"

namespace kvorum {

inline constexpr int kMaxTopicsPerRequest = 1'000;
inline constexpr int64_t kMaxPartitionsPerRequest = 10'000;
inline constexpr size_t kMaxTopicNameBytes = 249;  // leaves room in file names, as Kafka's does
inline constexpr int32_t kDefaultReplicationFactor = 3;

// Batches: faults of the request are statuses (INVALID_REQUEST, POLICY_VIOLATION); faults of an
// item stay in its result. Sound items commit together; with all_or_nothing, only if all are sound.

absl::StatusOr<CommandResult<v1::CreateTopicsResponse>> Execute(
    const CommandContext& context, const v1::CreateTopicsRequest& request);

absl::StatusOr<CommandResult<v1::DeleteTopicsResponse>> Execute(
    const CommandContext& context, const v1::DeleteTopicsRequest& request);

absl::StatusOr<CommandResult<v1::CreatePartitionsResponse>> Execute(
    const CommandContext& context, const v1::CreatePartitionsRequest& request);

// KIP-497, KIP-704, KIP-841. A wrong broker epoch refuses the whole request.
absl::StatusOr<CommandResult<v1::AlterPartitionResponse>> Execute(
    const CommandContext& context, const v1::AlterPartitionRequest& request);

// By name.
absl::StatusOr<v1::ListTopicsResponse> Query(const QueryContext& context,
                                             const v1::ListTopicsRequest& request);

// A page of the topic's partitions, by index. UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID.
absl::StatusOr<v1::GetTopicResponse> Query(const QueryContext& context,
                                           const v1::GetTopicRequest& request);

}  // namespace kvorum
