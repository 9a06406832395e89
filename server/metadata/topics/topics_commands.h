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

// KIP-460. Results in the order of the request; of a topic named as a whole, only those partitions
// that need an election. ELECTION_NOT_NEEDED, PREFERRED_LEADER_NOT_AVAILABLE,
// ELIGIBLE_LEADERS_NOT_AVAILABLE.
absl::StatusOr<CommandResult<v1::ElectLeadersResponse>> Execute(
    const CommandContext& context, const v1::ElectLeadersRequest& request);

// KIP-455, KIP-860. INVALID_REPLICA_ASSIGNMENT, INVALID_REPLICATION_FACTOR,
// NO_REASSIGNMENT_IN_PROGRESS.
absl::StatusOr<CommandResult<v1::AlterPartitionReassignmentsResponse>> Execute(
    const CommandContext& context, const v1::AlterPartitionReassignmentsRequest& request);

// By topic id and index.
absl::StatusOr<v1::ListPartitionReassignmentsResponse> Query(
    const QueryContext& context, const v1::ListPartitionReassignmentsRequest& request);
absl::StatusOr<v1::DescribePartitionsResponse> Query(const QueryContext& context,
                                                     const v1::DescribePartitionsRequest& request);

// By name.
absl::StatusOr<v1::ListTopicsResponse> Query(const QueryContext& context,
                                             const v1::ListTopicsRequest& request);

// A page of the topic's partitions, by index. UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID.
absl::StatusOr<v1::GetTopicResponse> Query(const QueryContext& context,
                                           const v1::GetTopicRequest& request);

}  // namespace kvorum
