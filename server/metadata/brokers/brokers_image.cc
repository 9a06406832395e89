#include "server/metadata/brokers/brokers_image.h"

namespace kvorum {

v1::RegisterBrokerRecord Broker::ToRecord() const {
  v1::RegisterBrokerRecord record;
  record.set_broker_id(id.value());
  record.set_incarnation_id(incarnation.ToBytes());
  record.set_broker_epoch(epoch.value());
  for (const v1::Endpoint& endpoint : endpoints) {
    *record.add_endpoints() = endpoint;
  }
  record.set_rack(rack);
  record.set_fenced(is_fenced);
  record.mutable_features()->Assign(features.begin(), features.end());
  for (const Uuid& dir : log_dirs) {
    record.add_log_dirs(dir.ToBytes());
  }
  record.set_in_controlled_shutdown(in_controlled_shutdown);
  record.set_drained(is_drained);
  for (const Uuid& dir : offline_log_dirs) {
    record.add_offline_log_dirs(dir.ToBytes());
  }
  return record;
}

BrokersCursor::BrokersCursor(const BrokersImage& image) : next_(image.brokers.begin()) {}

bool BrokersCursor::Next(v1::MetadataRecord& record) {
  if (next_ == decltype(next_)()) {
    return false;
  }
  *record.mutable_register_broker() = next_->value->ToRecord();
  ++next_;
  return true;
}

}  // namespace kvorum
