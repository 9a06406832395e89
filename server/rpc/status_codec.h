#pragma once

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace kvorum::rpc {

// Largest parts of what goes into a trailer, whose size peers limit (gRPC: 8 KiB by default).
inline constexpr size_t kMaxErrorMessageBytes = 1024;
inline constexpr size_t kMaxErrorFactBytes = 256;
inline constexpr size_t kMaxErrorFacts = 8;

// The status a client gets: canonical code, text for people, and as error_details a
// google.rpc.Status with ErrorInfo{reason, domain "kvorum", metadata{outcome, retry, facts…}}, with
// RetryInfo where the same request may be repeated, and BadRequest where the fact "field" is set.
// Any thread.
grpc::Status ToGrpcStatus(const absl::Status& status);

}  // namespace kvorum::rpc
