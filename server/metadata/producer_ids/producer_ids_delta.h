#pragma once

#include <memory>

#include "kvorum/v1/record.pb.h"
#include "server/base/ids.h"
#include "server/metadata/producer_ids/producer_ids_image.h"

namespace kvorum {

// A change over a ProducerIdsImage. Owned by MetadataDelta; its thread.
class ProducerIdsDelta {
 public:
  using Image = ProducerIdsImage;
  using Cursor = ProducerIdsCursor;

  explicit ProducerIdsDelta(std::shared_ptr<const ProducerIdsImage> base);

  void Replay(const v1::ProducerIdsRecord& record, Offset offset);

  // The base itself while nothing was replayed.
  std::shared_ptr<const ProducerIdsImage> Apply() const;

 private:
  std::shared_ptr<const ProducerIdsImage> base_;  // null: something was replayed
  ProducerIdsImage image_;
};

}  // namespace kvorum
