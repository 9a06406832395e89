#include <fmt/format.h>
#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/base/errors.h"
#include "server/base/mutants.h"
#include "server/base/status_macros.h"
#include "server/metadata/brokers/brokers_commands.h"
#include "server/metadata/entries/owned_entries.h"
#include "server/metadata/features/features_commands.h"
#include "server/metadata/metadata_level.h"
#include "server/metadata/request_checks.h"
#include "server/metadata/topics/partition_moves.h"

namespace kvorum {
namespace {

// Kafka keeps the first hundred directory ids for meanings of their own (DirectoryId).
constexpr int kReservedLogDirs = 100;
constexpr Uuid kFirstFreeLogDir{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, kReservedLogDirs}};

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

absl::Status ValidateLogDirs(const v1::RegisterBrokerRequest& request) {
  const int32_t id = request.broker_id();
  if (request.log_dirs_size() > kMaxLogDirs) {
    return InvalidRegistration(id, fmt::format("{} log directories; the limit is {}",
                                               request.log_dirs_size(), kMaxLogDirs));
  }
  std::set<std::string_view> seen;
  for (const std::string& dir : request.log_dirs()) {
    const std::optional<Uuid> uuid = Uuid::FromBytes(dir);
    if (!uuid.has_value() || *uuid < kFirstFreeLogDir) {
      return InvalidRegistration(
          id, fmt::format("a log directory id of {} bytes that is none, or one of the {} reserved "
                          "ones; give {} random bytes",
                          dir.size(), kReservedLogDirs, Uuid::kBytes));
    }
    if (!seen.insert(dir).second) {
      return InvalidRegistration(
          id, fmt::format("log directory {} is named twice; ids are unique", *uuid));
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
  KVORUM_RETURN_IF_ERROR(ValidateLogDirs(request));
  return *incarnation;
}

// A directory belongs to one broker, whatever process runs as it.
absl::Status CheckLogDirOwners(const v1::RegisterBrokerRequest& request,
                               const BrokersImage& brokers) {
  for (const std::string& dir : request.log_dirs()) {
    const Uuid uuid = *Uuid::FromBytes(dir);
    const BrokerId* owner = brokers.by_log_dir.Find(uuid);
    if (owner != nullptr && *owner != BrokerId{request.broker_id()}) {
      return InvalidRegistration(
          request.broker_id(),
          fmt::format("log directory {} is that of broker {}; start with that id, or format the "
                      "directory anew",
                      uuid, *owner));
    }
  }
  return absl::OkStatus();
}

// Without what the log's language does not have at `metadata_level`.
v1::RegisterBrokerRecord ToRecord(const v1::RegisterBrokerRequest& request,
                                  int32_t metadata_level) {
  v1::RegisterBrokerRecord record;
  record.set_broker_id(request.broker_id());
  record.set_incarnation_id(request.incarnation_id());
  *record.mutable_endpoints() = request.endpoints();
  record.set_rack(request.rack());
  *record.mutable_log_dirs() = request.log_dirs();
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

CommandResult<v1::RegisterBrokerResponse> RegisterAgain(const v1::RegisterBrokerRequest& request,
                                                        const Broker& current,
                                                        int32_t metadata_level) {
  v1::RegisterBrokerRecord record = ToRecord(request, metadata_level);
  record.set_broker_epoch(current.epoch.value());
  record.set_fenced(current.is_fenced);
  record.set_in_controlled_shutdown(current.in_controlled_shutdown);
  record.set_drained(current.is_drained);
  for (const Uuid& dir : current.offline_log_dirs) {
    const std::string bytes = dir.ToBytes();
    if (std::find(request.log_dirs().begin(), request.log_dirs().end(), bytes) !=
        request.log_dirs().end()) {
      record.add_offline_log_dirs(bytes);
    }
  }
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

}  // namespace

absl::StatusOr<CommandResult<v1::RegisterBrokerResponse>> Execute(
    const CommandContext& context, const v1::RegisterBrokerRequest& request) {
  KVORUM_ASSIGN_OR_RETURN(const Uuid incarnation, ValidateRegistration(request));
  KVORUM_RETURN_IF_ERROR(ValidateSupportedFeatures(request.features()));
  const BrokerId id{request.broker_id()};
  const Broker* current = context.image.brokers().Find(id);
  // A process that knows the epoch of the one before has read it where that one left it as its last
  // act: it is gone, whatever is left of its session.
  const bool was_clean =
      current != nullptr && current->epoch == BrokerEpoch{request.previous_broker_epoch()};
  const bool is_same = current != nullptr && current->incarnation == incarnation;
  const bool may_live = context.liveness.HasLiveSession(id) && !context.liveness.IsKnownGone(id);
  if (current != nullptr && !is_same && !was_clean && may_live && !KVORUM_MUTANT(TwinWelcome)) {
    return DuplicateRegistration(context, *current);
  }
  KVORUM_RETURN_IF_ERROR(CheckLogDirOwners(request, context.image.brokers()));
  const FeaturesImage& features = context.image.features();
  KVORUM_RETURN_IF_ERROR(CheckSupportsFinalized(features, request.features()));
  if (is_same) {
    return RegisterAgain(request, *current, features.metadata_level());
  }
  CommandResult<v1::RegisterBrokerResponse> result;
  if (current != nullptr) {
    // Nothing the process before led is led by the new one, and what it may have lost does not
    // count as kept (KIP-966 "unclean shutdown").
    result.records =
        RemoveFromIsrs(context.image, id, was_clean ? Departure::kClean : Departure::kUnclean);
    std::vector<v1::MetadataRecord> owned = RemoveOwnedEntries(context.image, id);
    result.records.insert(result.records.end(), std::make_move_iterator(owned.begin()),
                          std::make_move_iterator(owned.end()));
  }
  const Offset offset = context.next_offset + static_cast<int64_t>(result.records.size());
  v1::RegisterBrokerRecord record = ToRecord(request, features.metadata_level());
  record.set_broker_epoch(offset.value());
  record.set_fenced(true);
  record.set_drained(current != nullptr && current->is_drained);  // the operator's word stands
  *result.records.emplace_back().mutable_register_broker() = std::move(record);
  result.response.set_broker_epoch(offset.value());
  result.is_atomic = false;
  return result;
}

}  // namespace kvorum
