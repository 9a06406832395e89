#include "server/metadata/topics/topic_validation.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>

#include "server/base/check.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/metadata/topics/topics_commands.h"

namespace kvorum {
namespace {

absl::Status InvalidAssignment(int32_t index, std::string_view why) {
  return MakeError(ErrorReason::kInvalidReplicaAssignment,
                   fmt::format("assignment of partition {}: {}", index, why));
}

absl::StatusOr<BrokerList> ValidateReplicas(const v1::ReplicaAssignment& assignment,
                                            const BrokersImage& brokers) {
  const int32_t index = assignment.partition_index();
  if (assignment.replicas().empty()) {
    return InvalidAssignment(index, "it has no replicas; name at least one broker");
  }
  if (assignment.replicas_size() > static_cast<int>(kMaxReplicas)) {
    return InvalidAssignment(index, fmt::format("it has {} replicas; the limit is {}",
                                                assignment.replicas_size(), kMaxReplicas));
  }
  BrokerList replicas;
  bool has_active = false;
  for (const int32_t raw_id : assignment.replicas()) {
    const BrokerId id{raw_id};
    if (std::find(replicas.begin(), replicas.end(), id) != replicas.end()) {
      return InvalidAssignment(index, fmt::format("broker {} is named twice; name it once", id));
    }
    const Broker* broker = brokers.Find(id);
    if (broker == nullptr) {
      return InvalidAssignment(
          index, fmt::format("broker {} is not registered; use registered brokers", id));
    }
    if (broker->is_drained) {
      return InvalidAssignment(index, fmt::format("broker {} is drained and gets no new replicas; "
                                                  "undrain it, or use another",
                                                  id));
    }
    has_active |= brokers.IsActive(id);
    replicas.push_back(id);
  }
  if (!has_active) {
    return InvalidAssignment(
        index,
        "all its brokers are fenced or shutting down, so none could lead; name an active one");
  }
  return replicas;
}

}  // namespace

absl::Status ValidateTopicName(std::string_view name) {
  const auto is_allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  };
  if (name.empty() || name.size() > kMaxTopicNameBytes) {
    return MakeError(
        ErrorReason::kInvalidTopic,
        fmt::format("topic name of {} characters; use 1 to {}", name.size(), kMaxTopicNameBytes));
  }
  if (!std::all_of(name.begin(), name.end(), is_allowed)) {
    return MakeError(ErrorReason::kInvalidTopic,
                     fmt::format("topic name of {} bytes has a character outside a-z, A-Z, 0-9, "
                                 "'.', '_' and '-'; use those only",
                                 name.size()));
  }
  if (name == "." || name == "..") {
    return MakeError(ErrorReason::kInvalidTopic,
                     fmt::format("topic name '{}' is reserved; use another", name));
  }
  return absl::OkStatus();
}

std::string ShownTopicName(std::string_view name) {
  return ValidateTopicName(name).ok() ? fmt::format("'{}'", name)
                                      : fmt::format("({} bytes that are no name)", name.size());
}

absl::StatusOr<const Topic*> ResolveTopic(const TopicsImage& topics, const v1::TopicRef& ref) {
  switch (ref.ref_case()) {
    case v1::TopicRef::kName: {
      const Topic* topic = topics.Find(ref.name());
      if (topic == nullptr) {
        return MakeError(
            ErrorReason::kUnknownTopicOrPartition,
            fmt::format("no topic is named {}; create it first", ShownTopicName(ref.name())));
      }
      return topic;
    }
    case v1::TopicRef::kTopicId: {
      const std::optional<Uuid> id = Uuid::Parse(ref.topic_id());
      if (!id.has_value()) {
        return MakeError(ErrorReason::kInvalidRequest,
                         fmt::format("topic_id of {} characters is no UUID; use the 36-character "
                                     "form",
                                     ref.topic_id().size()));
      }
      const Topic* topic = topics.Find(*id);
      if (topic == nullptr) {
        return MakeError(ErrorReason::kUnknownTopicId,
                         fmt::format("no topic has the id {}; it may have been deleted", *id));
      }
      return topic;
    }
    case v1::TopicRef::REF_NOT_SET:
      break;
  }
  return MakeError(ErrorReason::kInvalidRequest, "no topic is named; set its name or topic_id");
}

absl::StatusOr<std::vector<BrokerList>> ValidateAssignments(
    const google::protobuf::RepeatedPtrField<v1::ReplicaAssignment>& assignments,
    const AssignmentRules& rules, const BrokersImage& brokers) {
  std::map<int32_t, const v1::ReplicaAssignment*> by_index;
  for (const v1::ReplicaAssignment& assignment : assignments) {
    if (!by_index.emplace(assignment.partition_index(), &assignment).second) {
      return InvalidAssignment(assignment.partition_index(), "it is given twice; give it once");
    }
  }
  size_t replica_count = static_cast<size_t>(rules.replication_factor);
  std::vector<BrokerList> partitions;
  for (const auto& [index, assignment] : by_index) {
    const int32_t expected = rules.first_index + static_cast<int32_t>(partitions.size());
    if (index != expected) {
      return InvalidAssignment(
          index, fmt::format("partition {} should come here; number them from {} without gaps",
                             expected, rules.first_index));
    }
    KVORUM_ASSIGN_OR_RETURN(BrokerList replicas, ValidateReplicas(*assignment, brokers));
    replica_count = replica_count == 0 ? replicas.size() : replica_count;
    if (replicas.size() != replica_count) {
      return InvalidAssignment(index,
                               fmt::format("it has {} replicas, not {}; give all partitions of a "
                                           "topic as many",
                                           replicas.size(), replica_count));
    }
    partitions.push_back(std::move(replicas));
  }
  return partitions;
}

v1::PartitionRecord MakeNewPartition(const Uuid& topic_id, int32_t index,
                                     const BrokerList& replicas, const BrokersImage& brokers) {
  Partition partition;
  partition.replicas = replicas;
  for (const BrokerId id : replicas) {
    if (brokers.IsActive(id)) {
      partition.isr.push_back(id);
    }
  }
  KVORUM_CHECK(!partition.isr.empty(), "partition {} of topic {} has no active replica", index,
               topic_id);
  partition.leader = partition.isr.front();
  return partition.ToRecord(topic_id, index);
}

}  // namespace kvorum
