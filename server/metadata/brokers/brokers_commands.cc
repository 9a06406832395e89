#include "server/metadata/brokers/brokers_commands.h"

#include <fmt/format.h>

#include <iterator>
#include <optional>
#include <utility>
#include <vector>

#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/metadata/brokers/broker_fencing.h"
#include "server/metadata/entries/owned_entries.h"
#include "server/metadata/paging.h"
#include "server/metadata/request_checks.h"
#include "server/metadata/topics/partition_moves.h"

namespace kvorum {
namespace {

absl::StatusOr<const Broker*> FindBroker(const BrokersImage& brokers, int32_t broker_id) {
  KVORUM_RETURN_IF_ERROR(CheckBrokerId(broker_id));
  const Broker* broker = brokers.Find(BrokerId{broker_id});
  if (broker == nullptr) {
    return MakeError(
        ErrorReason::kBrokerIdNotRegistered,
        fmt::format("broker {} is not registered; list the brokers that are", broker_id));
  }
  return broker;
}

v1::BrokerInfo ToInfo(const Broker& broker, const QueryContext& context) {
  v1::BrokerInfo info;
  info.set_broker_id(broker.id.value());
  info.set_broker_epoch(broker.epoch.value());
  info.set_incarnation_id(broker.incarnation.ToString());
  for (const v1::Endpoint& endpoint : broker.endpoints) {
    *info.add_endpoints() = endpoint;
  }
  info.set_rack(broker.rack);
  info.set_fenced(broker.is_fenced);
  info.set_in_controlled_shutdown(broker.in_controlled_shutdown);
  info.set_drained(broker.is_drained);
  for (const Uuid& dir : broker.log_dirs) {
    info.add_log_dirs(dir.ToString());
  }
  for (const Uuid& dir : broker.offline_log_dirs) {
    info.add_offline_log_dirs(dir.ToString());
  }
  const BrokerLoad load = context.image.topics().LoadOf(broker.id);
  info.set_replica_count(load.replicas);
  info.set_in_sync_count(load.in_sync);
  info.set_leader_count(load.leaders);
  info.set_applied_offset(-1);
  info.set_last_heartbeat_age_ms(-1);
  if (const BrokerLiveness* liveness = context.liveness) {
    info.set_applied_offset(liveness->AppliedOffset(broker.id).value_or(Offset{-1}).value());
    info.set_last_heartbeat_age_ms(liveness->HeartbeatAgeMs(broker.id).value_or(-1));
    info.set_last_rejection(liveness->LastRejection(broker.id));
  }
  return info;
}

}  // namespace

absl::StatusOr<CommandResult<v1::UnregisterBrokerResponse>> Execute(
    const CommandContext& context, const v1::UnregisterBrokerRequest& request) {
  KVORUM_ASSIGN_OR_RETURN(const Broker* broker,
                          FindBroker(context.image.brokers(), request.broker_id()));
  CommandResult<v1::UnregisterBrokerResponse> result;
  result.records = RemoveFromIsrs(context.image, broker->id, Departure::kUnclean);
  std::vector<v1::MetadataRecord> owned = RemoveOwnedEntries(context.image, broker->id);
  result.records.insert(result.records.end(), std::make_move_iterator(owned.begin()),
                        std::make_move_iterator(owned.end()));
  v1::UnregisterBrokerRecord& record = *result.records.emplace_back().mutable_unregister_broker();
  record.set_broker_id(broker->id.value());
  record.set_broker_epoch(broker->epoch.value());
  result.is_atomic = false;
  return result;
}

absl::StatusOr<CommandResult<v1::DrainBrokerResponse>> Execute(
    const CommandContext& context, const v1::DrainBrokerRequest& request) {
  KVORUM_ASSIGN_OR_RETURN(const Broker* broker,
                          FindBroker(context.image.brokers(), request.broker_id()));
  CommandResult<v1::DrainBrokerResponse> result;
  result.records = DrainBroker(context.image, broker->id);
  int32_t moved = 0;
  for (const v1::MetadataRecord& record : result.records) {
    moved += record.has_partition_change() ? 1 : 0;
  }
  result.response.set_moved_leader_count(moved);
  result.response.set_remaining_leader_count(context.image.topics().LoadOf(broker->id).leaders -
                                             moved);
  result.is_atomic = false;
  return result;
}

absl::StatusOr<CommandResult<v1::UndrainBrokerResponse>> Execute(
    const CommandContext& context, const v1::UndrainBrokerRequest& request) {
  KVORUM_ASSIGN_OR_RETURN(const Broker* broker,
                          FindBroker(context.image.brokers(), request.broker_id()));
  CommandResult<v1::UndrainBrokerResponse> result;
  result.records = UndrainBroker(context.image, broker->id);
  return result;
}

absl::StatusOr<v1::GetBrokerResponse> Query(const QueryContext& context,
                                            const v1::GetBrokerRequest& request) {
  KVORUM_ASSIGN_OR_RETURN(const Broker* broker,
                          FindBroker(context.image.brokers(), request.broker_id()));
  v1::GetBrokerResponse response;
  *response.mutable_broker() = ToInfo(*broker, context);
  return response;
}

absl::StatusOr<v1::ListBrokersResponse> Query(const QueryContext& context,
                                              const v1::ListBrokersRequest& request) {
  KVORUM_ASSIGN_OR_RETURN(Page page, Page::Open(request.page(), "brokers"));
  KVORUM_ASSIGN_OR_RETURN(const int32_t after, page.AfterNumber());
  const auto& brokers = context.image.brokers().brokers;
  v1::ListBrokersResponse response;
  for (auto next = brokers.upper_bound(BrokerId{after}); next != brokers.end(); ++next) {
    v1::BrokerInfo info = ToInfo(*next->value, context);
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
