#pragma once

#include <grpcpp/support/status.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "kvorum/v1/error.pb.h"

namespace kvorum::client {

// What a refused or lost request did to the state.
enum class Outcome { kNotExecuted, kUnknown, kCommitted };

// What a caller may do with the same request.
enum class RetryAdvice { kNo, kSameNode, kOtherNode, kReadAgainFirst };

// Why a call failed. Decisions are made from these fields, never from the text of `message`.
struct CallError {
  grpc::StatusCode code = grpc::StatusCode::UNKNOWN;
  v1::ErrorReason reason = v1::UNKNOWN;
  // As the server sent it; also set when this client does not know the name. Empty: the error did
  // not come from a Kvorum server (transport, proxy, or this client).
  std::string reason_name;
  Outcome outcome = Outcome::kUnknown;
  RetryAdvice retry = RetryAdvice::kNo;
  std::string message;
  // The server's word on how long to wait before the next attempt.
  std::optional<std::chrono::milliseconds> retry_delay;
  // With NOT_CONTROLLER: who leads. Empty, -1, -1: not known.
  std::string leader_endpoint;
  int32_t leader_id = -1;
  int32_t leader_epoch = -1;

  bool from_server() const { return !reason_name.empty(); }
};

// A T, or why there is none.
template <typename T>
class Result {
 public:
  Result(T value) : state_(std::move(value)) {}
  Result(CallError error) : state_(std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  // REQUIRES: ok().
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  const T& operator*() const { return value(); }
  const T* operator->() const { return &value(); }
  // REQUIRES: !ok().
  const CallError& error() const { return std::get<1>(state_); }

 private:
  std::variant<T, CallError> state_;
};

// Reads code, google.rpc.ErrorInfo and google.rpc.RetryInfo. Without an ErrorInfo the outcome is
// derived from the code: a code that can also stem from a broken connection means "unknown".
// REQUIRES: !status.ok().
CallError ParseStatus(const grpc::Status& status);

// An error that this client found before anything was sent.
CallError LocalError(grpc::StatusCode code, std::string message);

// The canonical code and "REASON: message".
absl::Status ToAbslStatus(const CallError& error);

// "REASON: message", for people.
std::string ToText(const CallError& error);

// "not_executed", "unknown", "committed".
std::string OutcomeText(Outcome outcome);

}  // namespace kvorum::client
