#include "storage/rocksdb/status_convert.h"

#include <fmt/format.h>

#include <string>

#include "server/base/errors.h"

namespace kvorum {

absl::Status FromRocksDb(const rocksdb::Status& status, std::string_view what) {
  if (status.ok()) {
    return absl::OkStatus();
  }
  const std::string message = fmt::format("{}: {}", what, status.ToString());
  if (status.IsCorruption()) {
    return MakeError(ErrorReason::kCorruptLog, message);
  }
  if (status.IsNotFound()) {
    return absl::NotFoundError(message);
  }
  if (status.IsNoSpace() || status.subcode() == rocksdb::Status::kSpaceLimit) {
    return absl::ResourceExhaustedError(message);
  }
  if (status.IsInvalidArgument() || status.IsNotSupported()) {
    return absl::InvalidArgumentError(message);
  }
  if (status.IsShutdownInProgress() || status.IsBusy() || status.IsTryAgain() ||
      status.IsTimedOut()) {
    return absl::UnavailableError(message);
  }
  return absl::InternalError(message);
}

}  // namespace kvorum
