#pragma once

#include <cstdint>
#include <optional>

#include "server/base/ids.h"
#include "server/base/time.h"
#include "storage/types/snapshot_manifest.h"

namespace kvorum::raft {

// A snapshot that a replica copies from this leader. It stays, with the log from its end on, while
// the copy goes on; otherwise a copy slower than the leader makes snapshots would begin anew for
// ever.
struct SnapshotLease {
  SnapshotId id;
  int64_t position = 0;  // newest chunk asked for
  TimePoint until;
};

// What the leader knows of one replica. Owned by Leader; loop thread only.
class ReplicaProgress {
 public:
  // A fetch in this leader's epoch arrived: the replica follows it and has seen `round`.
  void OnContact(TimePoint now, uint64_t round);

  // That fetch was valid: everything below `fetch_offset` is on the replica's disk.
  void OnFetch(TimePoint now, Offset fetch_offset, Offset leader_end);

  // Chunk `position` of a snapshot was asked for. Only one further than before makes the lease
  // longer, so that it ends whatever the replica does.
  void OnSnapshotFetch(const SnapshotId& id, int64_t position, TimePoint until);

  const std::optional<SnapshotLease>& snapshot_lease() const { return snapshot_lease_; }
  std::optional<Offset> log_end_offset() const { return log_end_offset_; }
  std::optional<TimePoint> last_contact() const { return last_contact_; }
  bool WasHeardSince(TimePoint when) const { return last_contact_ >= when; }
  std::optional<TimePoint> last_fetch() const { return last_fetch_; }
  // Last time the replica held all that the leader held (Kafka's lastCaughtUpTimestamp).
  std::optional<TimePoint> last_caught_up() const { return last_caught_up_; }
  uint64_t round() const { return round_; }

 private:
  std::optional<Offset> log_end_offset_;
  std::optional<TimePoint> last_contact_;
  std::optional<TimePoint> last_fetch_;
  std::optional<TimePoint> last_caught_up_;
  Offset leader_end_at_last_fetch_;
  std::optional<SnapshotLease> snapshot_lease_;
  uint64_t round_ = 0;
};

}  // namespace kvorum::raft
