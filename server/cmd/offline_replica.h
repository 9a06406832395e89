#pragma once

#include <google/protobuf/message.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kvorum/v1/offline.pb.h"
#include "server/raft/voter_set.h"
#include "storage/meta_properties.h"
#include "storage/rocksdb/rocksdb_storage.h"

namespace kvorum {

// The data directory of a stopped node, or a copy of one, after the same checks as a start, and
// without writing anything to it. Owned by a command; one thread.
class OfflineReplica {
 public:
  // Errors as of a start; FailedPrecondition too if a process runs on it.
  static absl::StatusOr<OfflineReplica> Open(const std::string& data_dir);

  const std::string& data_dir() const { return data_dir_; }
  const MetaProperties& properties() const { return properties_; }
  const RecoveredState& state() const { return state_; }
  RocksDbStorage& storage() const { return *storage_; }

  // The voter set at the log's end, committed or not.
  raft::VoterSet Voters() const;
  // Everything below was committed for certain: a snapshot is never made of anything else.
  Offset CommittedAtLeast() const;
  v1::DirectoryState Describe() const;

  // In order; ends with the first error.
  using BatchVisitor = std::function<absl::Status(const RecordBatch& batch)>;
  absl::Status ForEachBatch(const BatchVisitor& visit) const;
  using ChunkVisitor = std::function<absl::Status(int64_t index, const std::string& chunk)>;
  absl::Status ForEachChunk(const SnapshotManifest& snapshot, const ChunkVisitor& visit) const;

 private:
  std::string data_dir_;
  MetaProperties properties_;
  std::unique_ptr<RocksDbStorage> storage_;
  RecoveredState state_;
};

RocksDbStorageOptions StorageOptionsFor(const std::string& data_dir,
                                        const MetaProperties& properties);
// The newest voter set in the log, or else in the snapshot at its start; nullopt: in neither yet.
std::optional<raft::VoterSet> VotersInLog(const RecoveredState& state);
// The voter set of a directory whose storage was recovered as `state`.
raft::VoterSet VotersOf(const MetaProperties& properties, const RecoveredState& state);

v1::SnapshotState DescribeSnapshot(const SnapshotManifest& snapshot);
std::string HexText(uint64_t value);  // 16 digits

// One line of protobuf JSON on stdout, with the field names of the .proto files.
void PrintJsonLine(const google::protobuf::Message& message);

// Prints `status` on stderr and returns the exit code for it; kExitOk for OK.
int ExitCodeOf(const absl::Status& status);

}  // namespace kvorum
