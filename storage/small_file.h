#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace kvorum {

// The few small files of a data directory. All blocking, any thread.

// What failed, on which path, and errno's text: PermissionDenied or Unavailable.
absl::Status ErrnoStatus(std::string_view what, const std::string& path);

absl::Status SyncDirectory(const std::string& path);

// Replaces `path` in `directory`, durably: the old contents or the new ones are there, whenever the
// power fails.
absl::Status WriteFileAtOnce(const std::string& directory, const std::string& path,
                             std::string_view text);

// NotFound if there is no such file, DataLoss if it has more than `max_bytes`.
absl::StatusOr<std::string> ReadSmallFile(const std::string& path, size_t max_bytes);

}  // namespace kvorum
