#pragma once

#include <grpcpp/channel.h>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "client/status.h"

namespace kvorum::client {

using TimePoint = std::chrono::system_clock::time_point;

// Configured endpoints, and channels kept at a time: hints may name others, which then replace the
// longest unused.
inline constexpr size_t kMaxEndpoints = 64;
// Largest message accepted: a page of a list, or a stream message.
inline constexpr int kMaxReceiveMessageBytes = 16 * 1024 * 1024;

// Splits "host:port,host:port"; a missing port is 7400. INVALID_ARGUMENT when nothing is left, an
// item is malformed, or there are more than kMaxEndpoints.
Result<std::vector<std::string>> ParseEndpoints(std::string_view text);

// The controllers' client listeners: which to try next, and one gRPC channel to each. Shared by
// ControllerClient and MetadataWatcher through a shared_ptr. Thread-safe.
class Endpoints {
 public:
  // `configured` in the form ParseEndpoints returns.
  explicit Endpoints(std::vector<std::string> configured);

  const std::vector<std::string>& configured() const { return configured_; }

  // The leader as far as known, else the endpoint whose turn it is. Empty: none configured.
  std::string Preferred() const;
  // Round robin over what is configured, for callers that any node can serve.
  std::string Next();
  // Somebody says that `endpoint` leads.
  void FollowLeader(const std::string& endpoint);
  // `endpoint` answered as the leader: callers that pause go on.
  void ConfirmLeader(const std::string& endpoint);
  // `endpoint` did not serve: it's no longer taken for the leader, and the turn passes on.
  void Avoid(const std::string& endpoint);

  // Waits until `time`, or until another caller finds the leader.
  void Pause(TimePoint time);

  // A channel that is connected; null when that did not come about until `deadline` or is
  // refused. Nothing has been sent when null is returned, so every call may go elsewhere.
  std::shared_ptr<grpc::Channel> Connect(const std::string& endpoint, TimePoint deadline);

 private:
  struct Slot {
    std::shared_ptr<grpc::Channel> channel;
    TimePoint failing_since{};  // zero: not failing
    TimePoint last_used{};
  };

  std::shared_ptr<grpc::Channel> GetChannel(const std::string& endpoint);
  void OnConnected(const std::string& endpoint);
  void OnConnectFailed(const std::string& endpoint);

  const std::vector<std::string> configured_;
  mutable std::mutex mutex_;  // guards all below; never held while connecting
  std::condition_variable leader_found_;
  std::string leader_;
  std::string confirmed_leader_;  // by its own answer, and has not failed since
  uint64_t confirmation_count_ = 0;
  size_t turn_ = 0;
  std::map<std::string, Slot> slots_;
};

}  // namespace kvorum::client
