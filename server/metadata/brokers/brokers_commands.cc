#include "server/metadata/brokers/brokers_commands.h"

#include <fmt/format.h>
#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/metadata/entries/owned_entries.h"
#include "server/metadata/features/features_commands.h"
#include "server/metadata/metadata_level.h"
#include "server/metadata/paging.h"
#include "server/metadata/request_checks.h"
#include "server/metadata/topics/partition_change.h"

namespace kvorum {
namespace {

absl::Status InvalidRegistration(int32_t broker_id, std::string_view why) {
  return MakeError(ErrorReason::kInvalidRegistration,
                   fmt::format("registration of broker {}: {}", broker_id, why));
}

// DNS names and addresses, with an IPv6 zone.
bool IsHost(std::string_view host) {
  const auto is_host_character = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_' || c == ':' || c == '%' || c == '[' || c == ']';
  };
  return !host.empty() && host.size() <= kMaxHostBytes &&
         std::all_of(host.begin(), host.end(), is_host_character);
}

absl::Status ValidateEndpoints(const v1::RegisterBrokerRequest& request) {
  const int32_t id = request.broker_id();
  if (request.endpoints_size() > kMaxEndpoints) {
    return InvalidRegistration(
        id, fmt::format("{} endpoints; the limit is {}", request.endpoints_size(), kMaxEndpoints));
  }
  std::set<std::string_view> names;
  for (const v1::Endpoint& endpoint : request.endpoints()) {
    if (endpoint.name().empty() || endpoint.name().size() > kMaxEndpointNameBytes ||
        !IsPrintableUtf8(endpoint.name())) {
      return InvalidRegistration(id, fmt::format("an endpoint name of {} bytes; give 1 to {} bytes "
                                                 "of printable UTF-8",
                                                 endpoint.name().size(), kMaxEndpointNameBytes));
    }
    if (!names.insert(endpoint.name()).second) {
      return InvalidRegistration(
          id, fmt::format("two endpoints are named '{}'; names are unique", endpoint.name()));
    }
    if (!IsHost(endpoint.host())) {
      return InvalidRegistration(
          id, fmt::format("endpoint '{}' has a host of {} bytes that is no name or address of 1 to "
                          "{} bytes",
                          endpoint.name(), endpoint.host().size(), kMaxHostBytes));
    }
    if (endpoint.port() < 1 || endpoint.port() > 65'535) {
      return InvalidRegistration(id, fmt::format("endpoint '{}' has port {}; use 1 to 65535",
                                                 endpoint.name(), endpoint.port()));
    }
  }
  return absl::OkStatus();
}

// The incarnation, if all of the request is sound.
absl::StatusOr<Uuid> ValidateRegistration(const v1::RegisterBrokerRequest& request) {
  KVORUM_RETURN_IF_ERROR(CheckBrokerId(request.broker_id()));
  if (request.incarnation_id().empty()) {
    return MakeError(ErrorReason::kInvalidRequest,
                     "incarnation_id is missing; draw 16 random bytes when the process starts");
  }
  if (request.endpoints().empty()) {
    return MakeError(ErrorReason::kInvalidRequest,
                     fmt::format("endpoints are missing; give 1 to {}", kMaxEndpoints));
  }
  const std::optional<Uuid> incarnation = Uuid::FromBytes(request.incarnation_id());
  if (!incarnation.has_value() || incarnation->is_zero()) {
    return InvalidRegistration(
        request.broker_id(),
        fmt::format("incarnation_id of {} bytes; give {} bytes that are not all zero",
                    request.incarnation_id().size(), Uuid::kBytes));
  }
  KVORUM_RETURN_IF_ERROR(ValidateEndpoints(request));
  if (request.rack().size() > kMaxRackBytes || !IsPrintableUtf8(request.rack())) {
    return InvalidRegistration(request.broker_id(),
                               fmt::format("a rack of {} bytes; give at most {} of printable UTF-8",
                                           request.rack().size(), kMaxRackBytes));
  }
  return *incarnation;
}

// Without what the log's language does not have at `metadata_level`.
v1::RegisterBrokerRecord ToRecord(const v1::RegisterBrokerRequest& request,
                                  int32_t metadata_level) {
  v1::RegisterBrokerRecord record;
  record.set_broker_id(request.broker_id());
  record.set_incarnation_id(request.incarnation_id());
  *record.mutable_endpoints() = request.endpoints();
  record.set_rack(request.rack());
  *record.mutable_features() = request.features();
  std::sort(record.mutable_features()->begin(), record.mutable_features()->end(),
            [](const auto& a, const auto& b) { return a.name() < b.name(); });
  v1::MetadataRecord whole;
  *whole.mutable_register_broker() = record;
  if (MinMetadataLevel(whole) > metadata_level) {
    record.clear_features();
  }
  return record;
}

// What lives with a broker's session, then the record that ends it, go last.
void AppendOwnedEntries(const MetadataImage& image, BrokerId id,
                        std::vector<v1::MetadataRecord>& records) {
  for (v1::MetadataRecord& record : RemoveOwnedEntries(image, id)) {
    records.push_back(std::move(record));
  }
}

CommandResult<v1::RegisterBrokerResponse> RegisterAgain(const v1::RegisterBrokerRequest& request,
                                                        const Broker& current,
                                                        int32_t metadata_level) {
  v1::RegisterBrokerRecord record = ToRecord(request, metadata_level);
  record.set_broker_epoch(current.epoch.value());
  record.set_fenced(current.is_fenced);
  CommandResult<v1::RegisterBrokerResponse> result;
  result.response.set_broker_epoch(current.epoch.value());
  if (!google::protobuf::util::MessageDifferencer::Equals(record, current.ToRecord())) {
    *result.records.emplace_back().mutable_register_broker() = std::move(record);
  }
  return result;
}

absl::Status DuplicateRegistration(const CommandContext& context, const Broker& current) {
  return MakeError(
      ErrorReason::kDuplicateBrokerRegistration,
      fmt::format(
          "broker {} is registered with incarnation {}, heard {} ms ago; stop that process, "
          "or wait for its session to expire",
          current.id, current.incarnation,
          context.liveness.HeartbeatAgeMs(current.id).value_or(0)));
}

void FillInfo(const Broker& broker, const BrokerLiveness* liveness, v1::BrokerInfo& info) {
  info.set_broker_id(broker.id.value());
  info.set_broker_epoch(broker.epoch.value());
  info.set_incarnation_id(broker.incarnation.ToString());
  for (const v1::Endpoint& endpoint : broker.endpoints) {
    *info.add_endpoints() = endpoint;
  }
  info.set_rack(broker.rack);
  info.set_fenced(broker.is_fenced);
  info.set_applied_offset(-1);
  info.set_last_heartbeat_age_ms(-1);
  if (liveness != nullptr) {
    info.set_applied_offset(liveness->AppliedOffset(broker.id).value_or(Offset{-1}).value());
    info.set_last_heartbeat_age_ms(liveness->HeartbeatAgeMs(broker.id).value_or(-1));
    info.set_last_rejection(liveness->LastRejection(broker.id));
  }
}

}  // namespace

absl::StatusOr<CommandResult<v1::RegisterBrokerResponse>> Execute(
    const CommandContext& context, const v1::RegisterBrokerRequest& request) {
  KVORUM_ASSIGN_OR_RETURN(const Uuid incarnation, ValidateRegistration(request));
  KVORUM_RETURN_IF_ERROR(ValidateSupportedFeatures(request.features()));
  const FeaturesImage& features = context.image.features();
  KVORUM_RETURN_IF_ERROR(CheckSupportsFinalized(features, request.features()));
  const BrokerId id{request.broker_id()};
  CommandResult<v1::RegisterBrokerResponse> result;
  if (const Broker* current = context.image.brokers().Find(id)) {
    if (current->incarnation == incarnation) {
      return RegisterAgain(request, *current, features.metadata_level());
    }
    if (context.liveness.HasLiveSession(id)) {
      return DuplicateRegistration(context, *current);
    }
    // The process before may have died without a word: nothing it led is led by the new one.
    result.records = RemoveFromIsrs(context.image, id);
    AppendOwnedEntries(context.image, id, result.records);
  }
  const Offset offset = context.next_offset + static_cast<int64_t>(result.records.size());
  v1::RegisterBrokerRecord record = ToRecord(request, features.metadata_level());
  record.set_broker_epoch(offset.value());
  record.set_fenced(true);
  *result.records.emplace_back().mutable_register_broker() = std::move(record);
  result.response.set_broker_epoch(offset.value());
  result.is_atomic = false;
  return result;
}

absl::StatusOr<CommandResult<v1::UnregisterBrokerResponse>> Execute(
    const CommandContext& context, const v1::UnregisterBrokerRequest& request) {
  KVORUM_RETURN_IF_ERROR(CheckBrokerId(request.broker_id()));
  const BrokerId id{request.broker_id()};
  const Broker* broker = context.image.brokers().Find(id);
  if (broker == nullptr) {
    return MakeError(ErrorReason::kBrokerIdNotRegistered,
                     fmt::format("broker {} is not registered; list the brokers that are", id));
  }
  CommandResult<v1::UnregisterBrokerResponse> result;
  result.records = RemoveFromIsrs(context.image, id);
  AppendOwnedEntries(context.image, id, result.records);
  v1::UnregisterBrokerRecord& record = *result.records.emplace_back().mutable_unregister_broker();
  record.set_broker_id(id.value());
  record.set_broker_epoch(broker->epoch.value());
  result.is_atomic = false;
  return result;
}

absl::StatusOr<v1::ListBrokersResponse> Query(const QueryContext& context,
                                              const v1::ListBrokersRequest& request) {
  KVORUM_ASSIGN_OR_RETURN(Page page, Page::Open(request.page(), "brokers"));
  KVORUM_ASSIGN_OR_RETURN(const int32_t after, page.AfterNumber());
  const auto& brokers = context.image.brokers().brokers;
  v1::ListBrokersResponse response;
  for (auto next = brokers.upper_bound(BrokerId{after}); next != brokers.end(); ++next) {
    v1::BrokerInfo info;
    FillInfo(*next->value, context.liveness, info);
    if (!page.Admit(info.ByteSizeLong())) {
      const int32_t last = response.brokers(response.brokers_size() - 1).broker_id();
      *response.mutable_page() = page.Continue(fmt::format("{}", last));
      break;
    }
    *response.add_brokers() = std::move(info);
  }
  return response;
}

}  // namespace kvorum
