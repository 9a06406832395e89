#pragma once

#include <cstdint>
#include <string>

#include "kvorum/v1/acl.pb.h"
#include "kvorum/v1/config.pb.h"
#include "kvorum/v1/feature.pb.h"

// Requests that many tests make, of every kind of test. Header only: it links nothing.
namespace kvorum {

// Matches every binding.
inline v1::AclFilter AnyAclFilter() {
  v1::AclFilter filter;
  filter.set_resource_type(v1::ACL_RESOURCE_TYPE_ANY);
  filter.set_pattern_type(v1::ACL_PATTERN_TYPE_ANY);
  filter.set_operation(v1::ACL_OPERATION_ANY);
  filter.set_permission(v1::ACL_PERMISSION_ANY);
  return filter;
}

inline v1::AlterConfigsRequest SetTopicConfig(const std::string& topic, const std::string& name,
                                              const std::string& value) {
  v1::AlterConfigsRequest request;
  auto& item = *request.add_resources();
  item.mutable_resource()->set_type(v1::CONFIG_RESOURCE_TYPE_TOPIC);
  item.mutable_resource()->set_name(topic);
  auto& operation = *item.add_operations();
  operation.set_name(name);
  operation.set_operation(v1::CONFIG_OPERATION_SET);
  operation.set_value(value);
  return request;
}

inline v1::UpdateFeaturesRequest UpgradeFeature(const std::string& name, int32_t level) {
  v1::UpdateFeaturesRequest request;
  auto& item = *request.add_updates();
  item.set_name(name);
  item.set_level(level);
  item.set_upgrade_type(v1::FEATURE_UPGRADE_TYPE_UPGRADE);
  return request;
}

}  // namespace kvorum
