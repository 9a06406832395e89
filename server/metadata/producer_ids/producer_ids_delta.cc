#include "server/metadata/producer_ids/producer_ids_delta.h"

#include <utility>

#include "server/base/check.h"
#include "server/metadata/entity_hash.h"

namespace kvorum {

ProducerIdsDelta::ProducerIdsDelta(std::shared_ptr<const ProducerIdsImage> base)
    : base_(std::move(base)), image_(*base_) {}

void ProducerIdsDelta::Replay(const v1::ProducerIdsRecord& record, Offset offset) {
  base_.reset();
  // Strictly: an id that is given twice lets two producers overwrite each other.
  KVORUM_CHECK(record.next_producer_id() > image_.next_producer_id(),
               "offset {}: next producer id is {}: {}", offset, image_.next_producer_id(),
               record.ShortDebugString());
  image_.last_block = record;
  image_.state_hash = EntityHash(v1::MetadataRecord::kProducerIds, record);
}

std::shared_ptr<const ProducerIdsImage> ProducerIdsDelta::Apply() const {
  return base_ != nullptr ? base_ : std::make_shared<const ProducerIdsImage>(image_);
}

}  // namespace kvorum
