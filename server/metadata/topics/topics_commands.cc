#include "server/metadata/topics/topics_commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/metadata/configs/config_keys.h"
#include "server/metadata/configs/configs_commands.h"
#include "server/metadata/item_status.h"
#include "server/metadata/record_codec.h"
#include "server/metadata/topics/placement_explanation.h"
#include "server/metadata/topics/replica_placement.h"
#include "server/metadata/topics/topic_validation.h"

namespace kvorum {
namespace {

absl::Status ValidatePartitionTotal(int64_t total) {
  if (total > kMaxPartitionsPerRequest) {
    return MakeError(
        ErrorReason::kPolicyViolation,
        fmt::format("the request makes {} partitions; the limit is {}, split the request", total,
                    kMaxPartitionsPerRequest));
  }
  return absl::OkStatus();
}

absl::Status NamedTwice(std::string_view name) {
  return MakeError(ErrorReason::kInvalidRequest,
                   fmt::format("topic {} is named more than once in the request; name it once",
                               ShownTopicName(name)));
}

// Names that occur more than once in `items`.
template <typename Items>
std::set<std::string_view> RepeatedNames(const Items& items) {
  std::set<std::string_view> seen;
  std::set<std::string_view> repeated;
  for (const auto& item : items) {
    if (!seen.insert(item.name()).second) {
      repeated.insert(item.name());
    }
  }
  return repeated;
}

// What a topic will be called in metrics must be free: in the image, and among the topics that the
// same request makes.
absl::Status ValidateNewName(std::string_view name, const TopicsImage& topics,
                             const std::map<std::string, std::string>& planned) {
  KVORUM_RETURN_IF_ERROR(ValidateTopicName(name));
  if (topics.Find(name) != nullptr) {
    return MakeError(ErrorReason::kTopicAlreadyExists,
                     fmt::format("topic '{}' exists; use another name, or delete it first", name));
  }
  const std::optional<std::string> metric_name = MetricNameOf(name);
  if (!metric_name.has_value()) {
    return absl::OkStatus();
  }
  std::string other;
  if (const Uuid* id = topics.by_metric_name.Find(*metric_name)) {
    other = *topics.Find(*id)->name;
  } else if (const auto found = planned.find(*metric_name); found != planned.end()) {
    other = found->second;
  }
  if (!other.empty()) {
    return MakeError(ErrorReason::kInvalidTopic,
                     fmt::format("topic '{}' collides with '{}', since '.' and '_' are the same in "
                                 "metric names; use another name",
                                 name, other));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<BrokerList>> PlanPartitions(const CommandContext& context,
                                                       const v1::NewTopic& topic) {
  const BrokersImage& brokers = context.image.brokers();
  if (!topic.assignments().empty()) {
    if (topic.partition_count() < -1 || topic.partition_count() > 0 ||
        topic.replication_factor() < -1 || topic.replication_factor() > 0) {
      return MakeError(
          ErrorReason::kInvalidRequest,
          fmt::format("topic '{}' has assignments and also partition_count {} and "
                      "replication_factor {}; leave both at -1 or 0",
                      topic.name(), topic.partition_count(), topic.replication_factor()));
    }
    return ValidateAssignments(topic.assignments(), AssignmentRules{}, brokers);
  }
  if (topic.partition_count() < -1) {
    return MakeError(ErrorReason::kInvalidPartitions,
                     fmt::format("topic '{}' has partition_count {}; use 1 or more, or -1 for the "
                                 "default",
                                 topic.name(), topic.partition_count()));
  }
  if (topic.replication_factor() < -1) {
    return MakeError(ErrorReason::kInvalidReplicationFactor,
                     fmt::format("topic '{}' has replication_factor {}; use 1 or more, or -1 for "
                                 "the default",
                                 topic.name(), topic.replication_factor()));
  }
  PlacementSpec spec{std::max(topic.partition_count(), 1), topic.replication_factor(), nullptr};
  if (spec.replication_factor <= 0) {
    int32_t unfenced = 0;
    for (const auto& [id, broker] : brokers.brokers) {
      unfenced += !broker->is_fenced && MayGetReplicas(*broker) ? 1 : 0;
    }
    spec.replication_factor = std::min(kDefaultReplicationFactor, unfenced);
  }
  return PlaceReplicas(spec, brokers, context.random);
}

Uuid DrawTopicId(const CommandContext& context) {
  Uuid id = Uuid::FromRandom(context.random);
  while (context.image.topics().Find(id) != nullptr) {
    id = Uuid::FromRandom(context.random);
  }
  return id;
}

void AppendPartitions(const CommandContext& context, const Uuid& topic_id, int32_t first_index,
                      const std::vector<BrokerList>& partitions,
                      std::vector<v1::MetadataRecord>& records) {
  int32_t index = first_index;
  for (const BrokerList& replicas : partitions) {
    *records.emplace_back().mutable_partition() =
        MakeNewPartition(topic_id, index, replicas, context.image.brokers());
    ++index;
  }
}

template <typename Result>
void FillAssignments(const std::vector<BrokerList>& partitions, int32_t first_index,
                     Result& result) {
  for (size_t i = 0; i < partitions.size(); ++i) {
    v1::ReplicaAssignment& assignment = *result.add_assignments();
    assignment.set_partition_index(first_index + static_cast<int32_t>(i));
    for (const BrokerId id : partitions[i]) {
      assignment.add_replicas(id.value());
    }
  }
}

void FillCreated(const Topic& topic, const std::vector<BrokerList>& partitions,
                 v1::CreateTopicsResponse::Result& result) {
  result.set_topic_id(topic.id.ToString());
  result.set_partition_count(static_cast<int32_t>(partitions.size()));
  result.set_replication_factor(static_cast<int32_t>(partitions.front().size()));
  result.set_min_insync_replicas(topic.min_insync_replicas);
  FillAssignments(partitions, 0, result);
}

// The topic that `request` asks for, without its partitions.
absl::StatusOr<Topic> PlanTopic(const CommandContext& context, const v1::NewTopic& request) {
  if (request.min_insync_replicas() < 0 ||
      request.min_insync_replicas() > static_cast<int32_t>(kMaxReplicas)) {
    return MakeError(ErrorReason::kInvalidRequest,
                     fmt::format("topic '{}' has min_insync_replicas {}; use 1 to {}, or 0 for "
                                 "the default",
                                 request.name(), request.min_insync_replicas(), kMaxReplicas));
  }
  Topic topic;
  topic.id = DrawTopicId(context);
  topic.name = std::make_shared<const std::string>(request.name());
  topic.own_min_insync_replicas = std::max(request.min_insync_replicas(), 1);
  for (const v1::TopicConfig& config : request.configs()) {
    if (config.name() == kMinInsyncReplicas) {
      topic.configured_min_insync_replicas = std::stoi(config.value());  // validated before
    }
  }
  topic.min_insync_replicas =
      MinInsyncInEffect(topic, context.image.topics().default_min_insync_replicas);
  return topic;
}

// Plans one topic of a request: its records and its result.
// `new_configs` counts those of the whole request.
absl::Status CreateOne(const CommandContext& context, const v1::NewTopic& request, bool explain,
                       size_t& new_configs, std::vector<v1::MetadataRecord>& records,
                       v1::CreateTopicsResponse::Result& result) {
  KVORUM_ASSIGN_OR_RETURN(const std::vector<BrokerList> partitions,
                          PlanPartitions(context, request));
  KVORUM_ASSIGN_OR_RETURN(std::vector<v1::MetadataRecord> configs,
                          PlanTopicConfigs(context, request, new_configs));
  KVORUM_ASSIGN_OR_RETURN(const Topic topic, PlanTopic(context, request));
  *records.emplace_back().mutable_topic() = topic.ToRecord();
  AppendPartitions(context, topic.id, 0, partitions, records);
  new_configs += configs.size();
  std::move(configs.begin(), configs.end(), std::back_inserter(records));
  FillCreated(topic, partitions, result);
  if (explain) {
    *result.mutable_explanation() =
        ExplainPlacement(partitions, !request.assignments().empty(), context.image.brokers());
  }
  return absl::OkStatus();
}

int64_t RequestedPartitions(const v1::NewTopic& topic) {
  return topic.assignments().empty() ? std::max(topic.partition_count(), 1)
                                     : topic.assignments_size();
}

absl::StatusOr<std::vector<BrokerList>> PlanGrowth(const CommandContext& context,
                                                   const v1::CreatePartitionsRequest::Item& item,
                                                   const Topic& topic) {
  if (item.new_partition_count() <= topic.partition_count()) {
    return MakeError(ErrorReason::kInvalidPartitions,
                     fmt::format("topic '{}' has {} partitions and new_partition_count is {}; "
                                 "partitions can only be added",
                                 item.name(), topic.partition_count(), item.new_partition_count()));
  }
  const int32_t growth = item.new_partition_count() - topic.partition_count();
  const PlacementSpec spec{growth, topic.replication_factor(), &topic.partitions};
  if (item.assignments().empty()) {
    return PlaceReplicas(spec, context.image.brokers(), context.random);
  }
  if (item.assignments_size() != growth) {
    return MakeError(ErrorReason::kInvalidReplicaAssignment,
                     fmt::format("topic '{}' grows by {} partitions but has {} assignments; give "
                                 "one for each new partition, or none",
                                 item.name(), growth, item.assignments_size()));
  }
  return ValidateAssignments(item.assignments(),
                             AssignmentRules{topic.partition_count(), spec.replication_factor},
                             context.image.brokers());
}

}  // namespace

absl::StatusOr<CommandResult<v1::CreateTopicsResponse>> Execute(
    const CommandContext& context, const v1::CreateTopicsRequest& request) {
  KVORUM_RETURN_IF_ERROR(CheckItemCount("topics", request.topics_size(), kMaxTopicsPerRequest));
  int64_t total = 0;
  for (const v1::NewTopic& topic : request.topics()) {
    total += RequestedPartitions(topic);
  }
  KVORUM_RETURN_IF_ERROR(ValidatePartitionTotal(total));
  if (request.explain()) {
    KVORUM_RETURN_IF_ERROR(CheckMayExplain(request.topics_size(), context.image.brokers()));
  }

  CommandResult<v1::CreateTopicsResponse> result;
  const std::set<std::string_view> repeated = RepeatedNames(request.topics());
  std::map<std::string, std::string> planned;  // metric name to name
  size_t new_configs = 0;
  for (const v1::NewTopic& topic : request.topics()) {
    v1::CreateTopicsResponse::Result& item = *result.response.add_results();
    item.set_name(topic.name());
    absl::Status status = repeated.contains(topic.name())
                              ? NamedTwice(topic.name())
                              : ValidateNewName(topic.name(), context.image.topics(), planned);
    if (status.ok()) {
      status = CreateOne(context, topic, request.explain(), new_configs, result.records, item);
    }
    if (status.ok()) {
      planned[MetricNameOf(topic.name()).value_or(topic.name())] = topic.name();
    }
    *item.mutable_status() = ToItemStatus(status);
  }
  if (request.all_or_nothing()) {
    RefuseAllIfAny(result);
    for (v1::CreateTopicsResponse::Result& item : *result.response.mutable_results()) {
      if (item.status().code() != 0) {
        item.clear_topic_id();
        item.clear_partition_count();
        item.clear_replication_factor();
        item.clear_assignments();
        item.clear_explanation();
        item.clear_min_insync_replicas();
      }
    }
  }
  KVORUM_RETURN_IF_ERROR(CheckFitsOneBatch(result.records));
  return result;
}

absl::StatusOr<CommandResult<v1::DeleteTopicsResponse>> Execute(
    const CommandContext& context, const v1::DeleteTopicsRequest& request) {
  KVORUM_RETURN_IF_ERROR(CheckItemCount("topics", request.topics_size(), kMaxTopicsPerRequest));
  CommandResult<v1::DeleteTopicsResponse> result;
  std::set<Uuid> deleted;
  for (const v1::TopicRef& ref : request.topics()) {
    v1::DeleteTopicsResponse::Result& item = *result.response.add_results();
    item.set_name(ref.name());
    item.set_topic_id(ref.topic_id());
    absl::StatusOr<const Topic*> topic = ResolveTopic(context.image.topics(), ref);
    absl::Status status = topic.status();
    if (status.ok()) {
      item.set_name(*(*topic)->name);
      item.set_topic_id((*topic)->id.ToString());
      if (deleted.insert((*topic)->id).second) {
        v1::RemoveTopicRecord& record = *result.records.emplace_back().mutable_remove_topic();
        record.set_topic_id((*topic)->id.ToBytes());
        record.set_name(*(*topic)->name);
      } else {
        status = NamedTwice(*(*topic)->name);
      }
    }
    *item.mutable_status() = ToItemStatus(status);
  }
  if (request.all_or_nothing()) {
    RefuseAllIfAny(result);
  }
  KVORUM_RETURN_IF_ERROR(CheckFitsOneBatch(result.records));
  return result;
}

absl::StatusOr<CommandResult<v1::CreatePartitionsResponse>> Execute(
    const CommandContext& context, const v1::CreatePartitionsRequest& request) {
  KVORUM_RETURN_IF_ERROR(CheckItemCount("topics", request.topics_size(), kMaxTopicsPerRequest));
  const TopicsImage& topics = context.image.topics();
  int64_t total = 0;
  for (const v1::CreatePartitionsRequest::Item& item : request.topics()) {
    if (const Topic* topic = topics.Find(item.name())) {
      total +=
          std::max(item.new_partition_count(), topic->partition_count()) - topic->partition_count();
    }
  }
  KVORUM_RETURN_IF_ERROR(ValidatePartitionTotal(total));
  if (request.explain()) {
    KVORUM_RETURN_IF_ERROR(CheckMayExplain(request.topics_size(), context.image.brokers()));
  }

  CommandResult<v1::CreatePartitionsResponse> result;
  const std::set<std::string_view> repeated = RepeatedNames(request.topics());
  for (const v1::CreatePartitionsRequest::Item& item : request.topics()) {
    v1::CreatePartitionsResponse::Result& item_result = *result.response.add_results();
    item_result.set_name(item.name());
    v1::TopicRef ref;
    ref.set_name(item.name());
    absl::StatusOr<const Topic*> topic = ResolveTopic(topics, ref);
    absl::Status status = repeated.contains(item.name()) ? NamedTwice(item.name()) : topic.status();
    if (status.ok()) {
      absl::StatusOr<std::vector<BrokerList>> partitions = PlanGrowth(context, item, **topic);
      status = partitions.status();
      if (status.ok()) {
        const int32_t first_index = (*topic)->partition_count();
        AppendPartitions(context, (*topic)->id, first_index, *partitions, result.records);
        FillAssignments(*partitions, first_index, item_result);
        if (request.explain()) {
          *item_result.mutable_explanation() =
              ExplainPlacement(*partitions, !item.assignments().empty(), context.image.brokers());
        }
      }
    }
    *item_result.mutable_status() = ToItemStatus(status);
  }
  if (request.all_or_nothing()) {
    RefuseAllIfAny(result);
    for (v1::CreatePartitionsResponse::Result& item : *result.response.mutable_results()) {
      if (item.status().code() != 0) {
        item.clear_assignments();
        item.clear_explanation();
      }
    }
  }
  KVORUM_RETURN_IF_ERROR(CheckFitsOneBatch(result.records));
  return result;
}

}  // namespace kvorum
