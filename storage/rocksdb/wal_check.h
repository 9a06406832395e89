#pragma once

#include <rocksdb/env.h>

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace kvorum {

// RocksDB takes some damage in the middle of a write-ahead log for its end and drops what follows:
// a flipped bit in a fragment's type that makes it look recycled, a length that points behind the
// file. This check runs before RocksDB opens and finds the records behind such a place.
//
// Every write is synced before the next one begins (CommitThread, SyncedWrite). So the unreadable
// end that a crash leaves belongs to one write, the last; if another record begins behind it, it
// had been synced, and the log is damaged.

// OK for a log that is readable to its end, or to its last write. DataLoss / CORRUPT_LOG otherwise.
absl::Status CheckWal(std::string_view bytes);

// Checks all write-ahead logs in `directory` and names the one that fails. Blocking.
absl::Status CheckWals(rocksdb::Env* env, const std::string& directory);

}  // namespace kvorum
