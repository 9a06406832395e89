#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "kvorum/v1/credential.pb.h"
#include "server/metadata/command.h"

namespace kvorum {

inline constexpr int kMaxCredentialsPerRequest = 1'000;
inline constexpr size_t kMaxCredentialUserBytes = 255;
inline constexpr int32_t kMinScramIterations = 4'096;   // RFC 7677
inline constexpr int32_t kMaxScramIterations = 16'384;  // Kafka's
inline constexpr size_t kMinScramSaltBytes = 8;
inline constexpr size_t kMaxScramSaltBytes = 255;

// Per user: all or nothing. Faults of an item: UNACCEPTABLE_CREDENTIAL, UNSUPPORTED_SASL_MECHANISM,
// DUPLICATE_RESOURCE, RESOURCE_NOT_FOUND, LIMIT_EXCEEDED. No message tells a salt or a key.
absl::StatusOr<CommandResult<v1::AlterUserScramCredentialsResponse>> Execute(
    const CommandContext& context, const v1::AlterUserScramCredentialsRequest& request);

// Mechanisms and iterations only. Faults of an item: RESOURCE_NOT_FOUND, DUPLICATE_RESOURCE.
absl::StatusOr<v1::DescribeUserScramCredentialsResponse> Query(
    const QueryContext& context, const v1::DescribeUserScramCredentialsRequest& request);

}  // namespace kvorum
