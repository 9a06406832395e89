#include "server/metadata/topics/named_partition.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "server/base/status_macros.h"
#include "server/metadata/topics/topic_validation.h"

namespace kvorum {

absl::Status RefusePartition(ErrorReason reason, const PartitionKey& key, std::string_view why) {
  return MakeError(reason,
                   fmt::format("partition {} of topic {}: {}", key.index, key.topic_id, why));
}

absl::StatusOr<NamedPartition> FindPartition(const TopicsImage& topics, const v1::TopicRef& ref,
                                             int32_t index) {
  KVORUM_ASSIGN_OR_RETURN(const Topic* topic, ResolveTopic(topics, ref));
  const PartitionKey key{topic->id, index};
  std::optional<Partition> partition = topic->partitions.Find(index);
  if (!partition.has_value()) {
    return RefusePartition(
        ErrorReason::kUnknownTopicOrPartition, key,
        fmt::format("the topic '{}' has {} partitions only; name 0 to {}", *topic->name,
                    topic->partition_count(), topic->partition_count() - 1));
  }
  return NamedPartition{key, *std::move(partition), *topic};
}

}  // namespace kvorum
