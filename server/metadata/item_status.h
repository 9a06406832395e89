#pragma once

#include <algorithm>
#include <string_view>

#include "absl/status/status.h"
#include "kvorum/v1/common.pb.h"

namespace kvorum {

// The result of one item of a batch: faults of an item stay in an OK reply.
v1::ItemStatus ToItemStatus(const absl::Status& status);

// What a sound item of an all_or_nothing request is told when another item was refused.
v1::ItemStatus NotExecutedItemStatus();

// INVALID_REQUEST for a batch without items, POLICY_VIOLATION for one with more than `limit`.
absl::Status CheckItemCount(std::string_view what, int count, int limit);

// For all_or_nothing: clears all records if an item was refused, and says so to the others.
// `Result` is a CommandResult whose response has `results`.
template <typename Result>
void RefuseAllIfAny(Result& result) {
  auto& items = *result.response.mutable_results();
  if (std::all_of(items.begin(), items.end(),
                  [](const auto& item) { return item.status().code() == 0; })) {
    return;
  }
  result.records.clear();
  for (auto& item : items) {
    if (item.status().code() == 0) {
      *item.mutable_status() = NotExecutedItemStatus();
    }
  }
}

}  // namespace kvorum
