#pragma once

#include <rocksdb/status.h>

#include <string_view>

#include "absl/status/status.h"

namespace kvorum {

// Ours for one of RocksDB's; `what` says what was tried. Corruption becomes DataLoss /
// CORRUPT_LOG, a full disk ResourceExhausted, other I/O errors Internal.
absl::Status FromRocksDb(const rocksdb::Status& status, std::string_view what);

}  // namespace kvorum
