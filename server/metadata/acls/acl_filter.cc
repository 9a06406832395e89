#include "server/metadata/acls/acl_filter.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/metadata/acls/acls_commands.h"
#include "server/metadata/request_checks.h"

namespace kvorum {
namespace {

absl::Status Invalid(std::string_view message) {
  return MakeError(ErrorReason::kInvalidRequest, message);
}

absl::Status ValidateText(std::string_view what, std::string_view text) {
  if (text.empty() || text.size() > kMaxAclTextBytes || !IsPrintableUtf8(text)) {
    return Invalid(fmt::format("{} of {} bytes; give 1 to {} of printable UTF-8", what, text.size(),
                               kMaxAclTextBytes));
  }
  return absl::OkStatus();
}

// Enums are open: the wire may bring any number.
template <typename Enum>
absl::Status ValidateEnum(std::string_view what, Enum value, bool is_valid, Enum first_concrete) {
  if (!is_valid || static_cast<int>(value) == 0) {
    return Invalid(
        fmt::format("{} is {}, which is no value of it; say one", what, static_cast<int>(value)));
  }
  if (value < first_concrete) {
    return Invalid(
        fmt::format("{} {} is for filters only; say a single one", what, static_cast<int>(value)));
  }
  return absl::OkStatus();
}

absl::Status ValidateCluster(const v1::AclBinding& binding) {
  if (binding.resource_name() != kAclClusterName) {
    return Invalid(fmt::format("a CLUSTER resource is named {}; use '{}'",
                               ShownText(binding.resource_name()), kAclClusterName));
  }
  if (binding.pattern_type() != v1::ACL_PATTERN_TYPE_LITERAL) {
    return Invalid("a CLUSTER resource has no prefixes; use LITERAL");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ValidateAclBinding(const v1::AclBinding& binding) {
  KVORUM_RETURN_IF_ERROR(ValidateEnum("resource_type", binding.resource_type(),
                                      v1::AclResourceType_IsValid(binding.resource_type()),
                                      v1::ACL_RESOURCE_TYPE_TOPIC));
  KVORUM_RETURN_IF_ERROR(ValidateEnum("pattern_type", binding.pattern_type(),
                                      v1::AclPatternType_IsValid(binding.pattern_type()),
                                      v1::ACL_PATTERN_TYPE_LITERAL));
  KVORUM_RETURN_IF_ERROR(ValidateEnum("operation", binding.operation(),
                                      v1::AclOperation_IsValid(binding.operation()),
                                      v1::ACL_OPERATION_ALL));
  KVORUM_RETURN_IF_ERROR(ValidateEnum("permission", binding.permission(),
                                      v1::AclPermission_IsValid(binding.permission()),
                                      v1::ACL_PERMISSION_DENY));
  KVORUM_RETURN_IF_ERROR(ValidateText("resource_name", binding.resource_name()));
  KVORUM_RETURN_IF_ERROR(ValidateText("principal", binding.principal()));
  KVORUM_RETURN_IF_ERROR(ValidateText("host", binding.host()));
  const size_t colon = binding.principal().find(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == binding.principal().size()) {
    return Invalid(fmt::format("principal {} has no type; write it Type:name, as User:alice",
                               ShownText(binding.principal())));
  }
  return binding.resource_type() == v1::ACL_RESOURCE_TYPE_CLUSTER ? ValidateCluster(binding)
                                                                  : absl::OkStatus();
}

absl::Status ValidateAclFilter(const v1::AclFilter& filter) {
  KVORUM_RETURN_IF_ERROR(ValidateEnum("resource_type", filter.resource_type(),
                                      v1::AclResourceType_IsValid(filter.resource_type()),
                                      v1::ACL_RESOURCE_TYPE_ANY));
  KVORUM_RETURN_IF_ERROR(ValidateEnum("pattern_type", filter.pattern_type(),
                                      v1::AclPatternType_IsValid(filter.pattern_type()),
                                      v1::ACL_PATTERN_TYPE_ANY));
  KVORUM_RETURN_IF_ERROR(ValidateEnum("operation", filter.operation(),
                                      v1::AclOperation_IsValid(filter.operation()),
                                      v1::ACL_OPERATION_ANY));
  KVORUM_RETURN_IF_ERROR(ValidateEnum("permission", filter.permission(),
                                      v1::AclPermission_IsValid(filter.permission()),
                                      v1::ACL_PERMISSION_ANY));
  if (filter.has_resource_name()) {
    KVORUM_RETURN_IF_ERROR(ValidateText("resource_name", filter.resource_name()));
  }
  if (filter.has_principal()) {
    KVORUM_RETURN_IF_ERROR(ValidateText("principal", filter.principal()));
  }
  if (filter.has_host()) {
    KVORUM_RETURN_IF_ERROR(ValidateText("host", filter.host()));
  }
  return absl::OkStatus();
}

bool Matches(const v1::AclFilter& filter, const v1::AclBinding& binding) {
  constexpr int kAny = v1::ACL_RESOURCE_TYPE_ANY;
  static_assert(int{v1::ACL_PATTERN_TYPE_ANY} == kAny && int{v1::ACL_OPERATION_ANY} == kAny &&
                int{v1::ACL_PERMISSION_ANY} == kAny);
  const auto is_match = [](int wanted, int actual) { return wanted == kAny || wanted == actual; };
  if (!is_match(filter.resource_type(), binding.resource_type()) ||
      !is_match(filter.operation(), binding.operation()) ||
      !is_match(filter.permission(), binding.permission()) ||
      (filter.has_principal() && filter.principal() != binding.principal()) ||
      (filter.has_host() && filter.host() != binding.host())) {
    return false;
  }
  if (filter.pattern_type() != v1::ACL_PATTERN_TYPE_MATCH) {
    return is_match(filter.pattern_type(), binding.pattern_type()) &&
           (!filter.has_resource_name() || filter.resource_name() == binding.resource_name());
  }
  if (!filter.has_resource_name()) {
    return true;
  }
  // Whatever applies to a resource of this name: itself, all, or a prefix of it.
  if (binding.pattern_type() == v1::ACL_PATTERN_TYPE_PREFIXED) {
    return filter.resource_name().starts_with(binding.resource_name());
  }
  return binding.resource_name() == filter.resource_name() || binding.resource_name() == "*";
}

}  // namespace kvorum
