#include "server/metadata/quotas/quotas_commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/base/crc32c.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/metadata/item_status.h"
#include "server/metadata/paging.h"
#include "server/metadata/record_codec.h"
#include "server/metadata/request_checks.h"

namespace kvorum {
namespace {

using Operation = v1::AlterClientQuotasRequest::Operation;

struct QuotaKeyInfo {
  std::string_view name;
  bool is_for_ip = false;  // else for users and client ids
  bool is_whole = false;
};

constexpr std::array kQuotaKeys = {
    QuotaKeyInfo{"connection_creation_rate", true, true},
    QuotaKeyInfo{"consumer_byte_rate", false, true},
    QuotaKeyInfo{"controller_mutation_rate", false, false},
    QuotaKeyInfo{"producer_byte_rate", false, true},
    QuotaKeyInfo{"request_percentage", false, false},
};

absl::Status Invalid(std::string_view message) {
  return MakeError(ErrorReason::kInvalidRequest, message);
}

std::string TypeName(v1::QuotaEntityType type) {
  switch (type) {
    case v1::QUOTA_ENTITY_TYPE_USER:
      return "user";
    case v1::QUOTA_ENTITY_TYPE_CLIENT_ID:
      return "client-id";
    case v1::QUOTA_ENTITY_TYPE_IP:
      return "ip";
    default:
      return fmt::format("(unknown type {})", static_cast<int>(type));
  }
}

bool IsKnown(v1::QuotaEntityType type) {
  return v1::QuotaEntityType_IsValid(type) && type != v1::QUOTA_ENTITY_TYPE_UNSPECIFIED;
}

// Numeric addresses: enough to tell them from names, which brokers would never match.
bool IsAddress(std::string_view text) {
  return text.find_first_of(".:") != std::string_view::npos &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') ||
                  c == '.' || c == ':';
         });
}

absl::Status ValidateName(v1::QuotaEntityType type, std::string_view name) {
  if (name.empty() || name.size() > kMaxQuotaNameBytes || !IsPrintableUtf8(name)) {
    return Invalid(
        fmt::format("{} of {} bytes; give 1 to {} of printable UTF-8, or none for the "
                    "default",
                    TypeName(type), name.size(), kMaxQuotaNameBytes));
  }
  if (type == v1::QUOTA_ENTITY_TYPE_IP && !IsAddress(name)) {
    return Invalid(fmt::format("ip {} is no address; use a numeric one", ShownText(name)));
  }
  return absl::OkStatus();
}

absl::Status ValidateEntity(const QuotaEntityParts& entity) {
  if (entity.empty()) {
    return Invalid("the entity has no parts; name a user, a client-id, both, or an ip");
  }
  std::set<int> types;
  for (const v1::QuotaEntity& part : entity) {
    if (!IsKnown(part.type())) {
      return Invalid(fmt::format("the entity has a part of type {}; use USER, CLIENT_ID or IP",
                                 static_cast<int>(part.type())));
    }
    if (!types.insert(part.type()).second) {
      return Invalid(
          fmt::format("the entity has two parts {}; give each once", TypeName(part.type())));
    }
    if (part.has_name()) {
      KVORUM_RETURN_IF_ERROR(ValidateName(part.type(), part.name()));
    }
  }
  if (types.contains(v1::QUOTA_ENTITY_TYPE_IP) && types.size() > 1) {
    return Invalid("an entity with an ip has no other part; use two entities");
  }
  return absl::OkStatus();
}

absl::Status ValidateOperation(bool is_ip, const Operation& operation) {
  const auto key = std::find_if(kQuotaKeys.begin(), kQuotaKeys.end(),
                                [&](const QuotaKeyInfo& k) { return k.name == operation.key(); });
  if (key == kQuotaKeys.end() || key->is_for_ip != is_ip) {
    std::string known;
    for (const QuotaKeyInfo& info : kQuotaKeys) {
      if (info.is_for_ip == is_ip) {
        known += fmt::format("{}{}", known.empty() ? "" : ", ", info.name);
      }
    }
    return Invalid(fmt::format("quota key {} is not known for this kind of entity; use {}",
                               ShownText(operation.key()), known));
  }
  if (!operation.has_value()) {
    return absl::OkStatus();
  }
  const double value = operation.value();
  constexpr double kMaxWhole = 9007199254740992;  // 2^53: above it doubles skip whole numbers
  if (!std::isfinite(value) || value <= 0 || (key->is_whole && value > kMaxWhole)) {
    return Invalid(fmt::format("{} cannot be {}; use a number above 0", key->name, value));
  }
  if (key->is_whole && value != std::floor(value)) {
    return Invalid(fmt::format("{} cannot be {}; use a whole number", key->name, value));
  }
  return absl::OkStatus();
}

QuotaEntityParts ByType(const QuotaEntityParts& entity) {
  std::map<int, const v1::QuotaEntity*> parts;
  for (const v1::QuotaEntity& part : entity) {
    parts[part.type()] = &part;
  }
  QuotaEntityParts sorted;
  for (const auto& [type, part] : parts) {
    *sorted.Add() = *part;
  }
  return sorted;
}

absl::StatusOr<std::vector<v1::MetadataRecord>> PlanEntity(
    const QuotasImage& image, const v1::AlterClientQuotasRequest::Item& item) {
  KVORUM_RETURN_IF_ERROR(ValidateEntity(item.entity()));
  if (item.operations().empty()) {
    return Invalid("the entity has no operations; give at least one");
  }
  const QuotaEntityParts entity = ByType(item.entity());
  const ClientQuota* current = image.Find(QuotaEntityKey(entity));
  const bool is_ip = entity[0].type() == v1::QUOTA_ENTITY_TYPE_IP;
  std::vector<v1::MetadataRecord> records;
  std::set<std::string_view> seen;
  for (const Operation& operation : item.operations()) {
    KVORUM_RETURN_IF_ERROR(ValidateOperation(is_ip, operation));
    if (!seen.insert(operation.key()).second) {
      return Invalid(
          fmt::format("quota key '{}' is named more than once; name it once", operation.key()));
    }
    const auto* limits = current == nullptr ? nullptr : &current->limits;
    const auto found = limits == nullptr ? std::map<std::string, double>::const_iterator()
                                         : limits->find(operation.key());
    const bool is_set = limits != nullptr && found != limits->end();
    if (operation.has_value() && (!is_set || found->second != operation.value())) {
      v1::ClientQuotaRecord& record = *records.emplace_back().mutable_client_quota();
      *record.mutable_entity() = entity;
      record.set_key(operation.key());
      record.set_value(operation.value());
    } else if (!operation.has_value() && is_set) {
      v1::RemoveClientQuotaRecord& record = *records.emplace_back().mutable_remove_client_quota();
      *record.mutable_entity() = entity;
      record.set_key(operation.key());
    }
  }
  return records;
}

absl::Status ValidateFilters(const v1::DescribeClientQuotasRequest& request) {
  if (request.filters_size() > kMaxQuotaFilters) {
    return Invalid(fmt::format("{} filters; the limit is {}, one for each type",
                               request.filters_size(), kMaxQuotaFilters));
  }
  std::set<int> types;
  for (const v1::QuotaFilter& filter : request.filters()) {
    if (!IsKnown(filter.type())) {
      return Invalid(fmt::format("a filter is of type {}; use USER, CLIENT_ID or IP",
                                 static_cast<int>(filter.type())));
    }
    if (!types.insert(filter.type()).second) {
      return Invalid(fmt::format("two filters are for {}; give one", TypeName(filter.type())));
    }
    const bool is_said =
        filter.match_case() == v1::QuotaFilter::kName || filter.is_default() || filter.any();
    if (!is_said) {
      return Invalid(fmt::format("the filter for {} says nothing; set name, is_default or any",
                                 TypeName(filter.type())));
    }
    if (filter.match_case() == v1::QuotaFilter::kName) {
      KVORUM_RETURN_IF_ERROR(ValidateName(filter.type(), filter.name()));
    }
  }
  return absl::OkStatus();
}

bool Matches(const v1::DescribeClientQuotasRequest& request, const QuotaEntityParts& entity) {
  for (const v1::QuotaFilter& filter : request.filters()) {
    const auto part = std::find_if(entity.begin(), entity.end(), [&](const v1::QuotaEntity& p) {
      return p.type() == filter.type();
    });
    if (part == entity.end()) {
      return false;
    }
    if (filter.match_case() == v1::QuotaFilter::kName
            ? !part->has_name() || part->name() != filter.name()
            : filter.is_default() && part->has_name()) {
      return false;
    }
  }
  return !request.strict() || entity.size() == request.filters_size();
}

}  // namespace

absl::StatusOr<CommandResult<v1::AlterClientQuotasResponse>> Execute(
    const CommandContext& context, const v1::AlterClientQuotasRequest& request) {
  KVORUM_RETURN_IF_ERROR(
      CheckItemCount("entities", request.entities_size(), kMaxQuotaEntitiesPerRequest));
  std::map<std::string, int> times;
  for (const v1::AlterClientQuotasRequest::Item& item : request.entities()) {
    if (ValidateEntity(item.entity()).ok()) {
      ++times[QuotaEntityKey(item.entity())];
    }
  }
  CommandResult<v1::AlterClientQuotasResponse> result;
  size_t count = context.image.quotas().quotas.size();
  for (const v1::AlterClientQuotasRequest::Item& item : request.entities()) {
    v1::AlterClientQuotasResponse::Result& item_result = *result.response.add_results();
    *item_result.mutable_entity() = item.entity();
    absl::StatusOr<std::vector<v1::MetadataRecord>> records =
        PlanEntity(context.image.quotas(), item);
    if (records.ok() && times[QuotaEntityKey(item.entity())] > 1) {
      records = Invalid("the entity is named more than once in the request; name it once");
    }
    const bool is_new = records.ok() && !records->empty() &&
                        context.image.quotas().Find(QuotaEntityKey(item.entity())) == nullptr;
    if (is_new && count >= context.limits.max_quota_entities) {
      records = MakeError(ErrorReason::kLimitExceeded,
                          fmt::format("{} entities have quotas, the limit of the cluster; remove "
                                      "some first",
                                      context.limits.max_quota_entities));
    }
    if (records.ok()) {
      count += is_new ? 1 : 0;
      std::move(records->begin(), records->end(), std::back_inserter(result.records));
    }
    *item_result.mutable_status() = ToItemStatus(records.status());
  }
  if (request.all_or_nothing()) {
    RefuseAllIfAny(result);
  }
  KVORUM_RETURN_IF_ERROR(CheckFitsOneBatch(result.records));
  return result;
}

absl::StatusOr<v1::DescribeClientQuotasResponse> Query(
    const QueryContext& context, const v1::DescribeClientQuotasRequest& request) {
  KVORUM_RETURN_IF_ERROR(ValidateFilters(request));
  std::string scope = request.strict() ? "quotas/strict" : "quotas";
  for (const v1::QuotaFilter& filter : request.filters()) {
    scope += fmt::format("/{:016x}", Hash64(filter.SerializeAsString()));
  }
  KVORUM_ASSIGN_OR_RETURN(Page page, Page::Open(request.page(), std::move(scope)));
  const auto& quotas = context.image.quotas().quotas;
  auto next =
      page.after().empty() ? quotas.begin() : quotas.upper_bound(std::string_view(page.after()));
  v1::DescribeClientQuotasResponse response;
  std::string_view last;
  for (; next != quotas.end(); ++next) {
    if (!Matches(request, next->value->entity)) {
      continue;
    }
    v1::DescribeClientQuotasResponse::Quota quota;
    *quota.mutable_entity() = next->value->entity;
    for (const auto& [key, value] : next->value->limits) {
      v1::DescribeClientQuotasResponse::Value& limit = *quota.add_values();
      limit.set_key(key);
      limit.set_value(value);
    }
    if (!page.Admit(quota.ByteSizeLong())) {
      *response.mutable_page() = page.Continue(last);
      break;
    }
    last = next->key;
    *response.add_quotas() = std::move(quota);
  }
  return response;
}

}  // namespace kvorum
