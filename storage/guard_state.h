#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "storage/types/recovered_state.h"

namespace kvorum {

inline constexpr size_t kMaxQuarantineReasonBytes = 1024;

// What a replica has promised, kept apart from the database that holds it: no setting of RocksDB
// notices that the newest write-ahead log was lost as a whole, or that the directory was put back
// to an earlier state. Always written after what it speaks of is durable, and lowered before that
// is removed, so that a database behind it has lost something.
struct GuardState {
  std::string cluster_id;
  ReplicaKey replica;
  Epoch epoch;
  std::optional<ReplicaKey> voted_key;
  Offset log_end;           // the log reaches at least to here; a batch boundary, or 0
  uint64_t chain_hash = 0;  // of the log below it
  std::optional<SnapshotId> latest_snapshot;
  std::optional<Quarantine> quarantine;

  friend bool operator==(const GuardState& a, const GuardState& b);
};

// The guard of a directory that holds nothing yet.
GuardState NewGuard(const std::string& cluster_id, const ReplicaKey& replica);

// The body of a slot, without its sequence and checksum.
std::string EncodeGuard(const GuardState& guard);
absl::StatusOr<GuardState> DecodeGuard(std::string_view bytes);

// True if (epoch, vote) of `state` is not what the guard has.
bool ChangesVote(const GuardState& guard, const QuorumState& state);
void SetVote(const QuorumState& state, GuardState& guard);
void SetLogEnd(const BatchEnd& end, GuardState& guard);

// Compares what was recovered with what was promised. Sets `recovered.quorum_state` to the newer
// vote of both, and `recovered.quarantine` if the guard says so or something is missing; the guard
// then remembers the quarantine instead of what is missing. All storages do it by this.
void Reconcile(RecoveredState& recovered, GuardState& guard);

}  // namespace kvorum
