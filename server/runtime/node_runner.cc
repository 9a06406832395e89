#include "server/runtime/node_runner.h"

#include <cstdlib>
#include <utility>

#include "server/base/check.h"
#include "server/base/errors.h"
#include "server/base/log.h"
#include "server/base/random.h"
#include "server/runtime/clock.h"

namespace kvorum {
namespace {

absl::Status RefusedError(PostResult result) {
  return result == PostResult::kFull
             ? MakeError(ErrorReason::kClassShed,
                         "too many requests wait on this controller; try again later")
             : MakeError(ErrorReason::kShuttingDown, "this controller is shutting down");
}

}  // namespace

NodeRunner::NodeRunner(Mailbox::Limits limits) : loop_("kv-node", limits) {}

NodeRunner::~NodeRunner() { Stop(); }

void NodeRunner::Start(Parts parts) {
  KVORUM_CHECK(node_ == nullptr, "started twice");
  publisher_ = std::make_unique<PublishRunner>(std::move(parts.publisher),
                                               static_cast<publish::CommittedLog&>(*this));
  node_ = std::make_unique<Node>(std::move(parts.node),
                                 Node::Ports{.storage = parts.storage,
                                             .transport = parts.transport,
                                             .host = *this,
                                             .feed = *publisher_,
                                             .observer = parts.observer},
                                 parts.recovered, Random(parts.seed), ReadClock());
  publisher_->Start();
  loop_.Start(*this);
}

// `call` gets (now, done) on node's loop.
template <typename Reply, typename Call>
void NodeRunner::Submit(Lane lane, Node::Done<Reply> done, Call call) {
  // The task holds a copy, so that a refused request can still be answered.
  const PostResult result = loop_.RunOrTryPost(
      lane, [done, call = std::move(call)](Now now) mutable { call(now, done); });
  if (result != PostResult::kAccepted) {
    done(RefusedError(result));
  }
}

void NodeRunner::SubmitCommand(controller::Command command, TimePoint deadline,
                               Node::Done<controller::CommandReply> done) {
  Submit(Lane::kClient, std::move(done),
         [this, command = std::move(command), deadline](Now now, auto& reply) mutable {
           node_->HandleCommand(now, std::move(command), deadline, std::move(reply));
         });
}

void NodeRunner::SubmitAwaitApplied(v1::AwaitAppliedRequest request, TimePoint deadline,
                                    Node::Done<v1::AwaitAppliedResponse> done) {
  Submit(Lane::kClient, std::move(done),
         [this, request = std::move(request), deadline](Now now, auto& reply) {
           node_->HandleAwaitApplied(now, request, deadline, std::move(reply));
         });
}

void NodeRunner::SubmitQuery(controller::Query query, TimePoint deadline,
                             Node::Done<controller::QueryReply> done) {
  Submit(Lane::kClient, std::move(done),
         [this, query = std::move(query), deadline](Now now, auto& reply) mutable {
           node_->HandleQuery(now, std::move(query), std::move(reply), deadline);
         });
}

void NodeRunner::SubmitReadBarrier(v1::ReadBarrierRequest request,
                                   Node::Done<v1::ReadBarrierResponse> done) {
  // One of them stands for many reads.
  Submit(Lane::kUrgent, std::move(done),
         [this, request = std::move(request)](Now now, auto& reply) {
           node_->HandleReadBarrier(now, request, std::move(reply));
         });
}

void NodeRunner::SubmitBrokerReport(controller::BrokerReport report,
                                    Node::Done<controller::BrokerReportReply> done) {
  Submit(Lane::kUrgent, std::move(done),
         [this, report = std::move(report)](Now now, auto& reply) mutable {
           node_->HandleBrokerReport(now, std::move(report), std::move(reply));
         });
}

void NodeRunner::SubmitHoldSession(v1::HoldSessionRequest request, controller::HoldId hold,
                                   Node::Done<v1::HoldSessionResponse> done) {
  Submit(Lane::kUrgent, std::move(done),
         [this, request = std::move(request), hold](Now now, auto& reply) {
           node_->HandleHoldSession(now, request, hold, std::move(reply));
         });
}

void NodeRunner::HoldEnded(controller::HoldId hold, controller::HoldEnd how) {
  loop_.Post([this, hold, how](Now now) { node_->HandleHoldEnded(now, hold, how); });
}

void NodeRunner::SubmitDescribeQuorum(v1::DescribeQuorumRequest request,
                                      Node::Done<v1::DescribeQuorumResponse> done) {
  // Urgent: what the quorum is doing must be visible when it is doing badly.
  Submit(Lane::kUrgent, std::move(done),
         [this, request = std::move(request)](Now now, auto& reply) {
           node_->HandleDescribeQuorum(now, request, std::move(reply));
         });
}

void NodeRunner::SubmitDescribeCluster(v1::DescribeClusterRequest request,
                                       Node::Done<v1::DescribeClusterResponse> done) {
  Submit(Lane::kUrgent, std::move(done),
         [this, request = std::move(request)](Now now, auto& reply) {
           node_->HandleDescribeCluster(now, request, std::move(reply));
         });
}

void NodeRunner::SubmitQuorumChange(QuorumCommand command, TimePoint deadline,
                                    Node::Done<QuorumReply> done) {
  // Urgent: an overloaded leader is one that is to be moved.
  Submit(Lane::kUrgent, std::move(done),
         [this, command = std::move(command), deadline](Now now, auto& reply) mutable {
           node_->HandleQuorumChange(now, command, deadline, std::move(reply));
         });
}

void NodeRunner::SubmitTriggerSnapshot(v1::TriggerSnapshotRequest request,
                                       Node::Done<v1::TriggerSnapshotResponse> done) {
  Submit(Lane::kUrgent, std::move(done),
         [this, request = std::move(request)](Now now, auto& reply) {
           node_->HandleTriggerSnapshot(now, request, std::move(reply));
         });
}

absl::Status NodeRunner::SubmitRaftRequest(raft::RaftRequest request,
                                           std::function<void(raft::RaftResponse)> done) {
  const PostResult result = loop_.RunOrTryPost(
      Lane::kUrgent, [this, request = std::move(request), done = std::move(done)](Now now) mutable {
        node_->HandleRaftRequest(now, std::move(request), std::move(done));
      });
  return result == PostResult::kAccepted ? absl::OkStatus() : RefusedError(result);
}

void NodeRunner::OnRaftResponse(NodeId from, raft::CorrelationId id, raft::RaftResponse response) {
  loop_.RunOrPost([this, from, id, response = std::move(response)](Now now) mutable {
    node_->HandleRaftResponse(now, from, id, std::move(response));
  });
}

void NodeRunner::OnSendFailure(NodeId to, raft::CorrelationId id, raft::SendFailure failure) {
  loop_.Post([this, to, id, failure](Now now) { node_->HandleSendFailure(now, to, id, failure); });
}

bool NodeRunner::Inspect(std::function<void(Now, const Node&)> look) {
  return loop_.TryPost(Lane::kUrgent, [this, look = std::move(look)](Now now) {
    look(now, *node_);
  }) == PostResult::kAccepted;
}

bool NodeRunner::Shutdown(Duration limit) {
  const TimePoint deadline = ReadClock().now + limit;
  loop_.Post([this](Now now) {
    shutting_down_ = true;
    node_->BeginShutdown(now);
  });
  publisher_->BeginShutdown();
  {
    MutexLock lock(mutex_);
    while (!is_shut_down_) {
      if (!shut_down_changed_.WaitUntil(mutex_, ToSteadyTime(deadline)) && !is_shut_down_) {
        return false;
      }
    }
  }
  return publisher_->WaitUntilEmpty(deadline);
}

void NodeRunner::Stop() {
  loop_.Stop();
  if (publisher_ != nullptr) {
    publisher_->Stop();
  }
}

void NodeRunner::Post(std::function<void(Now)> task) { loop_.Post(std::move(task)); }

void NodeRunner::OnStorageFailure(const absl::Status& status) {
  LogError("node",
           "the storage failed and nothing may be built on it any more; see the disk, then "
           "start again: {}",
           status.ToString());
  // No destructors, no retry: after a failed fsync the page cache may claim what the disk lacks.
  std::_Exit(kExitStorageFailed);
}

void NodeRunner::ReadCommitted(OffsetAndEpoch from, size_t max_bytes, ReadDone done) {
  loop_.Post([this, from, max_bytes, done = std::move(done)](Now now) mutable {
    node_->HandleReadCommitted(
        now, from, max_bytes,
        [this, done = std::move(done)](absl::StatusOr<std::vector<publish::CommittedUpdate>> read) {
          publisher_->Post(
              [done, read = std::move(read)](Now, publish::UpdatePublisher&) { done(read); });
        });
  });
}

void NodeRunner::ConfirmCommittedEnd(EndDone done) {
  loop_.Post([this, done = std::move(done)](Now now) mutable {
    node_->HandleConfirmCommittedEnd(now, [this,
                                           done = std::move(done)](absl::StatusOr<Offset> end) {
      publisher_->Post([done, end = std::move(end)](Now, publish::UpdatePublisher&) { done(end); });
    });
  });
}

TimePoint NodeRunner::NextDeadline() const { return node_->NextDeadline(); }

void NodeRunner::OnTimer(Now now) { node_->HandleTimer(now); }

void NodeRunner::OnTurnEnd(Now now) {
  node_->Execute(now);
  publisher_->Flush();
  if (!shutting_down_ || !node_->is_shut_down()) {
    return;
  }
  MutexLock lock(mutex_);
  is_shut_down_ = true;
  shut_down_changed_.NotifyAll();
}

bool NodeRunner::TakesClientTasks() const {
  // A node that shuts down refuses at once, which is better than to let callers wait.
  return shutting_down_ || node_->accepts_commands();
}

}  // namespace kvorum
