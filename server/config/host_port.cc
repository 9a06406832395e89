#include "server/config/host_port.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>

#include "server/base/errors.h"

namespace kvorum {
namespace {

constexpr int kMaxPort = 65535;

bool IsHostCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '-' || c == '_' || c == ':' || c == '%';
}

std::optional<uint16_t> ParsePort(std::string_view text) {
  int port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port < 0 || port > kMaxPort) {
    return std::nullopt;
  }
  return static_cast<uint16_t>(port);
}

}  // namespace

std::string HostPort::ToString() const {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port)
                                             : fmt::format("[{}]:{}", host, port);
}

bool HostPort::is_wildcard() const { return host == "0.0.0.0" || host == "::"; }

absl::StatusOr<HostPort> ParseHostPort(std::string_view text) {
  const auto invalid = [text](std::string_view why) {
    return MakeError(ErrorReason::kInvalidRequest,
                     fmt::format("\"{}\" is no host:port: {}", text, why));
  };
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) {
    return invalid("the port is missing");
  }
  std::string_view host = text.substr(0, colon);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return invalid("write an IPv6 address in brackets, [::1]:7400");
  }
  if (host.empty() || host.size() > kMaxHostBytes) {
    return invalid(fmt::format("the host must have 1 to {} characters", kMaxHostBytes));
  }
  for (const char c : host) {
    if (!IsHostCharacter(c)) {
      return invalid("the host may have letters, digits, '.', '-', '_' and ':' only");
    }
  }
  const std::optional<uint16_t> port = ParsePort(text.substr(colon + 1));
  if (!port.has_value()) {
    return invalid(fmt::format("the port must be a number from 0 to {}", kMaxPort));
  }
  return HostPort{std::string(host), *port};
}

}  // namespace kvorum
