#pragma once

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kvorum/v1/common.pb.h"
#include "kvorum/v1/metadata.pb.h"
#include "server/base/ids.h"
#include "server/base/time.h"

namespace kvorum::controller {

inline constexpr Duration kDefaultWaitTimeout = std::chrono::seconds(10);
inline constexpr Duration kMaxWaitTimeout = std::chrono::minutes(5);
inline constexpr int kMaxWaitCount = 10'000;
inline constexpr int kMaxWaitBrokers = 1'000;

// What a reply waits for after the commit, as a request asked for it. Plain value.
struct AppliedWait {
  v1::Wait kind = v1::WAIT_COMMITTED;
  int count = 0;                  // of WAIT_APPLIED_BY_COUNT
  std::vector<BrokerId> brokers;  // of WAIT_APPLIED_BY, ascending
  Duration timeout = kDefaultWaitTimeout;

  bool is_for_brokers() const { return kind != v1::WAIT_COMMITTED; }
};

// INVALID_REQUEST, naming the field, for values out of range and for fields that do not go with
// `wait`.
absl::StatusOr<AppliedWait> ParseAppliedWait(const v1::WriteOptions& options);
absl::StatusOr<AppliedWait> ParseAppliedWait(const v1::AwaitAppliedRequest& request);

}  // namespace kvorum::controller
