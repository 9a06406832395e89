#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "server/base/mutex.h"
#include "server/node/node.h"
#include "server/publish/update_publisher.h"
#include "server/runtime/event_loop.h"
#include "server/runtime/publish_runner.h"
#include "storage/storage.h"

namespace kvorum {

// Where a PeerTransport brings what became of a request. Any thread.
class PeerResponses {
 public:
  virtual ~PeerResponses() = default;
  virtual void OnRaftResponse(NodeId from, raft::CorrelationId id, raft::RaftResponse response) = 0;
  virtual void OnSendFailure(NodeId to, raft::CorrelationId id, raft::SendFailure failure) = 0;
};

// Node on its loop and UpdatePublisher on another, behind functions that any thread may call. Owned
// by the composition root. Life: construct, Start, …, Shutdown, Stop, destroy.
//
// Every `done` is called exactly once: on node's loop, or inside the call when the request is
// refused (queue full, stopped).
class NodeRunner : public PeerResponses,
                   private NodeHost,
                   private publish::CommittedLog,
                   private LoopDriver {
 public:
  struct Parts {
    NodeConfig node;
    publish::PublisherConfig publisher;
    Storage& storage;
    PeerTransport& transport;
    NodeObserver& observer;
    const RecoveredState& recovered;
    uint64_t seed = 0;
  };

  explicit NodeRunner(Mailbox::Limits limits);
  ~NodeRunner() override;
  NodeRunner(const NodeRunner&) = delete;
  NodeRunner& operator=(const NodeRunner&) = delete;

  // Builds the node from `parts` (borrowed: they outlive Stop) and starts both loops.
  void Start(Parts parts);

  // --- from clients, brokers and peers ---
  void SubmitCommand(controller::Command command, TimePoint deadline,
                     Node::Done<controller::CommandReply> done);
  void SubmitAwaitApplied(v1::AwaitAppliedRequest request, TimePoint deadline,
                          Node::Done<v1::AwaitAppliedResponse> done);
  void SubmitQuery(controller::Query query, TimePoint deadline,
                   Node::Done<controller::QueryReply> done);
  void SubmitReadBarrier(v1::ReadBarrierRequest request, Node::Done<v1::ReadBarrierResponse> done);
  void SubmitBrokerReport(controller::BrokerReport report,
                          Node::Done<controller::BrokerReportReply> done);
  // `hold`: unique in this process. `done` comes when the controller ends the call, or some time
  // after HoldEnded.
  void SubmitHoldSession(v1::HoldSessionRequest request, controller::HoldId hold,
                         Node::Done<v1::HoldSessionResponse> done);
  void HoldEnded(controller::HoldId hold, controller::HoldEnd how);
  void SubmitDescribeQuorum(v1::DescribeQuorumRequest request,
                            Node::Done<v1::DescribeQuorumResponse> done);
  void SubmitDescribeCluster(v1::DescribeClusterRequest request,
                             Node::Done<v1::DescribeClusterResponse> done);
  void SubmitQuorumChange(QuorumCommand command, TimePoint deadline, Node::Done<QuorumReply> done);
  void SubmitTriggerSnapshot(v1::TriggerSnapshotRequest request,
                             Node::Done<v1::TriggerSnapshotResponse> done);
  // An error means that `done` will not be called.
  absl::Status SubmitRaftRequest(raft::RaftRequest request,
                                 std::function<void(raft::RaftResponse)> done);
  void OnRaftResponse(NodeId from, raft::CorrelationId id, raft::RaftResponse response) override;
  void OnSendFailure(NodeId to, raft::CorrelationId id, raft::SendFailure failure) override;

  // Shows `look` the node, on its loop. False if it is stopped: `look` is destroyed.
  bool Inspect(std::function<void(Now, const Node&)> look);

  // Subscriptions live there.
  PublishRunner& publisher() { return *publisher_; }

  // Refuses new work, answers what is pending, hands leadership over, sends subscribers elsewhere.
  // Returns when that is done, or false when `limit` is over. The listeners must still be open.
  bool Shutdown(Duration limit) EXCLUDES_LOCK(mutex_);

  // Ends both loops after everything that was accepted has run.
  void Stop();

 private:
  // NodeHost
  void Post(std::function<void(Now)> task) override;
  void OnStorageFailure(const absl::Status& status) override;

  // publish::CommittedLog, on the publish loop
  void ReadCommitted(OffsetAndEpoch from, size_t max_bytes, ReadDone done) override;
  void ConfirmCommittedEnd(EndDone done) override;

  // LoopDriver, on node's loop
  TimePoint NextDeadline() const override;
  void OnTimer(Now now) override;
  void OnTurnEnd(Now now) override EXCLUDES_LOCK(mutex_);
  bool TakesClientTasks() const override;

  template <typename Reply, typename Call>
  void Submit(Lane lane, Node::Done<Reply> done, Call call);

  std::unique_ptr<PublishRunner> publisher_;
  std::unique_ptr<Node> node_;  // node's loop only, once started
  bool shutting_down_ = false;  // node's loop only

  Mutex mutex_;
  CondVar shut_down_changed_;
  bool is_shut_down_ GUARDED_BY(mutex_) = false;

  EventLoop loop_;  // last: its thread uses everything above
};

}  // namespace kvorum
