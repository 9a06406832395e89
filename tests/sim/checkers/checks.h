#pragma once

#include "server/publish/committed_update.h"
#include "server/publish/update_publisher.h"
#include "server/raft/effects.h"
#include "storage/types/storage_write.h"
#include "tests/sim/checkers/bounds_checker.h"
#include "tests/sim/checkers/commit_checker.h"
#include "tests/sim/checkers/election_checker.h"
#include "tests/sim/checkers/fence_checker.h"
#include "tests/sim/checkers/identity_checker.h"
#include "tests/sim/checkers/image_checker.h"
#include "tests/sim/checkers/log_checker.h"
#include "tests/sim/checkers/membership_checker.h"
#include "tests/sim/checkers/quarantine_checker.h"
#include "tests/sim/checkers/quorum_checker.h"
#include "tests/sim/checkers/snapshot_checker.h"
#include "tests/sim/world.h"

namespace kvorum::sim {

// Hands everything that happens to the checkers it concerns. A checker holds ghost state and fails
// by KVORUM_CHECK with "invariant <number> <name>". Owned by the simulation.
//
// What a client or a broker is told is checked by ClientChecker and StreamChecker, which the
// workload and the brokers use themselves.
class Checks {
 public:
  explicit Checks(World& world)
      : world_(world),
        election_(world),
        log_(world),
        commit_(world),
        image_(world),
        fence_(world),
        bounds_(world),
        quorum_(world),
        snapshots_(world),
        quarantine_(world),
        membership_(world) {}

  void OnStart(const SimController& machine, const ProcessId& id);
  void OnCrash(const SimController& machine);
  // Another replica runs on machine `node` from now on.
  void OnDiskReplaced(NodeId node);

  void OnSubmit(const SimProcess& process, const StorageWrite& write);
  void OnDurable(const SimController& machine);
  void OnRequestSent(const SimProcess& process, const raft::SendRequest& request);
  void OnResponseSent(const SimProcess& process, const raft::RaftRequest& request,
                      const raft::RaftResponse& response);
  // Before the node handles it.
  void OnRequestHandled(const SimProcess& process, const raft::RaftRequest& request);
  void OnTrace(const SimProcess& process, const raft::RaftTrace& trace);
  void OnLeadership(const SimProcess& process, const raft::LeadershipChange& change);
  void OnActiveController(const SimProcess& process, Epoch epoch, bool active);
  void OnCommitFed(const SimProcess& process, const publish::CommittedUpdate& update);
  void OnImageFed(const SimProcess& process, const MetadataImage& image);
  // It is a snapshot's, not that of the commits so far.
  void OnImageLoaded(const SimProcess& process, const MetadataImage& image);
  void OnSnapshotBegun(const SimProcess& process, const SnapshotManifest& manifest);
  // In the middle of a turn, before a reply is judged: what `process` holds to be committed now.
  void SyncCommits(const SimProcess& process) { commit_.Sync(process); }
  void OnTurn(const SimProcess& process);
  void OnPublisherTurn(const publish::UpdatePublisher& publisher);

  void BeforeForeignMessage(const SimProcess& process);
  void AfterForeignMessage(const SimProcess& process, const raft::RaftRequest& request);

  // A broker was heard of by the process that is the active controller.
  void OnBrokerContact(const SimProcess& process, int32_t broker, bool wants_fence);
  void OnHoldEnded(const SimProcess& process, int32_t broker);

  void OnQuorumChangeAnswered(const SimProcess& process, const absl::StatusOr<QuorumReply>& reply);

  // Everything below it was removed from the log of `node`, at some time.
  Offset HighestLogStart(NodeId node) const { return snapshots_.highest_start(node); }

  // Everything that can be checked at any time, at full length.
  void Sweep();

 private:
  World& world_;
  ElectionChecker election_;
  LogChecker log_;
  CommitChecker commit_;
  ImageChecker image_;
  IdentityChecker identity_;
  FenceChecker fence_;
  BoundsChecker bounds_;
  QuorumChecker quorum_;
  SnapshotChecker snapshots_;
  QuarantineChecker quarantine_;
  MembershipChecker membership_;
};

}  // namespace kvorum::sim
