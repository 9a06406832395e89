#pragma once

#include <string_view>

#include "absl/status/status.h"

namespace kvorum {

// Counts what clients got. Implemented by observability; any thread.
class RequestObserver {
 public:
  virtual ~RequestObserver() = default;
  // `method` is "EntryService/Put" and the like, and lives for ever.
  virtual void OnReply(std::string_view method, absl::StatusCode code) = 0;
};

}  // namespace kvorum
