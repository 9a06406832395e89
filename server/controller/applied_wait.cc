#include "server/controller/applied_wait.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "server/base/errors.h"
#include "server/base/status_macros.h"

namespace kvorum::controller {
namespace {

absl::Status Invalid(std::string message) {
  return MakeError(ErrorReason::kInvalidRequest, std::move(message));
}

absl::StatusOr<Duration> ParseTimeout(const google::protobuf::Duration& proto) {
  constexpr int64_t kMaxSeconds =
      std::chrono::duration_cast<std::chrono::seconds>(kMaxWaitTimeout).count();
  const bool is_whole = proto.nanos() >= 0 && proto.nanos() < 1'000'000'000;
  const bool is_within =
      proto.seconds() >= 0 &&
      (proto.seconds() < kMaxSeconds || (proto.seconds() == kMaxSeconds && proto.nanos() == 0));
  if (!is_whole || !is_within) {
    return Invalid(fmt::format("wait_timeout of {} s and {} ns; use 0 to {} s", proto.seconds(),
                               proto.nanos(), kMaxSeconds));
  }
  return std::chrono::seconds(proto.seconds()) + std::chrono::nanoseconds(proto.nanos());
}

absl::Status CheckGoesWith(bool is_set, std::string_view field, v1::Wait wanted, v1::Wait wait) {
  if (is_set == (wait == wanted)) {
    return absl::OkStatus();
  }
  return Invalid(is_set ? fmt::format("{} goes with {} only, and wait is {}", field,
                                      v1::Wait_Name(wanted), v1::Wait_Name(wait))
                        : fmt::format("{} needs {}", v1::Wait_Name(wanted), field));
}

absl::StatusOr<std::vector<BrokerId>> ParseBrokers(
    const google::protobuf::RepeatedField<int32_t>& ids) {
  if (ids.size() > kMaxWaitBrokers) {
    return Invalid(fmt::format("wait_broker_ids names {} brokers, at most {} are allowed",
                               ids.size(), kMaxWaitBrokers));
  }
  std::vector<BrokerId> brokers;
  for (const int32_t id : ids) {
    if (id < 0) {
      return Invalid(fmt::format("wait_broker_ids names broker {}; ids are 0 or greater", id));
    }
    brokers.emplace_back(id);
  }
  std::sort(brokers.begin(), brokers.end());
  if (const auto twice = std::adjacent_find(brokers.begin(), brokers.end());
      twice != brokers.end()) {
    return Invalid(fmt::format("wait_broker_ids names broker {} twice", *twice));
  }
  return brokers;
}

template <typename Message>
absl::StatusOr<AppliedWait> Parse(const Message& message) {
  if (!v1::Wait_IsValid(message.wait())) {
    return Invalid(
        fmt::format("wait has the unknown value {}; use WAIT_COMMITTED or one of "
                    "WAIT_APPLIED_BY_ALL, _COUNT and WAIT_APPLIED_BY",
                    static_cast<int>(message.wait())));
  }
  AppliedWait wait;
  wait.kind = message.wait() == v1::WAIT_UNSPECIFIED ? v1::WAIT_COMMITTED : message.wait();
  if (message.has_wait_timeout()) {
    if (!wait.is_for_brokers()) {
      return Invalid("wait_timeout goes with a wait for brokers only, and wait is WAIT_COMMITTED");
    }
    KVORUM_ASSIGN_OR_RETURN(wait.timeout, ParseTimeout(message.wait_timeout()));
  }
  KVORUM_RETURN_IF_ERROR(
      CheckGoesWith(message.wait_count() != 0, "wait_count", v1::WAIT_APPLIED_BY_COUNT, wait.kind));
  if (message.wait_count() < 0 || message.wait_count() > kMaxWaitCount) {
    return Invalid(
        fmt::format("wait_count is {}; use 1 to {}", message.wait_count(), kMaxWaitCount));
  }
  wait.count = message.wait_count();
  KVORUM_RETURN_IF_ERROR(CheckGoesWith(!message.wait_broker_ids().empty(), "wait_broker_ids",
                                       v1::WAIT_APPLIED_BY, wait.kind));
  KVORUM_ASSIGN_OR_RETURN(wait.brokers, ParseBrokers(message.wait_broker_ids()));
  return wait;
}

}  // namespace

absl::StatusOr<AppliedWait> ParseAppliedWait(const v1::WriteOptions& options) {
  return Parse(options);
}

absl::StatusOr<AppliedWait> ParseAppliedWait(const v1::AwaitAppliedRequest& request) {
  return Parse(request);
}

}  // namespace kvorum::controller
