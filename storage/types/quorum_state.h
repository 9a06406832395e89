#pragma once

#include <optional>

#include "server/base/ids.h"

namespace kvorum {

// What a replica must not forget across a restart (KIP-595 "Quorum State"): one row, written and
// synced before any message or role that depends on it.
struct QuorumState {
  Epoch epoch;                          // never decreases
  std::optional<ReplicaKey> voted_key;  // at most one per epoch
  std::optional<NodeId> leader_id;      // of `epoch`, once known

  friend bool operator==(const QuorumState&, const QuorumState&) = default;
};

}  // namespace kvorum
