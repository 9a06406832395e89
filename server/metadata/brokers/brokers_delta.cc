#include "server/metadata/brokers/brokers_delta.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/base/check.h"
#include "server/metadata/entity_hash.h"

namespace kvorum {
namespace {

uint64_t HashOf(const Broker& broker) {
  return EntityHash(v1::MetadataRecord::kRegisterBroker, broker.ToRecord());
}

// The registration that `record` speaks of.
template <typename Record>
const Broker& CheckedFind(const BrokersImage& image, const Record& record, Offset offset) {
  const Broker* broker = image.Find(BrokerId{record.broker_id()});
  KVORUM_CHECK(broker != nullptr, "offset {}: not registered: {}", offset,
               record.ShortDebugString());
  KVORUM_CHECK(broker->epoch == BrokerEpoch{record.broker_epoch()},
               "offset {}: broker epoch is {}: {}", offset, broker->epoch,
               record.ShortDebugString());
  return *broker;
}

// The ids in `dirs`, which must be such.
template <typename Record>
std::vector<Uuid> CheckedDirs(const google::protobuf::RepeatedPtrField<std::string>& dirs,
                              const Record& record, Offset offset) {
  std::vector<Uuid> ids;
  for (const std::string& dir : dirs) {
    const std::optional<Uuid> id = Uuid::FromBytes(dir);
    KVORUM_CHECK(id.has_value(), "offset {}: {}", offset, record.ShortDebugString());
    ids.push_back(*id);
  }
  return ids;
}

}  // namespace

BrokersDelta::BrokersDelta(std::shared_ptr<const BrokersImage> base)
    : base_(std::move(base)), image_(*base_) {}

void BrokersDelta::Replay(const v1::RegisterBrokerRecord& record, Offset offset) {
  base_.reset();
  const std::optional<Uuid> incarnation = Uuid::FromBytes(record.incarnation_id());
  KVORUM_CHECK(record.broker_id() >= 0, "offset {}: {}", offset, record.ShortDebugString());
  KVORUM_CHECK(incarnation.has_value(), "offset {}: {}", offset, record.ShortDebugString());
  KVORUM_CHECK(!incarnation->is_zero(), "offset {}: {}", offset, record.ShortDebugString());
  KVORUM_CHECK(record.broker_epoch() >= 0, "offset {}: {}", offset, record.ShortDebugString());
  // Below its own offset when the same incarnation registers again, and in snapshots.
  KVORUM_CHECK(record.broker_epoch() <= offset.value(), "offset {}: {}", offset,
               record.ShortDebugString());
  const BrokerId id{record.broker_id()};
  const BrokerEpoch epoch{record.broker_epoch()};
  if (const Broker* current = image_.Find(id)) {
    const bool is_same = current->incarnation == *incarnation;
    KVORUM_CHECK(is_same ? epoch == current->epoch : epoch > current->epoch,
                 "offset {}: broker epoch is {}: {}", offset, current->epoch,
                 record.ShortDebugString());
  }
  auto broker = std::make_shared<Broker>();
  broker->id = id;
  broker->incarnation = *incarnation;
  broker->epoch = epoch;
  broker->endpoints.assign(record.endpoints().begin(), record.endpoints().end());
  broker->rack = record.rack();
  broker->features.assign(record.features().begin(), record.features().end());
  broker->is_fenced = record.fenced();
  broker->log_dirs = CheckedDirs(record.log_dirs(), record, offset);
  broker->offline_log_dirs = CheckedDirs(record.offline_log_dirs(), record, offset);
  broker->in_controlled_shutdown = record.in_controlled_shutdown();
  broker->is_drained = record.drained();
  Replace(std::move(broker), offset);
}

void BrokersDelta::Replay(const v1::UnregisterBrokerRecord& record, Offset offset) {
  base_.reset();
  Forget(CheckedFind(image_, record, offset));
  image_.brokers.Erase(BrokerId{record.broker_id()});
}

void BrokersDelta::Replay(const v1::BrokerRegistrationChangeRecord& record, Offset offset) {
  base_.reset();
  auto broker = std::make_shared<Broker>(CheckedFind(image_, record, offset));
  broker->is_fenced = record.fenced();
  broker->in_controlled_shutdown = record.in_controlled_shutdown();
  broker->is_drained = record.drained();
  broker->offline_log_dirs = CheckedDirs(record.offline_log_dirs(), record, offset);
  Replace(std::move(broker), offset);
}

void BrokersDelta::Forget(const Broker& broker) {
  image_.state_hash -= HashOf(broker);
  for (const Uuid& dir : broker.log_dirs) {
    image_.by_log_dir.Erase(dir);
  }
}

void BrokersDelta::Replace(std::shared_ptr<const Broker> broker, Offset offset) {
  KVORUM_CHECK(!broker->is_fenced || !broker->in_controlled_shutdown,
               "offset {}: broker {} is fenced and in controlled shutdown", offset, broker->id);
  if (const Broker* current = image_.Find(broker->id)) {
    Forget(*current);
  }
  image_.state_hash += HashOf(*broker);
  for (const Uuid& dir : broker->log_dirs) {
    const bool is_new = image_.by_log_dir.Insert(dir, broker->id);
    KVORUM_CHECK(is_new, "offset {}: log directory {} of broker {} is taken", offset, dir,
                 broker->id);
  }
  const BrokerId id = broker->id;
  image_.brokers.Insert(id, std::move(broker));
}

std::shared_ptr<const BrokersImage> BrokersDelta::Apply() const {
  return base_ != nullptr ? base_ : std::make_shared<const BrokersImage>(image_);
}

}  // namespace kvorum
