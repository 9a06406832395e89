#include "server/metadata/image_writer.h"

#include <utility>
#include <vector>

#include "server/metadata/record_codec.h"

namespace kvorum {

ImageCursor::ImageCursor(std::shared_ptr<const MetadataImage> image, Audience audience)
    : image_(std::move(image)),
      features_(image_->features()),
      brokers_(image_->brokers()),
      topics_(image_->topics()),
      configs_(image_->configs()),
      quotas_(image_->quotas()),
      producer_ids_(image_->producer_ids()),
      acls_(image_->acls()),
      credentials_(image_->credentials()),
      entries_(image_->entries()) {
  if (audience == Audience::kControllers) {
    requests_.emplace(image_->requests());
  }
}

bool ImageCursor::Next(v1::MetadataRecord& record) {
  return features_.Next(record) || brokers_.Next(record) || topics_.Next(record) ||
         configs_.Next(record) || quotas_.Next(record) || producer_ids_.Next(record) ||
         acls_.Next(record) || credentials_.Next(record) || entries_.Next(record) ||
         (requests_.has_value() && requests_->Next(record));
}

ImageChunker::ImageChunker(std::shared_ptr<const MetadataImage> image, Audience audience,
                           size_t max_bytes)
    : cursor_(std::move(image), audience), max_bytes_(max_bytes) {
  FillPending();
}

void ImageChunker::FillPending() {
  std::vector<v1::MetadataRecord> next(1);
  pending_ = cursor_.Next(next.front()) ? EncodeRecords(next) : std::string();
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
