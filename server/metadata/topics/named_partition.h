#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kvorum/v1/topic.pb.h"
#include "server/base/errors.h"
#include "server/metadata/topics/partition_change.h"
#include "server/metadata/topics/topics_image.h"

namespace kvorum {

// A partition that a request names. Borrows the image.
struct NamedPartition {
  PartitionKey key;
  Partition partition;
  const Topic& topic;

  PartitionNow now() const { return {key, partition, topic}; }
};

// UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID, or INVALID_REQUEST if `ref` names no topic.
absl::StatusOr<NamedPartition> FindPartition(const TopicsImage& topics, const v1::TopicRef& ref,
                                             int32_t index);

absl::Status RefusePartition(ErrorReason reason, const PartitionKey& key, std::string_view why);

}  // namespace kvorum
