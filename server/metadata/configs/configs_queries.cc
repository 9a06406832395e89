#include <fmt/format.h>

#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/base/crc32c.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/metadata/configs/config_keys.h"
#include "server/metadata/configs/configs_commands.h"
#include "server/metadata/item_status.h"
#include "server/metadata/paging.h"
#include "server/metadata/request_checks.h"

namespace kvorum {
namespace {

// Where values come from, nearest first.
class Lookup {
 public:
  Lookup(const MetadataImage& image, const v1::DescribeConfigsRequest& request)
      : configs_(image.configs()) {
    if (request.has_broker_id()) {
      broker_ = fmt::format("{}", request.broker_id());
    }
  }

  std::vector<v1::ConfigSynonym> Find(const v1::ConfigResource& resource,
                                      const ConfigKeyInfo& key) const {
    std::vector<v1::ConfigSynonym> found;
    switch (resource.type()) {
      case v1::CONFIG_RESOURCE_TYPE_TOPIC:
        AddIfSet({resource.type(), resource.name(), key.name}, v1::CONFIG_SOURCE_TOPIC, found);
        if (!key.broker_key.empty()) {
          AddOfBroker(broker_, key.broker_key, found);
        }
        break;
      case v1::CONFIG_RESOURCE_TYPE_BROKER:
        AddOfBroker(resource.name(), key.name, found);
        break;
      case v1::CONFIG_RESOURCE_TYPE_CLIENT_METRICS:
        AddIfSet({resource.type(), resource.name(), key.name}, v1::CONFIG_SOURCE_CLIENT_METRICS,
                 found);
        break;
      default:  // ValidateConfigResource let nothing else pass
        AddIfSet({resource.type(), resource.name(), key.name}, v1::CONFIG_SOURCE_GROUP, found);
        break;
    }
    v1::ConfigSynonym& last = found.emplace_back();
    last.set_name(std::string(key.name));
    last.set_value(std::string(key.default_value));
    last.set_source(v1::CONFIG_SOURCE_STATIC_DEFAULT);
    return found;
  }

 private:
  // The broker's own, if it is named, then the default of all.
  void AddOfBroker(std::string_view broker, std::string_view name,
                   std::vector<v1::ConfigSynonym>& found) const {
    if (!broker.empty()) {
      AddIfSet({v1::CONFIG_RESOURCE_TYPE_BROKER, broker, name}, v1::CONFIG_SOURCE_BROKER, found);
    }
    AddIfSet({v1::CONFIG_RESOURCE_TYPE_BROKER, {}, name}, v1::CONFIG_SOURCE_CLUSTER_DEFAULT, found);
  }

  void AddIfSet(const ConfigKey& key, v1::ConfigSource source,
                std::vector<v1::ConfigSynonym>& found) const {
    if (const std::string* value = configs_.Find(key)) {
      v1::ConfigSynonym& synonym = found.emplace_back();
      synonym.set_name(std::string(key.name));
      synonym.set_value(*value);
      synonym.set_source(source);
    }
  }

  const ConfigsImage& configs_;
  std::string broker_;  // whose configs topics fall back to; empty: only the cluster's
};

v1::ConfigEntry Describe(const Lookup& lookup, const v1::ConfigResource& resource,
                         const ConfigKeyInfo& key, const v1::DescribeConfigsRequest& request) {
  const std::vector<v1::ConfigSynonym> synonyms = lookup.Find(resource, key);
  v1::ConfigEntry entry;
  entry.set_name(std::string(key.name));
  entry.set_value(synonyms.front().value());
  entry.set_source(synonyms.front().source());
  entry.set_type(key.type);
  if (request.include_synonyms()) {
    entry.mutable_synonyms()->Assign(synonyms.begin(), synonyms.end());
  }
  if (request.include_documentation()) {
    entry.set_documentation(std::string(key.documentation));
  }
  return entry;
}

absl::Status FillResult(const MetadataImage& image, const v1::DescribeConfigsRequest& request,
                        const v1::DescribeConfigsRequest::Item& item,
                        v1::DescribeConfigsResponse::Result& result) {
  KVORUM_RETURN_IF_ERROR(ValidateConfigResource(image, item.resource()));
  const Lookup lookup(image, request);
  if (item.names().empty()) {
    for (const ConfigKeyInfo& key : ConfigKeysOf(item.resource().type())) {
      *result.add_configs() = Describe(lookup, item.resource(), key, request);
    }
    return absl::OkStatus();
  }
  std::set<std::string_view> seen;
  for (const std::string& name : item.names()) {
    if (!seen.insert(name).second) {
      result.clear_configs();
      return MakeError(
          ErrorReason::kInvalidRequest,
          fmt::format("config {} is named more than once; name it once", ShownText(name)));
    }
    const ConfigKeyInfo* key = FindConfigKey(item.resource().type(), name);
    if (key == nullptr) {
      result.clear_configs();
      return MakeError(ErrorReason::kInvalidConfig,
                       fmt::format("config {} is not known for this kind of resource; name none "
                                   "to see all",
                                   ShownText(name)));
    }
    *result.add_configs() = Describe(lookup, item.resource(), *key, request);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<v1::DescribeConfigsResponse> Query(const QueryContext& context,
                                                  const v1::DescribeConfigsRequest& request) {
  KVORUM_RETURN_IF_ERROR(
      CheckItemCount("resources", request.resources_size(), kMaxConfigResourcesPerRequest));
  if (request.has_broker_id()) {
    KVORUM_RETURN_IF_ERROR(CheckBrokerId(request.broker_id()));
  }
  std::string scope = "configs";
  for (const v1::DescribeConfigsRequest::Item& item : request.resources()) {
    scope += fmt::format("/{:016x}", Hash64(item.SerializeAsString()));
  }
  KVORUM_ASSIGN_OR_RETURN(Page page, Page::Open(request.page(), std::move(scope)));
  KVORUM_ASSIGN_OR_RETURN(const int32_t after, page.AfterNumber());
  v1::DescribeConfigsResponse response;
  for (int32_t i = after + 1; i < request.resources_size(); ++i) {
    const v1::DescribeConfigsRequest::Item& item = request.resources(i);
    v1::DescribeConfigsResponse::Result result;
    *result.mutable_resource() = item.resource();
    *result.mutable_status() = ToItemStatus(FillResult(context.image, request, item, result));
    if (!page.Admit(result.ByteSizeLong())) {
      *response.mutable_page() = page.Continue(fmt::format("{}", i - 1));
      break;
    }
    *response.add_results() = std::move(result);
  }
  return response;
}

}  // namespace kvorum
