#include "server/metadata/paging.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <utility>

#include "server/base/crc32c.h"
#include "server/base/errors.h"

namespace kvorum {
namespace {

constexpr size_t kTagDigits = 16;
constexpr size_t kMaxTokenBytes = 2'048;  // twice the longest key, and the tag

// A checksum, not a secret: tells apart lists and typing errors, and grants nothing.
std::string TokenTag(std::string_view scope, std::string_view key) {
  return fmt::format("{:016x}", Hash64(key, Hash64(scope)));
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

std::string EncodeToken(std::string_view scope, std::string_view key) {
  std::string token = TokenTag(scope, key);
  for (const char c : key) {
    token += fmt::format("{:02x}", static_cast<unsigned char>(c));
  }
  return token;
}

std::optional<std::string> DecodeToken(std::string_view scope, std::string_view token) {
  if (token.size() < kTagDigits || token.size() % 2 != 0 || token.size() > kMaxTokenBytes) {
    return std::nullopt;
  }
  std::string key;
  for (size_t i = kTagDigits; i < token.size(); i += 2) {
    const int high = HexDigit(token[i]);
    const int low = HexDigit(token[i + 1]);
    if (high < 0 || low < 0) {
      return std::nullopt;
    }
    key.push_back(static_cast<char>(high * 16 + low));
  }
  if (key.empty() || token.substr(0, kTagDigits) != TokenTag(scope, key)) {
    return std::nullopt;
  }
  return key;
}

absl::Status NotOfThisList(size_t token_bytes) {
  return MakeError(ErrorReason::kInvalidRequest,
                   fmt::format("page_token of {} bytes is not of this list; pass the "
                               "next_page_token of the page before with the same filters",
                               token_bytes));
}

}  // namespace

absl::StatusOr<Page> Page::Open(const v1::PageRequest& request, std::string scope) {
  if (request.page_size() < 0 || request.page_size() > static_cast<int32_t>(kMaxPageItems)) {
    return MakeError(ErrorReason::kInvalidRequest,
                     fmt::format("page_size is {}; use 0 (for {}) to {}", request.page_size(),
                                 kDefaultPageItems, kMaxPageItems));
  }
  const size_t max_items =
      request.page_size() == 0 ? kDefaultPageItems : static_cast<size_t>(request.page_size());
  if (request.page_token().empty()) {
    return Page(std::move(scope), "", max_items);
  }
  std::optional<std::string> after = DecodeToken(scope, request.page_token());
  if (!after.has_value()) {
    return NotOfThisList(request.page_token().size());
  }
  return Page(std::move(scope), *std::move(after), max_items);
}

absl::StatusOr<int32_t> Page::AfterNumber() const {
  if (after_.empty()) {
    return -1;
  }
  int32_t number = -1;
  const char* end = after_.data() + after_.size();
  if (std::from_chars(after_.data(), end, number).ptr != end || number < 0) {
    return NotOfThisList(EncodeToken(scope_, after_).size());
  }
  return number;
}

bool Page::Admit(size_t bytes) {
  if (items_ == max_items_ || (items_ > 0 && bytes_ + bytes > kMaxPageBytes)) {
    return false;
  }
  ++items_;
  bytes_ += bytes;
  return true;
}

v1::PageResponse Page::Continue(std::string_view last_key) const {
  v1::PageResponse response;
  response.set_next_page_token(EncodeToken(scope_, last_key));
  return response;
}

}  // namespace kvorum
