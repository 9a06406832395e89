#include "server/metadata/acls/acls_commands.h"

#include <fmt/format.h>

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "server/base/crc32c.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/metadata/acls/acl_filter.h"
#include "server/metadata/item_status.h"
#include "server/metadata/paging.h"
#include "server/metadata/record_codec.h"

namespace kvorum {
namespace {

Uuid DrawAclId(const CommandContext& context) {
  Uuid id = Uuid::FromRandom(context.random);
  while (context.image.acls().by_id.Contains(id)) {
    id = Uuid::FromRandom(context.random);
  }
  return id;
}

absl::Status TooManyAcls(size_t limit) {
  return MakeError(ErrorReason::kLimitExceeded,
                   fmt::format("there are {} access control entries, the limit of the cluster; "
                               "delete some first, or use prefixes",
                               limit));
}

}  // namespace

absl::StatusOr<CommandResult<v1::CreateAclsResponse>> Execute(
    const CommandContext& context, const v1::CreateAclsRequest& request) {
  KVORUM_RETURN_IF_ERROR(CheckItemCount("acls", request.acls_size(), kMaxAclsPerRequest));
  CommandResult<v1::CreateAclsResponse> result;
  std::map<std::string, Uuid> planned;  // by binding
  for (const v1::AclBinding& binding : request.acls()) {
    v1::CreateAclsResponse::Result& item = *result.response.add_results();
    absl::Status status = ValidateAclBinding(binding);
    if (status.ok()) {
      const std::string key = AclBindingKey(binding);
      const Uuid* existing = context.image.acls().by_binding.Find(key);
      if (existing == nullptr && !planned.contains(key)) {
        if (context.image.acls().by_id.size() + planned.size() >= context.limits.max_acls) {
          status = TooManyAcls(context.limits.max_acls);
        } else {
          const Uuid id = DrawAclId(context);
          planned.emplace(key, id);
          v1::AccessControlEntryRecord& record =
              *result.records.emplace_back().mutable_access_control_entry();
          record.set_id(id.ToBytes());
          *record.mutable_binding() = binding;
        }
      }
      if (status.ok()) {
        item.set_id((existing != nullptr ? *existing : planned.at(key)).ToString());
      }
    }
    *item.mutable_status() = ToItemStatus(status);
  }
  if (request.all_or_nothing()) {
    RefuseAllIfAny(result);
    for (v1::CreateAclsResponse::Result& item : *result.response.mutable_results()) {
      if (item.status().code() != 0) {
        item.clear_id();
      }
    }
  }
  KVORUM_RETURN_IF_ERROR(CheckFitsOneBatch(result.records));
  return result;
}

absl::StatusOr<CommandResult<v1::DeleteAclsResponse>> Execute(
    const CommandContext& context, const v1::DeleteAclsRequest& request) {
  KVORUM_RETURN_IF_ERROR(
      CheckItemCount("filters", request.filters_size(), kMaxAclFiltersPerRequest));
  CommandResult<v1::DeleteAclsResponse> result;
  std::set<Uuid> deleted;
  for (const v1::AclFilter& filter : request.filters()) {
    v1::DeleteAclsResponse::Result& item = *result.response.add_results();
    const absl::Status status = ValidateAclFilter(filter);
    *item.mutable_status() = ToItemStatus(status);
    if (!status.ok()) {
      continue;
    }
    for (const auto& [id, record] : context.image.acls().by_id) {
      if (!Matches(filter, record->binding()) || !deleted.insert(id).second) {
        continue;
      }
      if (deleted.size() > kMaxAclsDeletedPerRequest) {
        return MakeError(ErrorReason::kPolicyViolation,
                         fmt::format("the filters match more than {} entries, the limit of one "
                                     "request; use narrower ones",
                                     kMaxAclsDeletedPerRequest));
      }
      result.records.emplace_back().mutable_remove_access_control_entry()->set_id(id.ToBytes());
      item.add_ids(id.ToString());
    }
  }
  if (request.all_or_nothing()) {
    RefuseAllIfAny(result);
    for (v1::DeleteAclsResponse::Result& item : *result.response.mutable_results()) {
      if (item.status().code() != 0) {
        item.clear_ids();
      }
    }
  }
  KVORUM_RETURN_IF_ERROR(CheckFitsOneBatch(result.records));
  return result;
}

absl::StatusOr<v1::DescribeAclsResponse> Query(const QueryContext& context,
                                               const v1::DescribeAclsRequest& request) {
  std::string scope = "acls";
  if (request.has_filter()) {
    KVORUM_RETURN_IF_ERROR(ValidateAclFilter(request.filter()));
    scope += fmt::format("/{:016x}", Hash64(request.filter().SerializeAsString()));
  }
  KVORUM_ASSIGN_OR_RETURN(Page page, Page::Open(request.page(), std::move(scope)));
  const auto& acls = context.image.acls().by_id;
  const std::optional<Uuid> after = Uuid::Parse(page.after());
  v1::DescribeAclsResponse response;
  for (auto next = after.has_value() ? acls.upper_bound(*after) : acls.begin(); next != acls.end();
       ++next) {
    if (request.has_filter() && !Matches(request.filter(), next->value->binding())) {
      continue;
    }
    v1::Acl acl;
    acl.set_id(next->key.ToString());
    *acl.mutable_binding() = next->value->binding();
    if (!page.Admit(acl.ByteSizeLong())) {
      *response.mutable_page() = page.Continue(response.acls(response.acls_size() - 1).id());
      break;
    }
    *response.add_acls() = std::move(acl);
  }
  return response;
}

}  // namespace kvorum
