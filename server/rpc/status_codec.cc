#include "server/rpc/status_codec.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "server/base/errors.h"

namespace kvorum::rpc {
namespace {

constexpr char kDomain[] = "kvorum";
constexpr char kFieldFact[] = "field";

// Cuts at a character boundary: protobuf strings must stay UTF-8.
std::string Shorten(std::string_view text, size_t max_bytes) {
  if (text.size() <= max_bytes) {
    return std::string(text);
  }
  size_t end = max_bytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) {
    --end;
  }
  return std::string(text.substr(0, end));
}

std::optional<int> RetryDelayMs(const ErrorInfo& info) {
  switch (info.retry) {
    case Retry::kNo:
    case Retry::kReadAgainFirst:
      return std::nullopt;
    case Retry::kOtherNode:
      return 0;
    case Retry::kSameNode:
      break;
  }
  switch (info.code) {
    case absl::StatusCode::kUnavailable:
      return 20;  // an election takes a few of these
    case absl::StatusCode::kAlreadyExists:
      return 1000;  // waits for another broker's session to expire
    default:
      return 100;
  }
}

template <typename Detail>
void AddDetail(const Detail& detail, google::rpc::Status& status) {
  status.add_details()->PackFrom(detail);
}

google::rpc::Status MakeDetails(const absl::Status& status, const std::string& message) {
  const ErrorInfo& info = GetErrorInfo(GetErrorReason(status));
  const std::map<std::string, std::string> facts = GetErrorFacts(status);

  google::rpc::Status details;
  details.set_code(static_cast<int>(status.code()));
  details.set_message(message);

  google::rpc::ErrorInfo error;
  error.set_domain(kDomain);
  error.set_reason(std::string(info.name));
  (*error.mutable_metadata())["outcome"] = std::string(OutcomeName(info.outcome));
  (*error.mutable_metadata())["retry"] = std::string(RetryName(info.retry));
  size_t count = 0;
  for (const auto& [key, value] : facts) {
    if (++count > kMaxErrorFacts) {
      break;
    }
    (*error.mutable_metadata())[key] = Shorten(value, kMaxErrorFactBytes);
  }
  AddDetail(error, details);

  if (const std::optional<int> delay_ms = RetryDelayMs(info)) {
    google::rpc::RetryInfo retry;
    retry.mutable_retry_delay()->set_seconds(*delay_ms / 1000);
    retry.mutable_retry_delay()->set_nanos(*delay_ms % 1000 * 1'000'000);
    AddDetail(retry, details);
  }
  if (const auto field = facts.find(kFieldFact); field != facts.end()) {
    google::rpc::BadRequest bad_request;
    google::rpc::BadRequest::FieldViolation& violation = *bad_request.add_field_violations();
    violation.set_field(Shorten(field->second, kMaxErrorFactBytes));
    violation.set_description(message);
    AddDetail(bad_request, details);
  }
  return details;
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) {
    return grpc::Status::OK;
  }
  const std::string message =
      Shorten({status.message().data(), status.message().size()}, kMaxErrorMessageBytes);
  // absl's codes are gRPC's.
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), message,
                      MakeDetails(status, message).SerializeAsString());
}

}  // namespace kvorum::rpc
