#include "server/metadata/request_checks.h"

#include <fmt/format.h>

#include "server/base/errors.h"

namespace kvorum {
namespace {

constexpr size_t kMaxShownBytes = 128;

// Decodes one code point at the front of `text`, removing it; -1 if it is malformed.
int32_t TakeCodePoint(std::string_view& text) {
  const auto byte = [&text](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  size_t length = 1;
  int32_t value = lead;
  int32_t least = 0;
  if (lead >= 0xf0 && lead <= 0xf4) {
    length = 4;
    value = lead & 0x07;
    least = 0x10000;
  } else if (lead >= 0xe0 && lead < 0xf0) {
    length = 3;
    value = lead & 0x0f;
    least = 0x800;
  } else if (lead >= 0xc2 && lead < 0xe0) {
    length = 2;
    value = lead & 0x1f;
    least = 0x80;
  } else if (lead >= 0x80) {
    return -1;
  }
  if (text.size() < length) {
    return -1;
  }
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) {
      return -1;
    }
    value = (value << 6) | (byte(i) & 0x3f);
  }
  text.remove_prefix(length);
  const bool is_surrogate = value >= 0xd800 && value <= 0xdfff;
  return value < least || value > 0x10ffff || is_surrogate ? -1 : value;
}

}  // namespace

absl::Status CheckWriteOptions(const v1::WriteOptions& options) {
  const v1::Position& since = options.if_unchanged_since();
  if (since.offset() < 0 || since.epoch() < 0) {
    return MakeError(ErrorReason::kInvalidRequest,
                     fmt::format("options.if_unchanged_since has offset {} and epoch {}; use the "
                                 "position that a read came with",
                                 since.offset(), since.epoch()));
  }
  if (options.reason().size() > kMaxWriteReasonBytes || !IsPrintableUtf8(options.reason())) {
    return MakeError(ErrorReason::kInvalidRequest,
                     fmt::format("options.reason of {} bytes; use at most {} of printable UTF-8",
                                 options.reason().size(), kMaxWriteReasonBytes));
  }
  return absl::OkStatus();
}

absl::Status CheckReadOptions(const v1::ReadOptions& options) {
  if (!v1::Consistency_IsValid(options.consistency())) {
    return MakeError(ErrorReason::kInvalidRequest,
                     fmt::format("options.consistency has the unknown value {}; use "
                                 "CONSISTENCY_LINEARIZABLE or CONSISTENCY_LOCAL",
                                 static_cast<int>(options.consistency())));
  }
  return absl::OkStatus();
}

absl::Status CheckBrokerId(int32_t broker_id) {
  if (broker_id < 0) {
    return MakeError(ErrorReason::kInvalidRequest,
                     fmt::format("broker_id is {}; broker ids are 0 or greater", broker_id));
  }
  return absl::OkStatus();
}

bool IsPrintableUtf8(std::string_view text) {
  while (!text.empty()) {
    const int32_t code_point = TakeCodePoint(text);
    if (code_point < 0x20 || (code_point >= 0x7f && code_point < 0xa0)) {
      return false;
    }
  }
  return true;
}

std::string ShownText(std::string_view text) {
  return text.size() <= kMaxShownBytes && IsPrintableUtf8(text)
             ? fmt::format("'{}'", text)
             : fmt::format("({} bytes)", text.size());
}

}  // namespace kvorum
