#pragma once

#include <memory>

#include "kvorum/v1/record.pb.h"
#include "server/base/ids.h"
#include "server/metadata/brokers/brokers_image.h"

namespace kvorum {

// A change over a BrokersImage. Owned by MetadataDelta; its thread.
class BrokersDelta {
 public:
  using Image = BrokersImage;
  using Cursor = BrokersCursor;

  explicit BrokersDelta(std::shared_ptr<const BrokersImage> base);

  void Replay(const v1::RegisterBrokerRecord& record, Offset offset);
  void Replay(const v1::UnregisterBrokerRecord& record, Offset offset);
  void Replay(const v1::BrokerRegistrationChangeRecord& record, Offset offset);

  // As it is so far.
  const BrokersImage& image() const { return image_; }

  // The base itself while nothing was replayed.
  std::shared_ptr<const BrokersImage> Apply() const;

 private:
  void Replace(std::shared_ptr<const Broker> broker, Offset offset);
  void Forget(const Broker& broker);

  // Released by the first change, before it: if nobody else holds the base, its nodes are then
  // changed in place instead of copied.
  std::shared_ptr<const BrokersImage> base_;
  BrokersImage image_;  // a copy of the base's, sharing its nodes
};

}  // namespace kvorum
