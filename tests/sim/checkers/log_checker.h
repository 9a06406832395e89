#pragma once

#include <cstdint>
#include <map>
#include <utility>

#include "server/raft/effects.h"
#include "storage/types/storage_write.h"
#include "tests/sim/world.h"

namespace kvorum::sim {

// What the logs may hold: invariants 6 LogMatching, 7 Contiguity, 8 LeaderAppendOnly,
// 15 NoTruncateCommitted, and that a fetch at N acknowledges only what is on the disk. Owned by
// Checks.
class LogChecker {
 public:
  explicit LogChecker(World& world) : world_(world) {}

  void OnSubmit(const SimProcess& process, const StorageWrite& write);
  void OnDurable(const SimController& machine);
  void OnRequestSent(const SimProcess& process, const raft::SendRequest& request);
  void OnResponseSent(const SimProcess& process, const raft::RaftResponse& response);
  void OnTrace(const SimProcess& process, const raft::RaftTrace& trace);
  // Chains of every disk against the table.
  void Sweep();

 private:
  void CheckTruncation(const SimProcess& process, Offset to) const;
  void CheckAppend(const SimProcess& process, const StorageWrite& write) const;
  void NoteChain(NodeId node, const RecordBatch& batch);

  World& world_;
  // Write-once: the chain hash of the log that ends at (offset, epoch), on whatever node.
  std::map<std::pair<Offset, Epoch>, uint64_t> chains_;
};

}  // namespace kvorum::sim
