#pragma once

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "server/raft/voter_set.h"
#include "storage/memory/memory_disk.h"
#include "storage/types/record_batch.h"
#include "storage/types/recovered_state.h"

namespace kvorum::sim {

// The log one process believes it has: what was on the disk at its start and every write it has
// submitted since, durable or not. Filled from the storage port, so it does not depend on what raft
// thinks of its own log. Owned by the process; one thread.
class LogMirror {
 public:
  // Of what is on `disk`. `bootstrap`: the voters while neither log nor snapshot names any.
  LogMirror(const MemoryDisk& disk, raft::VoterSet bootstrap);

  // What lies below a log_start stays known: the process has had it.
  void Install(const SnapshotManifest& snapshot);
  void TruncateTo(Offset end_offset);
  void Append(const RecordBatch& batch);

  const BatchEnd& start() const { return start_; }
  const BatchEnd& end() const { return batches_.empty() ? start_ : ends_.back(); }
  // The batch boundary at `offset`; nullopt if no batch ends there.
  std::optional<BatchEnd> EndAt(Offset offset) const;
  const std::vector<RecordBatch>& batches() const { return batches_; }
  // The newest voter set in the log, committed or not; and those in it, by where each was appended.
  const raft::VoterSet& voters() const { return sets_.back().second; }
  const std::vector<std::pair<Offset, raft::VoterSet>>& voter_sets() const { return sets_; }
  // Index of the first batch that ends above `offset`.
  size_t FirstAbove(Offset offset) const;

 private:
  BatchEnd start_;
  std::vector<RecordBatch> batches_;
  std::vector<BatchEnd> ends_;
  raft::VoterSet bootstrap_;
  std::vector<std::pair<Offset, raft::VoterSet>> sets_;  // the first holds at the start
};

// The same question asked of a disk.
std::optional<BatchEnd> EndAt(const MemoryDisk& disk, Offset offset);

}  // namespace kvorum::sim
