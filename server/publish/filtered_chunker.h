#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "server/metadata/image_writer.h"
#include "server/publish/subscription_filter.h"

namespace kvorum::publish {

// What of an image a filter lets through, in chunks as ImageChunker makes them. Pulled; one thread.
class FilteredChunker {
 public:
  FilteredChunker(std::shared_ptr<const MetadataImage> image,
                  std::shared_ptr<const SubscriptionFilter> filter, size_t max_bytes)
      : image_(image),
        filter_(std::move(filter)),
        cursor_(std::move(image), Audience::kSubscribers),
        max_bytes_(max_bytes) {}

  // The bytes of `repeated MetadataRecord records = 15`; nullopt at the end.
  std::optional<std::string> Next();

 private:
  std::shared_ptr<const MetadataImage> image_;
  std::shared_ptr<const SubscriptionFilter> filter_;
  ImageCursor cursor_;
  size_t max_bytes_;
  std::string pending_;  // one encoded record that did not fit the chunk before
};

}  // namespace kvorum::publish
