#pragma once

#include <cstdint>
#include <string>

#include "client/controller_client.h"
#include "tests/integration/test_util.h"

namespace kvorum::testing {

// A broker that says just what a test lets it say. Owned by a test; one thread.
class FakeBroker {
 public:
  // `client` must outlive it.
  FakeBroker(client::ControllerClient& client, int32_t id, std::string rack = "");

  int32_t id() const { return id_; }
  int64_t epoch() const { return epoch_; }
  const std::string& incarnation() const { return incarnation_; }

  bool Register() { return TryRegister(kPatience).ok(); }
  client::Result<v1::RegisterBrokerResponse> TryRegister(milliseconds timeout);
  client::Result<v1::HeartbeatResponse> Heartbeat(int64_t applied_offset);
  // Says that it cannot apply the record at `offset`.
  bool Reject(int64_t offset, const std::string& why);
  // Heartbeats as one that has applied all there is, until it is unfenced.
  bool BecomeUnfenced();

 private:
  client::ControllerClient* client_;
  int32_t id_;
  std::string rack_;
  std::string incarnation_;  // 16 bytes
  int64_t epoch_ = -1;
};

}  // namespace kvorum::testing
