#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace kvorum {

// Where a listener is bound or reached. Plain value; any thread.
struct HostPort {
  std::string host;   // name or address; IPv6 without brackets
  uint16_t port = 0;  // 0: a free port is chosen (listeners only)

  // "host:port", IPv6 in brackets.
  std::string ToString() const;
  // True if the host stands for "every address of this machine", which nobody can connect to.
  bool is_wildcard() const;

  friend bool operator==(const HostPort&, const HostPort&) = default;
};

inline constexpr size_t kMaxHostBytes = 255;

// INVALID_REQUEST with the reason if `text` is no host:port.
absl::StatusOr<HostPort> ParseHostPort(std::string_view text);

}  // namespace kvorum
