#include "server/raft/replica_progress.h"

#include <algorithm>

namespace kvorum::raft {

void ReplicaProgress::OnContact(TimePoint now, uint64_t round) {
  last_contact_ = now;
  round_ = std::max(round_, round);
}

void ReplicaProgress::OnFetch(TimePoint now, Offset fetch_offset, Offset leader_end) {
  if (fetch_offset >= leader_end) {
    last_caught_up_ = now;
  } else if (last_fetch_.has_value() && fetch_offset >= leader_end_at_last_fetch_) {
    last_caught_up_ = std::max(last_caught_up_.value_or(*last_fetch_), *last_fetch_);
  }
  log_end_offset_ = fetch_offset;
  last_fetch_ = now;
  leader_end_at_last_fetch_ = leader_end;
}

void ReplicaProgress::OnSnapshotFetch(const SnapshotId& id, int64_t position, TimePoint until) {
  if (!snapshot_lease_.has_value() || snapshot_lease_->id != id ||
      position > snapshot_lease_->position) {
    snapshot_lease_ = SnapshotLease{.id = id, .position = position, .until = until};
  }
}

}  // namespace kvorum::raft
