#pragma once

#include "server/node/ports.h"
#include "server/observability/metrics.h"

namespace kvorum {

// Turns what raft did into log lines and counters: changes of role at INFO, votes at DEBUG, what
// happens per batch at TRACE. Owned by the composition root; node's loop only.
class RaftObserver : public NodeObserver {
 public:
  RaftObserver(NodeId self, Metrics& metrics) : self_(self), metrics_(metrics) {}

  void OnRaftTrace(const raft::RaftTrace& trace) override;
  void OnLeadership(const raft::LeadershipChange& change) override;
  void OnActiveController(Epoch epoch, bool active) override;
  void OnReadiness(bool) override {}
  void OnSnapshotDamaged(const SnapshotId& id, const absl::Status& status) override;
  void OnPropagated(Duration elapsed) override { metrics_.ObservePropagation(elapsed); }

 private:
  const NodeId self_;
  Metrics& metrics_;
};

}  // namespace kvorum
