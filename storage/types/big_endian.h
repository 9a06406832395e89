#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

#include "server/base/check.h"

namespace kvorum {

// Fixed-width big-endian integers: the order of the bytes is the order of (non-negative) values.

template <typename T>
void PutBigEndian(std::string& out, T value) {
  static_assert(std::is_integral_v<T>);
  auto bits = static_cast<std::make_unsigned_t<T>>(value);
  char bytes[sizeof(T)];
  for (size_t i = sizeof(T); i-- > 0;) {
    bytes[i] = static_cast<char>(bits & 0xff);
    if constexpr (sizeof(T) > 1) {
      bits = static_cast<std::make_unsigned_t<T>>(bits >> 8);
    }
  }
  out.append(bytes, sizeof(T));
}

// Removes the integer at the front of `in`. REQUIRES: in.size() >= sizeof(T).
template <typename T>
T TakeBigEndian(std::string_view& in) {
  static_assert(std::is_integral_v<T>);
  KVORUM_CHECK(in.size() >= sizeof(T), "{} bytes left, {} wanted", in.size(), sizeof(T));
  uint64_t bits = 0;
  for (size_t i = 0; i < sizeof(T); ++i) {
    bits = (bits << 8) | static_cast<unsigned char>(in[i]);
  }
  in.remove_prefix(sizeof(T));
  return static_cast<T>(bits);
}

}  // namespace kvorum
