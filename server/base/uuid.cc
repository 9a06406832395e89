#include "server/base/uuid.h"

#include <algorithm>

#include "server/base/random.h"

namespace kvorum {
namespace {

constexpr std::string_view kHex = "0123456789abcdef";

bool IsDashPosition(size_t i) { return i == 8 || i == 13 || i == 18 || i == 23; }

int HexValue(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  if (c >= 'a' && c <= 'f') {
    return c - 'a' + 10;
  }
  if (c >= 'A' && c <= 'F') {
    return c - 'A' + 10;
  }
  return -1;
}

}  // namespace

Uuid Uuid::FromRandom(Random& random) {
  std::array<uint8_t, kBytes> bytes;
  for (size_t i = 0; i < kBytes; i += 8) {
    uint64_t word = random.Next();
    for (size_t j = 0; j < 8; ++j) {
      bytes[i + j] = static_cast<uint8_t>(word >> (8 * j));
    }
  }
  bytes[6] = static_cast<uint8_t>((bytes[6] & 0x0f) | 0x40);
  bytes[8] = static_cast<uint8_t>((bytes[8] & 0x3f) | 0x80);
  return Uuid(bytes);
}

std::optional<Uuid> Uuid::Parse(std::string_view text) {
  if (text.size() != 36) {
    return std::nullopt;
  }
  std::array<uint8_t, kBytes> bytes{};
  size_t nibble = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (IsDashPosition(i)) {
      if (text[i] != '-') {
        return std::nullopt;
      }
      continue;
    }
    int value = HexValue(text[i]);
    if (value < 0) {
      return std::nullopt;
    }
    bytes[nibble / 2] = static_cast<uint8_t>((bytes[nibble / 2] << 4) | value);
    ++nibble;
  }
  return Uuid(bytes);
}

std::optional<Uuid> Uuid::FromBytes(std::string_view bytes) {
  if (bytes.size() != kBytes) {
    return std::nullopt;
  }
  std::array<uint8_t, kBytes> copy;
  std::copy(bytes.begin(), bytes.end(), copy.begin());
  return Uuid(copy);
}

std::string Uuid::ToString() const {
  std::string text;
  text.reserve(36);
  for (size_t i = 0; i < kBytes; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) {
      text.push_back('-');
    }
    text.push_back(kHex[bytes_[i] >> 4]);
    text.push_back(kHex[bytes_[i] & 0x0f]);
  }
  return text;
}

std::string Uuid::ToBytes() const {
  return std::string(reinterpret_cast<const char*>(bytes_.data()), bytes_.size());
}

}  // namespace kvorum
