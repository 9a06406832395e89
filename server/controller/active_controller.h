#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kvorum/v1/record.pb.h"
#include "server/base/errors.h"
#include "server/base/random.h"
#include "server/base/time.h"
#include "server/controller/applied_wait.h"
#include "server/controller/broker_sessions.h"
#include "server/controller/broker_state.h"
#include "server/controller/commands.h"
#include "server/controller/controller_config.h"
#include "server/controller/held_sessions.h"
#include "server/controller/partition_sweep.h"
#include "server/controller/pending_replies.h"
#include "server/controller/propagation_waits.h"
#include "server/controller/recent_changes.h"
#include "server/controller/request_ages.h"
#include "server/metadata/command.h"
#include "server/metadata/metadata_image.h"
#include "server/metadata/metadata_level.h"
#include "server/metadata/requests/completed_requests.h"

namespace kvorum::controller {

// Where the active controller's records go: raft, through node. Loop thread only.
class LogAppender {
 public:
  virtual ~LogAppender() = default;
  virtual Offset log_end_offset() const = 0;
  // What each voter says it understands. None: nobody is asked.
  virtual std::vector<VoterLevels> voter_levels() const { return {}; }
  // OK if the log has a place of that generation, epoch and offset.
  virtual absl::Status CheckIsOnLog(const v1::Position& /*position*/) const {
    return absl::OkStatus();
  }
  // Appends one batch of `epoch` at the log's end.
  virtual void Append(Now now, Epoch epoch, int32_t record_count,
                      std::shared_ptr<const std::string> payload) = 0;
};

// The leader's second half: turns commands into records on `latest` (everything appended), replies
// when they are committed, and watches the brokers. Exists on every node, acts only between
// Activate and Deactivate. Owned by Node; loop thread only. Deterministic.
class ActiveController {
 public:
  template <typename T>
  using Done = std::function<void(absl::StatusOr<T>)>;
  using ImagePtr = std::shared_ptr<const MetadataImage>;

  ActiveController(ControllerConfig config, uint64_t generation, LogAppender& log, Random random);

  // Leadership of `epoch` is committed and `committed` holds everything before it (Kafka:
  // maybeFireLeaderChange), so planning starts from it.
  void Activate(Now now, Epoch epoch, ImagePtr committed);
  // Leadership is lost: what was appended may or may not be committed (OUTCOME_UNKNOWN).
  void Deactivate();
  // This node is stopping and refuses heartbeats, so that silence proves nothing any more: no
  // broker is fenced for it until the next activation.
  // Waits for brokers, which would hear of no report either, end.
  void StopFencing();
  // A report that is refused while leadership is being handed over is a sign of life all the same:
  // if it stays here after all, the silence of its refusals must fence nobody.
  // REQUIRES: is_active().
  void NoteRefusedReport(Now now, const BrokerReport& report);
  bool is_active() const { return latest_ != nullptr; }
  Epoch epoch() const { return epoch_; }  // of the present or last activation

  // Called with the time from a commit until every broker had applied it: one commit at a time.
  void SetPropagationObserver(std::function<void(Duration)> observer) {
    on_propagated_ = std::move(observer);
  }

  // REQUIRES: is_active() for the first five.
  // A broker keeps this call open: `done` comes when the controller ends it, or after the caller
  // did.
  void HandleHoldSession(Now now, const v1::HoldSessionRequest& request, HoldId hold,
                         Done<v1::HoldSessionResponse> done);
  void HandleCommand(Now now, const Command& command, TimePoint deadline, Done<CommandReply> done);
  void HandleBrokerReport(Now now, const BrokerReport& report, Done<BrokerReportReply> done);
  // The propagation of everything below `position`, which is a place in the log.
  void AwaitApplied(Now now, const v1::Position& position, const AppliedWait& wait,
                    TimePoint deadline, Done<v1::Propagation> done);
  // That call is over, from outside. Unknown ones are passed over.
  void OnHoldEnded(Now now, HoldId hold, HoldEnd how);
  void OnCommitted(Now now, ImagePtr committed);
  void HandleTimer(Now now);
  TimePoint NextDeadline() const;

  // Soft state for queries; null on standbys, which do not have it.
  const BrokerLiveness* liveness() const { return is_active() ? &sessions_ : nullptr; }
  const ImagePtr& latest() const { return latest_; }  // null on standbys
  size_t pending_replies() const { return pending_.size(); }

 private:
  // A decided mutation: its reply, and the end of the log that holds it.
  template <typename Response>
  struct Planned {
    Response response;
    OffsetAndEpoch end;
  };

  // What is in the plan already and not yet in the log: within one call only.
  struct OpenBatch {
    std::string payload;
    size_t count = 0;
  };

  template <typename Request>
  void Execute(Now now, const Request& request, TimePoint deadline, Done<CommandReply> done);
  // The reply of the first attempt if there was one (api: request_id).
  template <typename Response, typename Request>
  absl::StatusOr<Planned<Response>> ExecuteOnce(Now now, const Uuid& id, const Request& request);
  template <typename Response, typename Request>
  absl::StatusOr<Planned<Response>> ExecuteNow(Now now, const Request& request,
                                               std::optional<RequestIdentity> identity);
  // The request's own part of ExecuteNow: decided facts, options obeyed, nothing appended.
  template <typename Response, typename Request>
  absl::StatusOr<CommandResult<Response>> Plan(Now now, const Request& request);
  // Adds to `records` what a retry will find.
  absl::Status Remember(Now now, const RequestIdentity& identity, std::string reply,
                        std::vector<v1::MetadataRecord>& records);
  // What keeps the committed end moving: forgets old requests if there are any.
  v1::MetadataRecord IdleRecord(Now now);
  std::optional<v1::MetadataRecord> ForgetRequests(Now now, size_t added);
  absl::StatusOr<v1::HeartbeatResponse> Heartbeat(Now now, const v1::HeartbeatRequest& request);
  absl::StatusOr<v1::AcknowledgeMetadataResponse> Acknowledge(
      const v1::AcknowledgeMetadataRequest& request);
  absl::Status CheckSender(int32_t broker_id, int64_t broker_epoch, int64_t applied_offset) const;
  void ForgetReplacedSession(BrokerId broker);
  absl::StatusOr<std::vector<Uuid>> CheckOfflineLogDirs(const v1::HeartbeatRequest& request) const;
  // What `request` asks of a broker in `state`, and what is true as it comes.
  HeartbeatFacts GatherFacts(const v1::HeartbeatRequest& request, BrokerState state);
  // True if every active broker but `leaving` has applied what moved its leaderships.
  bool AreMovesApplied(BrokerId leaving);
  void EnterState(Now now, BrokerId broker, BrokerState from, BrokerState to);
  void SetFenced(Now now, BrokerId broker, bool fenced);
  void Fence(Now now, BrokerId broker);
  void CheckSessions(Now now);
  void FenceStaleBroker(Now now);
  void AppendIfAny(Now now, std::vector<v1::MetadataRecord> records);
  // Cuts what does not fit one batch, unless it must be atomic.
  void AppendRecords(Now now, std::vector<v1::MetadataRecord> records, bool is_atomic);
  void AppendBatch(Now now, std::vector<v1::MetadataRecord> records);
  // The same in two steps: records that fit one batch go into the plan and into `batch`, which is
  // appended before if it has no room; what was put into it is appended, if it is anything.
  void Extend(Now now, std::vector<v1::MetadataRecord> records, OpenBatch& batch);
  void Append(Now now, OpenBatch batch);
  void MaybeBootstrap(Now now);
  CommandContext MakeContext(Now now);
  absl::Status CheckRoom(const AppliedWait& wait) const;
  // `reply` fires once everything appended so far is committed; at once if it is already.
  void ReplyWhenStable(TimePoint deadline, PendingReplies::Reply reply);
  // The same, and then once the brokers have applied everything below `position`.
  void ReplyWhenApplied(const v1::Position& position, const AppliedWait& wait, TimePoint deadline,
                        Done<v1::Propagation> reply);
  void BeginWait(const v1::Position& position, const AppliedWait& wait, TimePoint deadline,
                 PropagationWaits::Done done);
  PropagationWaits::View MakeView() const {
    return {committed_->brokers(), latest_->brokers(), sessions_, unfencing_};
  }
  void MeasurePropagation();
  v1::Position ToPosition(OffsetAndEpoch at) const;
  absl::Status OutcomeUnknown(ErrorReason reason, Offset end_offset) const;

  ControllerConfig config_;
  uint64_t generation_;
  LogAppender& log_;
  Random random_;

  Epoch epoch_;
  ImagePtr latest_;       // the plan: null while not active
  ImagePtr committed_;    // null while not active
  Offset committed_end_;  // applied on this node
  BrokerSessions sessions_;
  HeldSessions held_sessions_;
  RecentChanges changes_;
  RequestAges request_ages_;
  PartitionSweep balancing_;
  PartitionSweep unclean_elections_;
  PendingReplies pending_;
  PropagationWaits waits_;
  bool is_stopping_ = false;
  std::function<void(Duration)> on_propagated_;
  bool is_measuring_ = false;
  // What the image was planned to be at the end of each batch: compared when it gets committed.
  std::deque<std::pair<Offset, uint64_t>> planned_hashes_;
  // Unfencings that are planned and not committed: where the last one's record ends.
  std::map<BrokerId, Offset> unfencing_;
  TimePoint next_fence_check_ = kNever;
  TimePoint next_no_op_ = kNever;
};

}  // namespace kvorum::controller
