#include "server/metadata/image_writer.h"

#include <utility>

#include "server/metadata/record_codec.h"

namespace kvorum {

ImageCursor::ImageCursor(std::shared_ptr<const MetadataImage> image)
    : image_(std::move(image)),
      features_(image_->features()),
      brokers_(image_->brokers()),
      topics_(image_->topics()),
      configs_(image_->configs()),
      quotas_(image_->quotas()),
      producer_ids_(image_->producer_ids()),
      acls_(image_->acls()),
      credentials_(image_->credentials()),
      entries_(image_->entries()) {}

bool ImageCursor::Next(v1::MetadataRecord& record) {
  return features_.Next(record) || brokers_.Next(record) || topics_.Next(record) ||
         configs_.Next(record) || quotas_.Next(record) || producer_ids_.Next(record) ||
         acls_.Next(record) || credentials_.Next(record) || entries_.Next(record);
}

ImageChunker::ImageChunker(std::shared_ptr<const MetadataImage> image, size_t max_bytes)
    : cursor_(std::move(image)), max_bytes_(max_bytes) {
  FillPending();
}

void ImageChunker::FillPending() {
  v1::RecordBatchPayload payload;
  pending_ = cursor_.Next(*payload.add_records()) ? payload.SerializeAsString() : std::string();
}

std::optional<std::string> ImageChunker::Next() {
  if (pending_.empty()) {
    return std::nullopt;
  }
  std::string chunk = std::exchange(pending_, std::string());
  FillPending();
  for (size_t records = 1; !pending_.empty() && records < kMaxRecordsPerBatch &&
                           chunk.size() + pending_.size() <= max_bytes_;
       ++records) {
    chunk += pending_;
    FillPending();
  }
  return chunk;
}

}  // namespace kvorum
