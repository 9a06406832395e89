#pragma once

#include <memory>
#include <string>

#include "server/base/ids.h"

namespace kvorum::publish {

// One committed batch on its way to the subscribers: offsets [from, to) of `epoch`. `payload` is
// the batch's own bytes (RecordBatchPayload), null for a control batch. Immutable; any thread.
struct CommittedUpdate {
  Offset from;
  Offset to;
  Epoch epoch;
  std::shared_ptr<const std::string> payload;
};

}  // namespace kvorum::publish
