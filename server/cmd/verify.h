#pragma once

#include <string>

#include "kvorum/v1/offline.pb.h"

namespace kvorum {

// Everything that can be checked of a stopped node's directory, without writing to it: identity and
// checksum of meta.properties, guard slots, checksums of every block of both databases, continuity,
// chain and epochs of the log, guard against database, every chunk, size and digest of each
// snapshot, and that log and snapshots, replayed, give the states the snapshots were made from.
v1::VerifyReport VerifyDirectory(const std::string& data_dir);

struct VerifyOptions {
  std::string data_dir;
  bool json = false;
};

// `kvorumd verify`: kExitOk if it is sound, kExitStorageFailed or kExitBadDirectory if not.
int Verify(const VerifyOptions& options);

}  // namespace kvorum
