#include "client/status.h"

#include <fmt/core.h>

#include <charconv>
#include <string_view>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace kvorum::client {
namespace {

constexpr std::string_view kDomain = "kvorum";

std::string_view Get(const google::rpc::ErrorInfo& info, const char* key) {
  const auto found = info.metadata().find(key);
  return found == info.metadata().end() ? std::string_view() : std::string_view(found->second);
}

int32_t GetInt(const google::rpc::ErrorInfo& info, const char* key) {
  const std::string_view text = Get(info, key);
  int32_t value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? value : -1;
}

Outcome ParseOutcome(std::string_view text) {
  if (text == "not_executed") {
    return Outcome::kNotExecuted;
  }
  return text == "committed" ? Outcome::kCommitted : Outcome::kUnknown;
}

RetryAdvice ParseRetry(std::string_view text) {
  if (text == "same_node") {
    return RetryAdvice::kSameNode;
  }
  if (text == "other_node") {
    return RetryAdvice::kOtherNode;
  }
  return text == "read_again_first" ? RetryAdvice::kReadAgainFirst : RetryAdvice::kNo;
}

// Of a status without ErrorInfo: it may be the transport's, and then nobody knows how far the
// request came.
Outcome OutcomeOfBareCode(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::INVALID_ARGUMENT:
    case grpc::StatusCode::UNIMPLEMENTED:
    case grpc::StatusCode::UNAUTHENTICATED:
    case grpc::StatusCode::PERMISSION_DENIED:
      return Outcome::kNotExecuted;
    default:
      return Outcome::kUnknown;
  }
}

void ReadErrorInfo(const google::rpc::ErrorInfo& info, CallError& error) {
  error.reason_name = info.reason();
  v1::ErrorReason reason = v1::UNKNOWN;
  if (v1::ErrorReason_Parse(info.reason(), &reason)) {
    error.reason = reason;
  }
  error.outcome = ParseOutcome(Get(info, "outcome"));
  error.retry = ParseRetry(Get(info, "retry"));
  error.leader_endpoint = std::string(Get(info, "leader_endpoint"));
  error.leader_id = GetInt(info, "leader_id");
  error.leader_epoch = GetInt(info, "leader_epoch");
}

}  // namespace

CallError ParseStatus(const grpc::Status& status) {
  CallError error;
  error.code = status.error_code();
  error.message = status.error_message();
  error.outcome = OutcomeOfBareCode(status.error_code());
  google::rpc::Status details;
  if (!details.ParseFromString(status.error_details())) {
    return error;
  }
  for (const google::protobuf::Any& detail : details.details()) {
    google::rpc::ErrorInfo info;
    google::rpc::RetryInfo retry;
    if (detail.Is<google::rpc::ErrorInfo>() && detail.UnpackTo(&info) && info.domain() == kDomain) {
      ReadErrorInfo(info, error);
    } else if (detail.Is<google::rpc::RetryInfo>() && detail.UnpackTo(&retry)) {
      error.retry_delay = std::chrono::milliseconds(retry.retry_delay().seconds() * 1000 +
                                                    retry.retry_delay().nanos() / 1'000'000);
    }
  }
  return error;
}

CallError LocalError(grpc::StatusCode code, std::string message) {
  CallError error;
  error.code = code;
  error.outcome = Outcome::kNotExecuted;
  error.message = std::move(message);
  return error;
}

std::string ToText(const CallError& error) {
  if (!error.from_server() && error.reason == v1::UNKNOWN) {
    return error.message;
  }
  const std::string name =
      error.from_server() ? error.reason_name : v1::ErrorReason_Name(error.reason);
  return fmt::format("{}: {}", name, error.message);
}

absl::Status ToAbslStatus(const CallError& error) {
  return absl::Status(static_cast<absl::StatusCode>(error.code), ToText(error));
}

std::string OutcomeText(Outcome outcome) {
  switch (outcome) {
    case Outcome::kNotExecuted:
      return "not_executed";
    case Outcome::kUnknown:
      return "unknown";
    case Outcome::kCommitted:
      return "committed";
  }
  return "unknown";
}

}  // namespace kvorum::client
