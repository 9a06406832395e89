#include "server/metadata/brokers/broker_fencing.h"

#include <fmt/format.h>

#include "server/base/errors.h"
#include "server/metadata/entries/owned_entries.h"
#include "server/metadata/topics/partition_change.h"

namespace kvorum {
namespace {

v1::MetadataRecord RegistrationChange(const Broker& broker, bool fenced) {
  v1::MetadataRecord record;
  v1::BrokerRegistrationChangeRecord& change = *record.mutable_broker_registration_change();
  change.set_broker_id(broker.id.value());
  change.set_broker_epoch(broker.epoch.value());
  change.set_fenced(fenced);
  return record;
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

std::vector<v1::MetadataRecord> FenceBroker(const MetadataImage& image, BrokerId id) {
  if (!image.brokers().IsActive(id)) {
    return {};
  }
  std::vector<v1::MetadataRecord> records = RemoveFromIsrs(image, id);
  for (v1::MetadataRecord& record : RemoveOwnedEntries(image, id)) {
    records.push_back(std::move(record));
  }
  records.push_back(RegistrationChange(*image.brokers().Find(id), /*fenced=*/true));
  return records;
}

std::vector<v1::MetadataRecord> UnfenceBroker(const MetadataImage& image, BrokerId id) {
  const Broker* broker = image.brokers().Find(id);
  if (broker == nullptr || !broker->is_fenced) {
    return {};
  }
  std::vector<v1::MetadataRecord> records = {RegistrationChange(*broker, /*fenced=*/false)};
  for (v1::MetadataRecord& record : ElectWhereLeaderless(image, id)) {
    records.push_back(std::move(record));
  }
  return records;
}

}  // namespace kvorum
