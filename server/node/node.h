#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kvorum/v1/common.pb.h"
#include "kvorum/v1/maintenance.pb.h"
#include "kvorum/v1/metadata.pb.h"
#include "kvorum/v1/quorum.pb.h"
#include "kvorum/v1/raft.pb.h"
#include "server/base/random.h"
#include "server/base/time.h"
#include "server/controller/active_controller.h"
#include "server/controller/commands.h"
#include "server/node/commit_applier.h"
#include "server/node/effect_executor.h"
#include "server/node/pinned_pages.h"
#include "server/node/ports.h"
#include "server/node/quorum_changes.h"
#include "server/node/recent_batches.h"
#include "server/node/snapshots.h"
#include "server/publish/committed_log.h"
#include "server/raft/raft_core.h"
#include "storage/storage.h"

namespace kvorum {

struct NodeConfig {
  raft::RaftConfig raft;        // encoders are filled in by Node
  std::string client_endpoint;  // this node's client listener, host:port, for leader hints
  controller::ControllerConfig controller;
  SnapshotConfig snapshots;
  PinnedPagesLimits pinned_pages;
  size_t recent_batches_max_bytes = 32 << 20;
  size_t apply_max_bytes = 4 << 20;             // of batches applied in one go
  size_t max_inflight_append_bytes = 32 << 20;  // not yet durable: above it no client writes
  Duration drain_timeout = std::chrono::milliseconds(1000);  // at shutdown, for pending replies
};

// START HERE. One controller: raft core, active controller, images, composed; events in, effects
// out. Deterministic and single-threaded: production drives it from an EventLoop, the simulator
// from a virtual clock. Owned by runtime/node_runner (or the simulator); loop thread only.
//
// A turn: any number of Handle* calls, then one Execute. Replies (`done`) fire inside Execute or
// later, exactly once each, also at shutdown.
class Node {
 public:
  template <typename T>
  using Done = std::function<void(absl::StatusOr<T>)>;

  // Everything is borrowed and outlives the node.
  struct Ports {
    Storage& storage;
    PeerTransport& transport;
    NodeHost& host;
    CommitFeed& feed;
    NodeObserver& observer;
  };

  Node(NodeConfig config, Ports ports, const RecoveredState& recovered, Random random, Now now);
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // --- from other controllers ---
  void HandleRaftRequest(Now now, raft::RaftRequest request,
                         std::function<void(raft::RaftResponse)> done);
  void HandleRaftResponse(Now now, NodeId from, raft::CorrelationId id,
                          raft::RaftResponse response);
  void HandleSendFailure(Now now, NodeId to, raft::CorrelationId id, raft::SendFailure failure);
  // Asked by a follower that has a linearizable read to answer.
  void HandleReadBarrier(Now now, const v1::ReadBarrierRequest& request,
                         Done<v1::ReadBarrierResponse> done);

  // --- from brokers and clients ---
  // `deadline` is when the caller stops waiting; kNever: the default of the controller's config.
  void HandleCommand(Now now, controller::Command command, TimePoint deadline,
                     Done<controller::CommandReply> done);
  // As a command's wait would, for a position.
  void HandleAwaitApplied(Now now, const v1::AwaitAppliedRequest& request, TimePoint deadline,
                          Done<v1::AwaitAppliedResponse> done);
  // On any node; see v1::ReadOptions. At `deadline` at the latest there is an answer.
  void HandleQuery(Now now, controller::Query query, Done<controller::QueryReply> done,
                   TimePoint deadline = kNever);
  void HandleBrokerReport(Now now, controller::BrokerReport report,
                          Done<controller::BrokerReportReply> done);
  // Stays open: see v1::BrokerService.HoldSession. `hold` names it, for HandleHoldEnded.
  void HandleHoldSession(Now now, const v1::HoldSessionRequest& request, controller::HoldId hold,
                         Done<v1::HoldSessionResponse> done);
  void HandleHoldEnded(Now now, controller::HoldId hold, controller::HoldEnd how);
  void HandleDescribeQuorum(Now now, const v1::DescribeQuorumRequest& request,
                            Done<v1::DescribeQuorumResponse> done);

  void HandleDescribeCluster(Now now, const v1::DescribeClusterRequest& request,
                             Done<v1::DescribeClusterResponse> done);

  // The voter set and who leads. `deadline` as of HandleCommand.
  void HandleQuorumChange(Now now, const QuorumCommand& command, TimePoint deadline,
                          Done<QuorumReply> done);

  // A snapshot of what this node has applied, now. Any node.
  void HandleTriggerSnapshot(Now now, const v1::TriggerSnapshotRequest& request,
                             Done<v1::TriggerSnapshotResponse> done);

  // --- from the publish loop (see publish/committed_log.h) ---
  void HandleReadCommitted(Now now, OffsetAndEpoch from, size_t max_bytes,
                           publish::CommittedLog::ReadDone done);
  void HandleConfirmCommittedEnd(Now now, publish::CommittedLog::EndDone done);

  // --- from time and the operator ---
  void HandleTimer(Now now);
  TimePoint NextDeadline() const;
  // Refuses new work, lets pending replies finish, hands leadership over. Then is_shut_down().
  void BeginShutdown(Now now);
  bool is_shut_down() const;

  // Carries out everything the events since the last call made necessary.
  void Execute(Now now);

  // Client writes wait in their lane while this is false (too much is not yet durable).
  bool accepts_commands() const;

  const raft::RaftCore& core() const { return core_; }
  const controller::ActiveController& active_controller() const { return controller_; }
  const std::shared_ptr<const MetadataImage>& committed_image() const { return applier_.image(); }
  v1::ResponseHeader MakeHeader() const;

 private:
  // The controller's way into the log, and the executor's way back into the node.
  class Appender;
  class Target;
  // The snapshots' way back into the node.
  class SnapshotTarget;

  struct WaitingQuery {
    controller::Query query;
    Done<controller::QueryReply> done;
    TimePoint deadline;
  };
  using ReadWaiter = std::function<void(Now, absl::StatusOr<Offset>)>;

  void Step(Now now, raft::Event event);
  static absl::Status ShuttingDown();
  absl::Status CheckCluster(const std::string& cluster_id) const;
  // The active controller, and raft still leads its epoch and gives it to nobody.
  bool IsActiveLeader() const;
  // OK only on the active controller of that cluster (empty: not checked).
  absl::Status CheckCanLead(const std::string& cluster_id) const;
  absl::Status NotLeader() const;
  absl::Status CheckIsPosition(const v1::Position& position) const;
  absl::Status CheckIsOnLog(const v1::Position& position) const;
  // Of voters, and of observers, whose key `peer` names if it was told.
  void LearnEndpoint(NodeId peer, const std::optional<ReplicaKey>& key,
                     const std::string& endpoint);
  template <typename Header>
  void LearnLevels(NodeId peer, const Header& header);

  // Asks raft to confirm the leadership; `waiter` gets the offset a read must reflect.
  void ConfirmLeadership(Now now, ReadWaiter waiter);
  void OnReadConfirmed(Now now, const raft::ReadConfirmed& read);
  void OnQuorumChangeDone(const raft::QuorumChangeDone& change);
  absl::Status CheckQuery(const controller::Query& query) const;
  absl::Status CheckIsReached(const v1::Position& position) const;  // when that much is applied
  // Answers once everything below `offset`, and what the query itself asks for, is applied.
  void AnswerAt(Now now, Offset offset, WaitingQuery waiting);
  void AnswerQuery(Now now, const controller::Query& query,
                   const Done<controller::QueryReply>& done);
  template <typename Request>
  absl::StatusOr<controller::QueryReply> AnswerFromImage(Now now, const Request& request);
  void AnswerWaitingQueries(Now now);
  void ExpireQueries(Now now);
  // A follower asks the leader for a barrier: one at a time, each for all reads that came before.
  void ReadBehindBarrier(Now now, WaitingQuery waiting);
  void MaybeSendBarrier(Now now);
  void OnBarrier(Now now, const absl::StatusOr<v1::ReadBarrierResponse>& response);
  void FailWaitingQueries(const absl::Status& status);

  // Only while effects are carried out; from elsewhere set is_apply_due_.
  void ApplyCommitted(Now now);
  void OnCommittedRead(Now now, const absl::StatusOr<std::vector<RecordBatch>>& batches);
  void Apply(Now now, const std::vector<RecordBatch>& batches);
  void MaybeMakeSnapshot(Now now);
  void OnApplied(Now now);
  void OnLeadership(Now now, const raft::LeadershipChange& change);
  void MaybeActivate(Now now);
  void MaybeFinishDraining(Now now);
  void PublishLeader();

  NodeConfig config_;
  Ports ports_;
  raft::RaftCore core_;
  RecentBatches recent_;
  CommitApplier applier_;
  std::unique_ptr<Appender> appender_;
  controller::ActiveController controller_;
  std::unique_ptr<Target> target_;
  EffectExecutor executor_;
  std::unique_ptr<SnapshotTarget> snapshot_target_;
  Snapshots snapshots_;

  std::map<NodeId, std::string> client_endpoints_;  // as the peers say in their headers
  std::map<NodeId, LevelRange> metadata_levels_;    // the same
  bool is_apply_due_ = false;                       // at the end of the turn
  bool is_apply_read_outstanding_ = false;
  std::optional<raft::LeadershipChange> won_;  // led, but not yet committed: activation waits
  raft::ReadToken last_read_{0};
  std::map<raft::ReadToken, ReadWaiter> confirming_;
  QuorumChanges quorum_changes_;
  PinnedPages pages_;
  std::multimap<Offset, WaitingQuery> waiting_queries_;  // by the offset they must reflect
  TimePoint next_query_deadline_ = kNever;               // of those; no later than the first
  std::vector<WaitingQuery> before_barrier_;             // wait for the next barrier
  std::vector<WaitingQuery> behind_barrier_;             // wait for the one in flight
  bool is_barrier_in_flight_ = false;
  publish::LeaderView published_leader_;
  bool has_caught_up_ = false;  // once, with what was known to be committed
  bool is_ready_ = false;       // as last told to the observer
  bool is_draining_ = false;
  bool is_raft_stopping_ = false;
  TimePoint drain_deadline_ = kNever;
};

}  // namespace kvorum
