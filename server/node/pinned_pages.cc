#include "server/node/pinned_pages.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "server/base/crc32c.h"
#include "server/base/errors.h"

namespace kvorum {
namespace {

constexpr size_t kDigits = 16;
constexpr size_t kPrefix = 2 * kDigits;  // offset, tag

}  // namespace

// A checksum, not a secret, as that of the list's own token.
std::string PinnedPages::TagOf(Offset offset, const std::string& token) const {
  return fmt::format("{:016x}", Hash64(token, Hash64(fmt::format("{}/{}", generation_, offset))));
}

absl::StatusOr<std::shared_ptr<const MetadataImage>> PinnedPages::Open(
    TimePoint now, const std::shared_ptr<const MetadataImage>& current, std::string& token) {
  uint64_t value = 0;
  const bool is_long_enough = token.size() > kPrefix;
  const char* const end = token.data() + (is_long_enough ? kDigits : 0);
  const auto [last, error] = std::from_chars(token.data(), end, value, /*base=*/16);
  const Offset offset(static_cast<int64_t>(value & INT64_MAX));
  const std::string inner = is_long_enough ? token.substr(kPrefix) : "";
  if (!is_long_enough || error != std::errc() || last != end ||
      token.compare(kDigits, kDigits, TagOf(offset, inner)) != 0) {
    return MakeError(ErrorReason::kInvalidRequest,
                     fmt::format("page_token of {} bytes is not of this list; pass the "
                                 "next_page_token of the page before with the same filters",
                                 token.size()));
  }
  token = inner;
  if (const auto it = images_.find(offset); it != images_.end()) {
    it->second.last_page = now;
    return it->second.image;
  }
  if (current->provenance().end_offset == offset) {
    return current;  // another node gave the token, and nothing has happened since
  }
  return MakeError(
      ErrorReason::kPageTokenExpired,
      fmt::format("the metadata at offset {}, which the first page was of, is no longer at hand "
                  "here: kept are {} states, each for {} s after its last page, by the node that "
                  "answered it; begin the list anew",
                  offset, limits_.max_images,
                  std::chrono::duration_cast<std::chrono::seconds>(limits_.max_age).count()));
}

std::string PinnedPages::Pin(TimePoint now, std::shared_ptr<const MetadataImage> image,
                             const std::string& token) {
  const Offset offset = image->provenance().end_offset;
  if (!images_.contains(offset) && images_.size() >= limits_.max_images) {
    images_.erase(std::min_element(
        images_.begin(), images_.end(),
        [](const auto& a, const auto& b) { return a.second.last_page < b.second.last_page; }));
  }
  images_.insert_or_assign(offset, Pinned{std::move(image), now});
  return fmt::format("{:016x}{}{}", offset.value(), TagOf(offset, token), token);
}

void PinnedPages::Expire(TimePoint now) {
  std::erase_if(images_,
                [&](const auto& item) { return now - item.second.last_page >= limits_.max_age; });
}

}  // namespace kvorum
