#include "server/metadata/configs/configs_commands.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "server/base/errors.h"
#include "server/base/mutants.h"
#include "server/base/status_macros.h"
#include "server/metadata/configs/config_keys.h"
#include "server/metadata/item_status.h"
#include "server/metadata/record_codec.h"
#include "server/metadata/request_checks.h"
#include "server/metadata/topics/clear_eligible.h"
#include "server/metadata/topics/topic_validation.h"

namespace kvorum {
namespace {

using Operation = v1::AlterConfigsRequest::Operation;
using ResourceKey = std::pair<v1::ConfigResourceType, std::string_view>;

absl::Status CheckConfigCount(const CommandContext& context, size_t count) {
  if (count <= context.limits.max_configs) {
    return absl::OkStatus();
  }
  return MakeError(ErrorReason::kLimitExceeded,
                   fmt::format("{} configs would be set; the limit of the cluster is {}, delete "
                               "some first",
                               count, context.limits.max_configs));
}

absl::Status ValidateBrokerName(const BrokersImage& brokers, std::string_view name) {
  if (name.empty()) {
    return absl::OkStatus();  // the default of all brokers
  }
  int32_t id = -1;
  const char* end = name.data() + name.size();
  const auto [next, error] = std::from_chars(name.data(), end, id);
  if (error != std::errc() || next != end || id < 0 || fmt::format("{}", id) != name) {
    return MakeError(ErrorReason::kInvalidRequest,
                     fmt::format("broker resource {} is no broker id; use a number, or nothing for "
                                 "the default of all brokers",
                                 ShownText(name)));
  }
  if (brokers.Find(BrokerId{id}) == nullptr) {
    return MakeError(ErrorReason::kBrokerIdNotRegistered,
                     fmt::format("broker {} is not registered; register it first", id));
  }
  return absl::OkStatus();
}

absl::StatusOr<const ConfigKeyInfo*> ResolveKey(v1::ConfigResourceType type,
                                                std::string_view name) {
  const ConfigKeyInfo* key = FindConfigKey(type, name);
  if (key == nullptr) {
    return MakeError(ErrorReason::kInvalidConfig,
                     fmt::format("config {} is not known for this kind of resource; describe the "
                                 "resource to see those that are",
                                 ShownText(name)));
  }
  return key;
}

// `current` with items added or removed.
absl::StatusOr<std::string> EditList(const ConfigKeyInfo& key, std::string_view current,
                                     const Operation& operation) {
  if (key.type != v1::CONFIG_TYPE_LIST) {
    return MakeError(ErrorReason::kInvalidConfig,
                     fmt::format("config '{}' is no list; use SET", key.name));
  }
  std::vector<std::string_view> items = SplitConfigList(current);
  for (const std::string_view item : SplitConfigList(operation.value())) {
    const auto found = std::find(items.begin(), items.end(), item);
    if (operation.operation() == v1::CONFIG_OPERATION_SUBTRACT) {
      if (found != items.end()) {
        items.erase(found);
      }
    } else if (found == items.end()) {
      items.push_back(item);
    }
  }
  return fmt::format("{}", fmt::join(items, ","));
}

// What the config is to be; nullopt: not set any more.
absl::StatusOr<std::optional<std::string>> NewValue(const ConfigKeyInfo& key,
                                                    const std::string* current,
                                                    const Operation& operation) {
  std::string value = operation.value();
  switch (operation.operation()) {
    case v1::CONFIG_OPERATION_DELETE:
      if (!operation.value().empty()) {
        return MakeError(
            ErrorReason::kInvalidRequest,
            fmt::format("DELETE of config '{}' has a value; leave it unset", key.name));
      }
      return std::optional<std::string>();
    case v1::CONFIG_OPERATION_SET:
      break;
    case v1::CONFIG_OPERATION_APPEND:
    case v1::CONFIG_OPERATION_SUBTRACT: {
      // The operation's own items first, so that a bad one is named as it came.
      KVORUM_RETURN_IF_ERROR(ValidateConfigValue(key, operation.value()));
      KVORUM_ASSIGN_OR_RETURN(
          value, EditList(key, current != nullptr ? *current : key.default_value, operation));
      break;
    }
    default:
      return MakeError(
          ErrorReason::kInvalidRequest,
          fmt::format("operation {} on config '{}' is unknown; use SET, DELETE, APPEND "
                      "or SUBTRACT",
                      static_cast<int>(operation.operation()), key.name));
  }
  KVORUM_RETURN_IF_ERROR(ValidateConfigValue(key, value));
  return std::optional(std::move(value));
}

// KIP-966: what keeps replicas eligible to lead must be the same whichever broker leads.
absl::Status CheckMayDiffer(const v1::ConfigResource& resource, const ConfigKeyInfo& key,
                            const Operation& operation) {
  if (resource.type() != v1::CONFIG_RESOURCE_TYPE_BROKER || resource.name().empty() ||
      key.name != kMinInsyncReplicas || operation.operation() == v1::CONFIG_OPERATION_DELETE) {
    return absl::OkStatus();
  }
  return MakeError(
      ErrorReason::kInvalidConfig,
      fmt::format("config '{}' can't differ from broker to broker; set it for all (the "
                  "resource named ''), or for a topic",
                  key.name));
}

// Fills what both kinds of record name.
template <typename Record>
void SetKey(const v1::ConfigResource& resource, std::string_view name, Record& record) {
  record.set_resource_type(resource.type());
  record.set_resource_name(resource.name());
  record.set_name(std::string(name));
}

absl::StatusOr<std::vector<v1::MetadataRecord>> PlanResource(
    const MetadataImage& image, const v1::AlterConfigsRequest::Item& item) {
  KVORUM_RETURN_IF_ERROR(ValidateConfigResource(image, item.resource()));
  if (item.operations().empty()) {
    return MakeError(ErrorReason::kInvalidRequest,
                     fmt::format("resource {} has no operations; give at least one",
                                 ShownText(item.resource().name())));
  }
  std::vector<v1::MetadataRecord> records;
  std::set<std::string_view> seen;
  for (const Operation& operation : item.operations()) {
    if (KVORUM_MUTANT(ConfigForgotten) && !seen.empty()) {
      break;
    }
    KVORUM_ASSIGN_OR_RETURN(const ConfigKeyInfo* key,
                            ResolveKey(item.resource().type(), operation.name()));
    if (!seen.insert(key->name).second) {
      return MakeError(ErrorReason::kInvalidRequest,
                       fmt::format("config '{}' is named more than once; name it once", key->name));
    }
    KVORUM_RETURN_IF_ERROR(CheckMayDiffer(item.resource(), *key, operation));
    const std::string* current =
        image.configs().Find({item.resource().type(), item.resource().name(), key->name});
    KVORUM_ASSIGN_OR_RETURN(std::optional<std::string> value, NewValue(*key, current, operation));
    if (value.has_value() && (current == nullptr || *current != *value)) {
      v1::ConfigRecord& record = *records.emplace_back().mutable_config();
      SetKey(item.resource(), key->name, record);
      record.set_value(*std::move(value));
    } else if (!value.has_value() && current != nullptr) {
      SetKey(item.resource(), key->name, *records.emplace_back().mutable_remove_config());
    }
  }
  return records;
}

// How many more configs there are after `records`.
int64_t Growth(const MetadataImage& image, const std::vector<v1::MetadataRecord>& records) {
  int64_t growth = 0;
  for (const v1::MetadataRecord& record : records) {
    if (record.has_remove_config()) {
      --growth;
    } else if (image.configs().Find({record.config().resource_type(),
                                     record.config().resource_name(), record.config().name()}) ==
               nullptr) {
      ++growth;
    }
  }
  return growth;
}

}  // namespace

absl::Status ValidateConfigResource(const MetadataImage& image,
                                    const v1::ConfigResource& resource) {
  switch (resource.type()) {
    case v1::CONFIG_RESOURCE_TYPE_TOPIC: {
      v1::TopicRef ref;
      ref.set_name(resource.name());
      return ResolveTopic(image.topics(), ref).status();
    }
    case v1::CONFIG_RESOURCE_TYPE_BROKER:
      return ValidateBrokerName(image.brokers(), resource.name());
    case v1::CONFIG_RESOURCE_TYPE_CLIENT_METRICS:
    case v1::CONFIG_RESOURCE_TYPE_GROUP:
      if (resource.name().empty() || resource.name().size() > kMaxConfigResourceNameBytes ||
          !IsPrintableUtf8(resource.name())) {
        return MakeError(ErrorReason::kInvalidRequest,
                         fmt::format("resource name of {} bytes; give 1 to {} of printable UTF-8",
                                     resource.name().size(), kMaxConfigResourceNameBytes));
      }
      return absl::OkStatus();
    default:
      return MakeError(ErrorReason::kInvalidRequest,
                       fmt::format("resource type {} is unknown; use TOPIC, BROKER, CLIENT_METRICS "
                                   "or GROUP",
                                   static_cast<int>(resource.type())));
  }
}

absl::StatusOr<std::vector<v1::MetadataRecord>> PlanTopicConfigs(const CommandContext& context,
                                                                 const v1::NewTopic& topic,
                                                                 size_t planned) {
  v1::ConfigResource resource;
  resource.set_type(v1::CONFIG_RESOURCE_TYPE_TOPIC);
  resource.set_name(topic.name());
  std::vector<v1::MetadataRecord> records;
  std::set<std::string_view> seen;
  for (const v1::TopicConfig& config : topic.configs()) {
    KVORUM_ASSIGN_OR_RETURN(const ConfigKeyInfo* key, ResolveKey(resource.type(), config.name()));
    if (!seen.insert(key->name).second) {
      return MakeError(ErrorReason::kInvalidRequest,
                       fmt::format("config '{}' is named more than once; name it once", key->name));
    }
    KVORUM_RETURN_IF_ERROR(ValidateConfigValue(*key, config.value()));
    v1::ConfigRecord& record = *records.emplace_back().mutable_config();
    SetKey(resource, key->name, record);
    record.set_value(config.value());
  }
  if (!records.empty()) {
    KVORUM_RETURN_IF_ERROR(CheckConfigCount(
        context, context.image.configs().configs.size() + planned + records.size()));
  }
  return records;
}

absl::StatusOr<CommandResult<v1::AlterConfigsResponse>> Execute(
    const CommandContext& context, const v1::AlterConfigsRequest& request) {
  KVORUM_RETURN_IF_ERROR(
      CheckItemCount("resources", request.resources_size(), kMaxConfigResourcesPerRequest));
  int64_t operations = 0;
  std::set<ResourceKey> seen;
  std::set<ResourceKey> repeated;
  for (const v1::AlterConfigsRequest::Item& item : request.resources()) {
    operations += item.operations_size();
    const ResourceKey key(item.resource().type(), item.resource().name());
    if (!seen.insert(key).second) {
      repeated.insert(key);
    }
  }
  if (operations > kMaxConfigOperationsPerRequest) {
    return MakeError(
        ErrorReason::kPolicyViolation,
        fmt::format("the request has {} operations; the limit is {}, split the request", operations,
                    kMaxConfigOperationsPerRequest));
  }
  CommandResult<v1::AlterConfigsResponse> result;
  auto count = static_cast<int64_t>(context.image.configs().configs.size());
  for (const v1::AlterConfigsRequest::Item& item : request.resources()) {
    v1::AlterConfigsResponse::Result& item_result = *result.response.add_results();
    *item_result.mutable_resource() = item.resource();
    absl::StatusOr<std::vector<v1::MetadataRecord>> records =
        repeated.contains({item.resource().type(), item.resource().name()})
            ? MakeError(ErrorReason::kInvalidRequest,
                        fmt::format("resource {} is named more than once; name it once",
                                    ShownText(item.resource().name())))
            : PlanResource(context.image, item);
    if (records.ok()) {
      const int64_t growth = Growth(context.image, *records);
      const absl::Status fits = growth > 0
                                    ? CheckConfigCount(context, static_cast<size_t>(count + growth))
                                    : absl::OkStatus();
      if (fits.ok()) {
        count += growth;
        std::move(records->begin(), records->end(), std::back_inserter(result.records));
      } else {
        records = fits;
      }
    }
    *item_result.mutable_status() = ToItemStatus(records.status());
  }
  if (request.all_or_nothing()) {
    RefuseAllIfAny(result);
  }
  KVORUM_RETURN_IF_ERROR(CheckFitsOneBatch(result.records));
  std::vector<v1::MetadataRecord> cleared =
      ClearEligibleWhereMinInsyncChanges(context.image, result.records);
  if (!cleared.empty()) {
    // The configs themselves stay in one commit, the last: it is cut from the back.
    result.is_atomic = false;
    result.records.insert(result.records.begin(), std::make_move_iterator(cleared.begin()),
                          std::make_move_iterator(cleared.end()));
  }
  return result;
}

}  // namespace kvorum
