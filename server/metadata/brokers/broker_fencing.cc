#include "server/metadata/brokers/broker_fencing.h"

#include <fmt/format.h>

#include <cstdint>
#include <iterator>
#include <utility>

#include "server/base/errors.h"
#include "server/metadata/entries/owned_entries.h"

namespace kvorum {
namespace {

// The record that makes `broker` what it is with `change` made to it.
template <typename Change>
v1::MetadataRecord RegistrationChange(const Broker& broker, Change change) {
  v1::MetadataRecord record;
  v1::BrokerRegistrationChangeRecord& state = *record.mutable_broker_registration_change();
  state.set_broker_id(broker.id.value());
  state.set_broker_epoch(broker.epoch.value());
  state.set_fenced(broker.is_fenced);
  state.set_in_controlled_shutdown(broker.in_controlled_shutdown);
  state.set_drained(broker.is_drained);
  for (const Uuid& dir : broker.offline_log_dirs) {
    state.add_offline_log_dirs(dir.ToBytes());
  }
  change(state);
  return record;
}

void AppendAll(std::vector<v1::MetadataRecord> more, std::vector<v1::MetadataRecord>& records) {
  records.insert(records.end(), std::make_move_iterator(more.begin()),
                 std::make_move_iterator(more.end()));
}

}  // namespace

absl::Status CheckBrokerEpoch(const BrokersImage& brokers, BrokerId id, BrokerEpoch epoch) {
  const Broker* broker = brokers.Find(id);
  if (broker == nullptr) {
    return MakeError(ErrorReason::kBrokerIdNotRegistered,
                     fmt::format("broker {} is not registered; register it first", id));
  }
  if (broker->epoch != epoch) {
    return MakeError(ErrorReason::kStaleBrokerEpoch,
                     fmt::format("broker {} has epoch {} but {} was sent; another process has "
                                 "registered as it, or this one must register again",
                                 id, broker->epoch, epoch));
  }
  return absl::OkStatus();
}

bool IsCaughtUp(const Broker& broker, Offset applied_offset) {
  return applied_offset.value() > broker.epoch.value();
}

SweepStep FenceBroker(const MetadataImage& image, BrokerId id, const PartitionKey& from,
                      size_t max_changes) {
  const Broker* broker = image.brokers().Find(id);
  if (broker == nullptr || broker->is_fenced) {
    return {.is_done = true};
  }
  SweepStep step = RemoveFromIsrs(image, id, Departure::kClean, from, max_changes);
  if (step.is_done) {
    AppendAll(RemoveOwnedEntries(image, id), step.records);
    step.records.push_back(
        RegistrationChange(*broker, [](v1::BrokerRegistrationChangeRecord& state) {
          state.set_fenced(true);
          state.set_in_controlled_shutdown(false);
        }));
  }
  return step;
}

std::vector<v1::MetadataRecord> FenceBroker(const MetadataImage& image, BrokerId id) {
  return FenceBroker(image, id, PartitionKey(), SIZE_MAX).records;
}

std::vector<v1::MetadataRecord> UnfenceBroker(const MetadataImage& image, BrokerId id) {
  const Broker* broker = image.brokers().Find(id);
  if (broker == nullptr || !broker->is_fenced) {
    return {};
  }
  std::vector<v1::MetadataRecord> records = {RegistrationChange(
      *broker, [](v1::BrokerRegistrationChangeRecord& state) { state.set_fenced(false); })};
  AppendAll(ElectWhereLeaderless(image, id), records);
  return records;
}

std::vector<v1::MetadataRecord> BeginControlledShutdown(const MetadataImage& image, BrokerId id) {
  const Broker* broker = image.brokers().Find(id);
  if (broker == nullptr || broker->is_fenced) {
    return {};
  }
  std::vector<v1::MetadataRecord> records;
  if (!broker->in_controlled_shutdown) {
    records.push_back(RegistrationChange(*broker, [](v1::BrokerRegistrationChangeRecord& state) {
      state.set_in_controlled_shutdown(true);
    }));
  } else if (image.topics().LoadOf(id).in_sync == 0) {
    return {};
  }
  AppendAll(RemoveFromIsrs(image, id, Departure::kClean), records);
  return records;
}

std::vector<v1::MetadataRecord> DrainBroker(const MetadataImage& image, BrokerId id) {
  const Broker& broker = *image.brokers().Find(id);
  std::vector<v1::MetadataRecord> records;
  if (!broker.is_drained) {
    records.push_back(RegistrationChange(
        broker, [](v1::BrokerRegistrationChangeRecord& state) { state.set_drained(true); }));
  }
  AppendAll(MoveLeadersAway(image, id), records);
  return records;
}

std::vector<v1::MetadataRecord> UndrainBroker(const MetadataImage& image, BrokerId id) {
  const Broker& broker = *image.brokers().Find(id);
  if (!broker.is_drained) {
    return {};
  }
  return {RegistrationChange(
      broker, [](v1::BrokerRegistrationChangeRecord& state) { state.set_drained(false); })};
}

std::vector<v1::MetadataRecord> SetOfflineLogDirs(const MetadataImage& image, BrokerId id,
                                                  const std::vector<Uuid>& offline) {
  const Broker& broker = *image.brokers().Find(id);
  if (broker.offline_log_dirs == offline) {
    return {};
  }
  return {RegistrationChange(broker, [&offline](v1::BrokerRegistrationChangeRecord& state) {
    state.clear_offline_log_dirs();
    for (const Uuid& dir : offline) {
      state.add_offline_log_dirs(dir.ToBytes());
    }
  })};
}

}  // namespace kvorum
