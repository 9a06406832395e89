#include "server/metadata/metadata_image.h"

#include <utility>

namespace kvorum {

MetadataImage::MetadataImage()
    : MetadataImage(Provenance{}, std::make_shared<const BrokersImage>(),
                    std::make_shared<const TopicsImage>(), std::make_shared<const EntriesImage>()) {
}

MetadataImage::MetadataImage(const Provenance& provenance,
                             std::shared_ptr<const BrokersImage> brokers,
                             std::shared_ptr<const TopicsImage> topics,
                             std::shared_ptr<const EntriesImage> entries)
    : provenance_(provenance),
      brokers_(std::move(brokers)),
      topics_(std::move(topics)),
      entries_(std::move(entries)) {}

std::shared_ptr<const MetadataImage> MetadataImage::Empty() {
  return std::make_shared<const MetadataImage>();
}

uint64_t MetadataImage::StateHash() const {
  return brokers_->state_hash + topics_->state_hash + entries_->state_hash;
}

}  // namespace kvorum
