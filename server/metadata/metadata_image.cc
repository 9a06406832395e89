#include "server/metadata/metadata_image.h"

#include <utility>

namespace kvorum {

MetadataImage::MetadataImage(const Provenance& provenance, DomainImages domains)
    : provenance_(provenance), domains_(std::move(domains)) {}

std::shared_ptr<const MetadataImage> MetadataImage::Empty() {
  return std::make_shared<const MetadataImage>();
}

uint64_t MetadataImage::StateHash() const {
  return domains_.features->state_hash + domains_.brokers->state_hash +
         domains_.topics->state_hash + domains_.configs->state_hash + domains_.quotas->state_hash +
         domains_.producer_ids->state_hash + domains_.acls->state_hash +
         domains_.credentials->state_hash + domains_.entries->state_hash +
         domains_.requests->state_hash;
}

}  // namespace kvorum
