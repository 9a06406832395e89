#pragma once

#include <string>

#include "kvorum/v1/acl.pb.h"
#include "kvorum/v1/config.pb.h"

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

}  // namespace kvorum
