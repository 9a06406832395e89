#pragma once

#include <google/protobuf/repeated_field.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kvorum/v1/topic.pb.h"
#include "server/metadata/brokers/brokers_image.h"
#include "server/metadata/topics/topics_image.h"

namespace kvorum {

// INVALID_TOPIC_EXCEPTION unless `name` is 1 to 249 of [A-Za-z0-9._-] and neither "." nor "..".
absl::Status ValidateTopicName(std::string_view name);

// `name` in quotes if it is valid, else its size: for messages, where nothing unchecked belongs.
std::string ShownTopicName(std::string_view name);

// The topic. UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID, or INVALID_REQUEST if `ref` names none.
absl::StatusOr<const Topic*> ResolveTopic(const TopicsImage& topics, const v1::TopicRef& ref);

// How manual assignments must look.
struct AssignmentRules {
  int32_t first_index = 0;         // of the new partitions
  int32_t replication_factor = 0;  // 0: that of the first assignment
};

// The replicas of each new partition, by index. INVALID_REPLICA_ASSIGNMENT unless the indexes are
// consecutive from the first, all have as many replicas, each a registered broker and none twice,
// and one of them at least is active.
absl::StatusOr<std::vector<BrokerList>> ValidateAssignments(
    const google::protobuf::RepeatedPtrField<v1::ReplicaAssignment>& assignments,
    const AssignmentRules& rules, const BrokersImage& brokers);

// The partition `index` of `topic_id` as it is created on `replicas`: all active ones are in sync,
// the first of them leads. REQUIRES: one is active.
v1::PartitionRecord MakeNewPartition(const Uuid& topic_id, int32_t index,
                                     const BrokerList& replicas, const BrokersImage& brokers);

}  // namespace kvorum
