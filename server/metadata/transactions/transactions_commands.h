#pragma once

#include <cstddef>

#include "absl/status/statusor.h"
#include "kvorum/v1/metadata.pb.h"
#include "server/metadata/command.h"

namespace kvorum {

inline constexpr int kMaxOperationsPerTransaction = 1'000;
inline constexpr int kMaxPreconditionsPerTransaction = 1'000;
// Operations that walk all there is of a kind, or all that a broker hosts, however little they
// change: the loop must not be held up by a transaction of a thousand of them.
inline constexpr int kMaxWalkingOperationsPerTransaction = 10;

// A flat transaction: the commands of its operations one after the other, each on what those before
// it left, and all their records as one commit. The first refusal, of an operation or of an item of
// it, is that of the whole, with its reason and the fact operation_index (or precondition_index).
absl::StatusOr<CommandResult<v1::CommitResponse>> Execute(const CommandContext& context,
                                                          const v1::CommitRequest& request);

}  // namespace kvorum
