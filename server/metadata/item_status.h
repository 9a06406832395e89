#pragma once

#include "absl/status/status.h"
#include "kvorum/v1/common.pb.h"

namespace kvorum {

// The result of one item of a batch: faults of an item stay in an OK reply.
v1::ItemStatus ToItemStatus(const absl::Status& status);

// What a sound item of an all_or_nothing request is told when another item was refused.
v1::ItemStatus NotExecutedItemStatus();

}  // namespace kvorum
