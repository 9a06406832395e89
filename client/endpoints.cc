#include "client/endpoints.h"

#include <fmt/core.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <algorithm>
#include <charconv>

namespace kvorum::client {
namespace {

using std::chrono::milliseconds;

constexpr int kDefaultPort = 7400;
constexpr int kInitialReconnectBackoffMs = 20;
constexpr int kMaxReconnectBackoffMs = 200;
// In gRPC this is the least time a connection attempt gets, not a pause between attempts
// (grpc doc/connection-backoff.md, MIN_CONNECT_TIMEOUT): it has to cover some slow round trips.
constexpr int kMinConnectTimeoutMs = 1000;
constexpr int kKeepaliveTimeMs = 20'000;
constexpr int kKeepaliveTimeoutMs = 5'000;
constexpr int kMinTimeBetweenResolutionsMs = 1000;
// A channel already known to be failing gets this long to prove otherwise.
constexpr milliseconds kFailingSlice{30};
// gRPC's resolver backs off up to two minutes for a name that does not resolve. A fresh channel
// starts afresh, which matters where names appear with the machines (containers).
constexpr milliseconds kReplaceFailingChannelAfter{2000};

CallError BadEndpoint(std::string_view item) {
  return LocalError(
      grpc::StatusCode::INVALID_ARGUMENT,
      fmt::format("endpoint \"{}\" is not host:port with a port of 1 to 65535", std::string(item)));
}

bool IsPort(std::string_view text) {
  int port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() && port >= 1 && port <= 65535;
}

// "host", "host:port", "[v6]" or "[v6]:port" with the port filled in; empty: malformed.
std::string Normalize(std::string_view item) {
  const size_t bracket = item.rfind(']');
  const size_t colon = item.rfind(':');
  if (item.find_first_of(" \t/") != std::string_view::npos) {
    return "";
  }
  const bool has_port =
      colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket);
  const std::string_view host = has_port ? item.substr(0, colon) : item;
  const bool bare_v6 =
      bracket == std::string_view::npos && host.find(':') != std::string_view::npos;
  if (host.empty() || bare_v6 || (has_port && !IsPort(item.substr(colon + 1)))) {
    return "";
  }
  return has_port ? std::string(item) : fmt::format("{}:{}", std::string(item), kDefaultPort);
}

std::string_view Trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) {
    return {};
  }
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& endpoint) {
  grpc::ChannelArguments args;
  args.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kInitialReconnectBackoffMs);
  args.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kMinConnectTimeoutMs);
  args.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kMaxReconnectBackoffMs);
  args.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs);
  args.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  // A subscriber only listens; with the default of two, gRPC stops pinging for it.
  args.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  args.SetInt(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, kMinTimeBetweenResolutionsMs);
  args.SetMaxReceiveMessageSize(kMaxReceiveMessageBytes);
  return grpc::CreateCustomChannel(endpoint, grpc::InsecureChannelCredentials(), args);
}

// Waits until `channel` is ready. Gives up as soon as an attempt made meanwhile fails.
bool WaitUntilReady(grpc::Channel& channel, TimePoint deadline) {
  grpc_connectivity_state state = channel.GetState(/*try_to_connect=*/true);
  if (state == GRPC_CHANNEL_TRANSIENT_FAILURE) {
    deadline = std::min(deadline, std::chrono::system_clock::now() + kFailingSlice);
  }
  while (state != GRPC_CHANNEL_READY) {
    if (state == GRPC_CHANNEL_SHUTDOWN || !channel.WaitForStateChange(state, deadline)) {
      return false;
    }
    state = channel.GetState(/*try_to_connect=*/true);
    if (state == GRPC_CHANNEL_TRANSIENT_FAILURE) {
      return false;
    }
  }
  return true;
}

}  // namespace

Result<std::vector<std::string>> ParseEndpoints(std::string_view text) {
  std::vector<std::string> endpoints;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    const std::string_view item = Trim(text.substr(0, comma));
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
    if (item.empty()) {
      continue;
    }
    std::string endpoint = Normalize(item);
    if (endpoint.empty()) {
      return BadEndpoint(item);
    }
    if (std::find(endpoints.begin(), endpoints.end(), endpoint) == endpoints.end()) {
      endpoints.push_back(std::move(endpoint));
    }
  }
  if (endpoints.empty() || endpoints.size() > kMaxEndpoints) {
    return LocalError(grpc::StatusCode::INVALID_ARGUMENT,
                      fmt::format("{} endpoints given; name 1 to {} as host:port,host:port",
                                  endpoints.size(), kMaxEndpoints));
  }
  return endpoints;
}

Endpoints::Endpoints(std::vector<std::string> configured) : configured_(std::move(configured)) {}

std::string Endpoints::Preferred() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!leader_.empty()) {
    return leader_;
  }
  return configured_.empty() ? std::string() : configured_[turn_ % configured_.size()];
}

std::string Endpoints::Next() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return configured_.empty() ? std::string() : configured_[turn_++ % configured_.size()];
}

void Endpoints::FollowLeader(const std::string& endpoint) {
  const std::lock_guard<std::mutex> lock(mutex_);
  leader_ = endpoint;
}

void Endpoints::ConfirmLeader(const std::string& endpoint) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    leader_ = endpoint;
    if (confirmed_leader_ == endpoint) {
      return;
    }
    confirmed_leader_ = endpoint;
    ++confirmation_count_;
  }
  leader_found_.notify_all();
}

void Endpoints::Pause(TimePoint time) {
  std::unique_lock<std::mutex> lock(mutex_);
  const uint64_t before = confirmation_count_;
  leader_found_.wait_until(lock, time, [&] { return confirmation_count_ != before; });
}

void Endpoints::Avoid(const std::string& endpoint) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (leader_ == endpoint) {
    leader_.clear();
  }
  if (confirmed_leader_ == endpoint) {
    confirmed_leader_.clear();
  }
  if (!configured_.empty() && configured_[turn_ % configured_.size()] == endpoint) {
    ++turn_;
  }
}

std::shared_ptr<grpc::Channel> Endpoints::Connect(const std::string& endpoint, TimePoint deadline) {
  std::shared_ptr<grpc::Channel> channel = GetChannel(endpoint);
  if (WaitUntilReady(*channel, deadline)) {
    OnConnected(endpoint);
    return channel;
  }
  OnConnectFailed(endpoint);
  return nullptr;
}

std::shared_ptr<grpc::Channel> Endpoints::GetChannel(const std::string& endpoint) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = slots_.find(endpoint);
  if (found == slots_.end() && slots_.size() >= kMaxEndpoints) {
    slots_.erase(std::min_element(slots_.begin(), slots_.end(), [](const auto& a, const auto& b) {
      return a.second.last_used < b.second.last_used;
    }));
  }
  Slot& slot = slots_[endpoint];
  if (slot.channel == nullptr) {
    slot.channel = MakeChannel(endpoint);
  }
  slot.last_used = std::chrono::system_clock::now();
  return slot.channel;
}

void Endpoints::OnConnected(const std::string& endpoint) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto slot = slots_.find(endpoint);
  if (slot != slots_.end()) {
    slot->second.failing_since = {};
  }
}

void Endpoints::OnConnectFailed(const std::string& endpoint) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto slot = slots_.find(endpoint);
  if (slot == slots_.end()) {
    return;
  }
  const TimePoint now = std::chrono::system_clock::now();
  if (slot->second.failing_since == TimePoint()) {
    slot->second.failing_since = now;
  } else if (now - slot->second.failing_since >= kReplaceFailingChannelAfter) {
    slots_.erase(slot);
  }
}

}  // namespace kvorum::client
