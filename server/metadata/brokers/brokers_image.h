#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kvorum/v1/common.pb.h"
#include "kvorum/v1/record.pb.h"
#include "server/base/ids.h"
#include "server/base/persistent_map.h"
#include "server/base/uuid.h"

namespace kvorum {

// One registered broker: the process that said it is `id`. Immutable once shared; any thread.
struct Broker {
  BrokerId id;
  Uuid incarnation;
  BrokerEpoch epoch;  // offset of the registration of this incarnation
  std::vector<v1::Endpoint> endpoints;
  std::string rack;                            // empty: none
  std::vector<v1::SupportedFeature> features;  // by name
  std::vector<Uuid> log_dirs;                  // none: the broker does not tell
  std::vector<Uuid> offline_log_dirs;
  bool is_fenced = true;
  // Unfenced, on its way out: serves its clients, but may neither lead nor join in-sync replicas.
  bool in_controlled_shutdown = false;
  bool is_drained = false;  // by an operator: leads where nobody else can, gets no new replicas

  // Active brokers may lead partitions and join their in-sync replicas.
  bool is_active() const { return !is_fenced && !in_controlled_shutdown; }

  // The record that creates this broker as it is.
  v1::RegisterBrokerRecord ToRecord() const;
};

// All registered brokers. Immutable once shared (held as shared_ptr<const BrokersImage>); any
// thread. Only BrokersDelta makes new ones.
struct BrokersImage {
  PersistentMap<BrokerId, std::shared_ptr<const Broker>> brokers;
  PersistentMap<Uuid, BrokerId> by_log_dir;
  uint64_t state_hash = 0;

  // nullptr if `id` is not registered.
  const Broker* Find(BrokerId id) const {
    const auto* found = brokers.Find(id);
    return found == nullptr ? nullptr : found->get();
  }

  bool IsActive(BrokerId id) const {
    const Broker* broker = Find(id);
    return broker != nullptr && broker->is_active();
  }
};

// Turns an image back into records, by id. Borrows the image.
class BrokersCursor {
 public:
  explicit BrokersCursor(const BrokersImage& image);

  // Sets `record` to the next one; false at the end.
  bool Next(v1::MetadataRecord& record);

 private:
  decltype(BrokersImage::brokers)::const_iterator next_;
};

}  // namespace kvorum
