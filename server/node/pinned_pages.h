#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/base/time.h"
#include "server/metadata/metadata_image.h"

namespace kvorum {

struct PinnedPagesLimits {
  size_t max_images = 64;
  Duration max_age = std::chrono::minutes(2);  // since the last page
};

// Makes all pages of a listing be of one image: the token of the next page names the position of
// the first one's, and that image is kept for whoever lists it. Images are immutable and share what
// they have in common, so one costs what changed since. Owned by Node; loop thread only.
class PinnedPages {
 public:
  PinnedPages(PinnedPagesLimits limits, uint64_t generation)
      : limits_(limits), generation_(generation) {}

  // The image that the page of `token` is of; `token` becomes what the list itself wrote. REQUIRES:
  // not empty. INVALID_REQUEST if it is none of ours, PAGE_TOKEN_EXPIRED if the image is no longer
  // at hand here.
  absl::StatusOr<std::shared_ptr<const MetadataImage>> Open(
      TimePoint now, const std::shared_ptr<const MetadataImage>& current, std::string& token);

  // Keeps `image` for the next page and returns the token for it. REQUIRES: `token` is not empty.
  std::string Pin(TimePoint now, std::shared_ptr<const MetadataImage> image,
                  const std::string& token);

  // Lets go of what nobody has listed for long.
  void Expire(TimePoint now);

  size_t size() const { return images_.size(); }

 private:
  struct Pinned {
    std::shared_ptr<const MetadataImage> image;
    TimePoint last_page;
  };

  std::string TagOf(Offset offset, const std::string& token) const;

  const PinnedPagesLimits limits_;
  const uint64_t generation_;
  std::map<Offset, Pinned> images_;  // by their end
};

}  // namespace kvorum
