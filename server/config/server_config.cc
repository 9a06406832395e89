#include "server/config/server_config.h"

#include <fmt/format.h>

#include "server/base/errors.h"
#include "server/base/status_macros.h"

namespace kvorum {
namespace {

int64_t Millis(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

absl::Status Invalid(const std::string& message) {
  return MakeError(ErrorReason::kInvalidRequest, message);
}

absl::Status CheckPorts(const ServerConfig& config) {
  const auto clash = [](const HostPort& a, const HostPort& b) {
    return a.port != 0 && a.port == b.port &&
           (a.host == b.host || a.is_wildcard() || b.is_wildcard());
  };
  if (clash(config.client_listener, config.controller_listener)) {
    return Invalid(fmt::format("client-listener {} and controller-listener {} are the same address",
                               config.client_listener.ToString(),
                               config.controller_listener.ToString()));
  }
  if (!config.http_listener.has_value()) {
    return absl::OkStatus();
  }
  if (clash(*config.http_listener, config.client_listener)) {
    return Invalid(fmt::format("http-listener {} and client-listener {} are the same address",
                               config.http_listener->ToString(),
                               config.client_listener.ToString()));
  }
  if (clash(*config.http_listener, config.controller_listener)) {
    return Invalid(fmt::format("http-listener {} and controller-listener {} are the same address",
                               config.http_listener->ToString(),
                               config.controller_listener.ToString()));
  }
  return absl::OkStatus();
}

absl::Status CheckAdvertised(std::string_view key, const std::optional<HostPort>& address) {
  if (address.has_value() && address->port == 0) {
    return Invalid(fmt::format("{} must name a port, not 0", key));
  }
  if (address.has_value() && address->is_wildcard()) {
    return Invalid(fmt::format(
        "{} {} is not an address that others can connect to; name a host or address of this "
        "machine",
        key, address->ToString()));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ValidateRelations(const ServerConfig& config) {
  if (config.observer && config.quorum_bootstrap_servers.empty()) {
    return Invalid(
        "observer needs quorum-bootstrap-servers: the controller listeners of the quorum that it "
        "follows");
  }
  KVORUM_RETURN_IF_ERROR(CheckAdvertised("client-advertised", config.client_advertised));
  KVORUM_RETURN_IF_ERROR(CheckAdvertised("controller-advertised", config.controller_advertised));
  // A follower must be able to miss one whole long poll without calling an election.
  if (config.quorum_fetch_timeout <= 2 * config.quorum_fetch_max_wait) {
    return Invalid(fmt::format(
        "quorum-fetch-timeout-ms ({}) must be more than twice quorum-fetch-max-wait-ms ({})",
        Millis(config.quorum_fetch_timeout), Millis(config.quorum_fetch_max_wait)));
  }
  if (config.quorum_retry_backoff >= config.quorum_election_timeout) {
    return Invalid(fmt::format(
        "quorum-retry-backoff-ms ({}) must be less than quorum-election-timeout-ms ({})",
        Millis(config.quorum_retry_backoff), Millis(config.quorum_election_timeout)));
  }
  // A failover alone must not cost brokers their sessions.
  if (config.broker_session_timeout <= config.quorum_fetch_timeout) {
    return Invalid(
        fmt::format("broker-session-timeout-ms ({}) must be more than quorum-fetch-timeout-ms ({})",
                    Millis(config.broker_session_timeout), Millis(config.quorum_fetch_timeout)));
  }
  if (config.stream_stall_timeout <= config.stream_bookmark_interval) {
    return Invalid(fmt::format(
        "stream-stall-timeout-ms ({}) must be more than stream-bookmark-interval-ms ({})",
        Millis(config.stream_stall_timeout), Millis(config.stream_bookmark_interval)));
  }
  return CheckPorts(config);
}

}  // namespace kvorum
