#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kvorum/v1/raft.pb.h"
#include "server/base/time.h"
#include "server/metadata/metadata_image.h"
#include "server/publish/committed_update.h"
#include "server/publish/update_publisher.h"
#include "server/raft/effects.h"

namespace kvorum {

// What Node needs from its surroundings. Production implements these with threads and gRPC, the
// simulator with a virtual clock and a fake network. All are called on the loop and must not call
// back into the node inside the call.

// Carries requests to other controllers. Each ends in exactly one Node::HandleRaftResponse or
// Node::HandleSendFailure, unless a newer request to the same peer replaced it.
class PeerTransport {
 public:
  virtual ~PeerTransport() = default;
  virtual void Send(raft::SendRequest request) = 0;

  // Asks `leader` for a read barrier, beside what raft has in flight. `done` comes once, on any
  // thread, never inside the call. False: this transport carries none, and `done` is dropped.
  using BarrierDone = std::function<void(absl::StatusOr<v1::ReadBarrierResponse>)>;
  virtual bool SendReadBarrier(const raft::Voter&, v1::ReadBarrierRequest, BarrierDone) {
    return false;
  }
};

// The thread (or the virtual processor) a node lives on.
class NodeHost {
 public:
  virtual ~NodeHost() = default;

  // Runs `task` later on the node's loop, before client work. Any thread.
  virtual void Post(std::function<void(Now)> task) = 0;

  // A write or a read of the log failed: the node does nothing any more. Production exits with
  // kExitStorageFailed.
  virtual void OnStorageFailure(const absl::Status& status) = 0;
};

// Where committed metadata goes: the publish loop's inbox. In order, nothing left out.
class CommitFeed {
 public:
  virtual ~CommitFeed() = default;
  virtual void OnCommit(publish::CommittedUpdate update) = 0;
  virtual void OnImage(std::shared_ptr<const MetadataImage> image) = 0;
  virtual void OnLeader(publish::LeaderView leader) = 0;
};

// Sees what happens: logs, counters, health, checkers.
class NodeObserver {
 public:
  virtual ~NodeObserver() = default;
  virtual void OnRaftTrace(const raft::RaftTrace& trace) = 0;
  virtual void OnLeadership(const raft::LeadershipChange& change) = 0;
  // This node began (active) or ceased to be the active controller of `epoch`.
  virtual void OnActiveController(Epoch epoch, bool active) = 0;
  // This node began or ceased to be of use to clients: it has caught up once, and leads or hears
  // its leader.
  virtual void OnReadiness(bool is_ready) = 0;
  // A frozen snapshot can't be read any more. The node goes on, and puts a new one in its place.
  virtual void OnSnapshotDamaged(const SnapshotId&, const absl::Status&) {}
  // Every broker that serves has applied a commit of this active controller, so long after it. A
  // sample: one commit is followed at a time.
  virtual void OnPropagated(Duration) {}
};

}  // namespace kvorum
