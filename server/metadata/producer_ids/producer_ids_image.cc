#include "server/metadata/producer_ids/producer_ids_image.h"

#include <utility>

namespace kvorum {

bool ProducerIdsCursor::Next(v1::MetadataRecord& record) {
  const ProducerIdsImage* image = std::exchange(next_, nullptr);
  if (image == nullptr || !image->last_block.has_value()) {
    return false;
  }
  *record.mutable_producer_ids() = *image->last_block;
  return true;
}

}  // namespace kvorum
