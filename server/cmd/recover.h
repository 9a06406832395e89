#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kvorum/v1/offline.pb.h"
#include "storage/meta_properties.h"

namespace kvorum {

// A majority of the voters is gone for good. What survives is looked at, and one directory, the
// best, becomes a cluster of one voter in a new generation. All of it offline.

// Compares the directories of stopped nodes, or copies, and says what is best and what may be lost.
// Writes nothing.
v1::RecoveryReport InspectDirectories(const std::vector<std::string>& data_dirs);

struct RecoverInspectOptions {
  std::vector<std::string> data_dirs;
  bool json = false;
};

// `kvorumd recover inspect`. kExitOk if at least one directory can be recovered from.
int RecoverInspect(const RecoverInspectOptions& options);

struct RecoverApplyOptions {
  std::string data_dir;
  bool yes_lose_data = false;      // refused without
  bool accept_quarantine = false;  // also if this directory is known to have lost something itself
};

// Makes `data_dir` the only voter of its cluster, in a new generation and a higher epoch; log and
// snapshots stay. Replicas of the old generation and positions of it are refused from then on.
// May be interrupted at any point and repeated; until it has ended the node does not start.
absl::StatusOr<MetaProperties> ApplyRecovery(const RecoverApplyOptions& options);

// `kvorumd recover apply`.
int RecoverApply(const RecoverApplyOptions& options);

}  // namespace kvorum
