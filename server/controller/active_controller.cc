#include "server/controller/active_controller.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "server/base/check.h"
#include "server/base/errors.h"
#include "server/base/mutants.h"
#include "server/base/status_macros.h"
#include "server/metadata/brokers/broker_fencing.h"
#include "server/metadata/commands.h"
#include "server/metadata/features/features_commands.h"
#include "server/metadata/image_writer.h"
#include "server/metadata/metadata_delta.h"
#include "server/metadata/record_codec.h"
#include "server/metadata/request_checks.h"
#include "server/metadata/requests/completed_requests.h"

namespace kvorum::controller {
namespace {

// Sessions are checked this many times within one session timeout (Kafka: 8).
constexpr int kFenceChecksPerSession = 8;
constexpr size_t kMaxRejectionBytes = 1024;
// Broker reports may wait in this many times the room of client writes, so that no flood of those
// keeps a broker from hearing what became of it.
constexpr size_t kReportRoomFactor = 2;

}  // namespace

ActiveController::ActiveController(ControllerConfig config, uint64_t generation, LogAppender& log,
                                   Random random)
    : config_(config),
      generation_(generation),
      log_(log),
      random_(random),
      sessions_(config.broker_session_timeout),
      changes_(config.max_recent_changes),
      request_ages_(std::chrono::milliseconds(config.requests.max_age_ms)),
      balancing_(config.leader_balance_interval, config.leader_balance_max_changes,
                 &BalanceLeaders),
      unclean_elections_(config.unclean_election_interval, config.leader_balance_max_changes,
                         &ElectUncleanly) {}

void ActiveController::Activate(Now now, Epoch epoch, ImagePtr committed) {
  KVORUM_CHECK(!is_active(), "epoch {} activated while {} is active", epoch, epoch_);
  KVORUM_CHECK(pending_.empty(), "{} replies are pending at activation", pending_.size());
  epoch_ = epoch;
  committed_end_ = committed->provenance().end_offset;
  committed_ = committed;
  latest_ = std::move(committed);
  is_stopping_ = false;
  planned_hashes_.clear();
  unfencing_.clear();
  changes_.Reset(committed_end_);
  request_ages_.Start(now.now, log_.log_end_offset());
  if (!KVORUM_MUTANT(R28)) {
    sessions_.Clear();
  }
  sessions_.Advance(now.now);
  // Heartbeats went to somebody else so far: everybody who serves gets a full session of grace.
  for (const auto& [id, broker] : latest_->brokers().brokers) {
    const bool is_kept = KVORUM_MUTANT(R28) && sessions_.EpochOf(id) == broker->epoch;
    if (!broker->is_fenced && !is_kept && !KVORUM_MUTANT(R26)) {
      sessions_.Begin(id, broker->epoch);
    }
  }
  next_fence_check_ = now.now + config_.broker_session_timeout / kFenceChecksPerSession;
  next_no_op_ =
      config_.max_idle_interval.count() > 0 ? now.now + config_.max_idle_interval : kNever;
  balancing_.Start(now.now);
  unclean_elections_.Start(now.now);
  MaybeBootstrap(now);
}

void ActiveController::MaybeBootstrap(Now now) {
  // Only where nothing is: a log that says no level is at the first, and writing a newer one
  // unasked would stop the older nodes of a cluster that is being upgraded.
  v1::MetadataRecord first;
  if (config_.bootstrap_metadata_level == 0 ||
      ImageCursor(latest_, Audience::kControllers).Next(first)) {
    return;
  }
  const std::vector<VoterLevels> voters = log_.voter_levels();
  if (std::all_of(voters.begin(), voters.end(), [this](const VoterLevels& voter) {
        return !voter.levels.has_value() ||
               voter.levels->Contains(config_.bootstrap_metadata_level);
      })) {
    AppendBatch(now, BootstrapRecords(config_.bootstrap_metadata_level));
  }
}

void ActiveController::Deactivate() {
  if (!is_active()) {
    return;
  }
  waits_.InterruptAll(MakeView());
  held_sessions_.EndAll(MakeError(ErrorReason::kNotController,
                                  "this controller is not the active one any more; find that"));
  latest_.reset();
  committed_.reset();
  planned_hashes_.clear();
  if (!KVORUM_MUTANT(R28)) {
    sessions_.Clear();
  }
  next_fence_check_ = kNever;
  next_no_op_ = kNever;
  balancing_.Stop();
  unclean_elections_.Stop();
  pending_.FailAll([this](Offset end_offset) {
    return OutcomeUnknown(ErrorReason::kOutcomeUnknown, end_offset);
  });
}

void ActiveController::StopFencing() {
  next_fence_check_ = kNever;
  is_stopping_ = true;
  held_sessions_.EndAll(
      MakeError(ErrorReason::kShuttingDown, "this controller is stopping; use another one"));
  if (is_active()) {
    waits_.InterruptAll(MakeView());
  }
}

CommandContext ActiveController::MakeContext(Now now) {
  return CommandContext{*latest_,    log_.log_end_offset(),
                        now.wall_ms, random_,
                        sessions_,   [this] { return log_.voter_levels(); }};
}

void ActiveController::HandleCommand(Now now, const Command& command, TimePoint deadline,
                                     Done<CommandReply> done) {
  sessions_.Advance(now.now);
  if (pending_.size() >= config_.max_pending_replies) {
    done(MakeError(ErrorReason::kClassShed,
                   fmt::format("{} writes are in flight, the most this controller takes",
                               config_.max_pending_replies)));
    return;
  }
  if (deadline == kNever) {
    deadline = now.now + config_.default_command_timeout;
  }
  if (deadline <= now.now) {
    // Nobody waits for it any more; carrying it out would only add to the overload that held it up.
    absl::Status status = MakeError(ErrorReason::kDeadlineExceeded,
                                    "the deadline passed before the request was looked at");
    SetErrorFact(status, "outcome", OutcomeName(Outcome::kNotExecuted));
    done(std::move(status));
    return;
  }
  std::visit([&](const auto& request) { Execute(now, request, deadline, std::move(done)); },
             command);
}

template <typename Request>
void ActiveController::Execute(Now now, const Request& request, TimePoint deadline,
                               Done<CommandReply> done) {
  if (absl::Status status = CheckWriteOptions(request.options()); !status.ok()) {
    done(std::move(status));  // decided on the request alone
    return;
  }
  const absl::StatusOr<AppliedWait> wait = ParseAppliedWait(request.options());
  if (absl::Status status = wait.ok() ? CheckRoom(*wait) : wait.status(); !status.ok()) {
    done(std::move(status));
    return;
  }
  const absl::StatusOr<std::optional<Uuid>> id = ParseRequestId(request.options());
  if (!id.ok()) {
    done(id.status());
    return;
  }
  using Response = decltype(kvorum::Execute(MakeContext(now), request)->response);
  absl::StatusOr<Planned<Response>> planned =
      id->has_value() && !request.options().validate_only()
          ? ExecuteOnce<Response>(now, **id, request)
          : ExecuteNow<Response>(now, request, std::nullopt);
  if (!planned.ok()) {
    // Decided on what may not be committed: it must not be heard before that is (Kafka's
    // ControllerWriteEvent.run).
    ReplyWhenStable(deadline,
                    [status = std::move(planned).status(), done = std::move(done)](
                        const absl::Status& outcome) { done(outcome.ok() ? status : outcome); });
    return;
  }
  if (wait->is_for_brokers() && !request.options().validate_only()) {
    ReplyWhenApplied(ToPosition(planned->end), *wait, deadline,
                     [response = std::move(planned->response),
                      done = std::move(done)](absl::StatusOr<v1::Propagation> propagation) mutable {
                       if (!propagation.ok()) {
                         done(propagation.status());
                         return;
                       }
                       *response.mutable_header()->mutable_propagation() = *std::move(propagation);
                       done(CommandReply(std::move(response)));
                     });
    return;
  }
  ReplyWhenStable(deadline, [reply = CommandReply(std::move(planned->response)),
                             done = std::move(done)](const absl::Status& outcome) mutable {
    if (outcome.ok()) {
      done(std::move(reply));
    } else {
      done(outcome);
    }
  });
}

template <typename Response, typename Request>
absl::StatusOr<ActiveController::Planned<Response>> ActiveController::ExecuteOnce(
    Now now, const Uuid& id, const Request& request) {
  const uint64_t body_hash = BodyHash(request);
  KVORUM_ASSIGN_OR_RETURN(const v1::CompletedRequestRecord* completed,
                          FindCompleted(latest_->requests(), id, body_hash));
  if (completed == nullptr || KVORUM_MUTANT(RetryTwice)) {
    return ExecuteNow<Response>(now, request, RequestIdentity{id, body_hash});
  }
  // The first attempt may still be on its way to the disks: the retry then waits with it.
  Planned<Response> planned{{}, {Offset(completed->offset() + 1), Epoch(completed->epoch())}};
  KVORUM_CHECK(planned.response.ParseFromString(completed->reply()),
               "the reply stored for request {} is malformed", id);
  return planned;
}

template <typename Response, typename Request>
absl::StatusOr<CommandResult<Response>> ActiveController::Plan(Now now, const Request& request) {
  const v1::WriteOptions& options = request.options();
  if (options.has_if_unchanged_since()) {
    KVORUM_RETURN_IF_ERROR(log_.CheckIsOnLog(options.if_unchanged_since()));
  }
  KVORUM_ASSIGN_OR_RETURN(CommandResult<Response> result,
                          kvorum::Execute(MakeContext(now), request));
  if (options.has_if_unchanged_since()) {
    KVORUM_RETURN_IF_ERROR(changes_.CheckUnchanged(result.records, *latest_,
                                                   Offset(options.if_unchanged_since().offset())));
  }
  if (!options.reason().empty() && !result.records.empty()) {
    result.records.emplace_back().mutable_write_reason()->set_reason(options.reason());
  }
  KVORUM_RETURN_IF_ERROR(CheckLevelAllows(result.records, latest_->features().metadata_level()));
  return result;
}

template <typename Response, typename Request>
absl::StatusOr<ActiveController::Planned<Response>> ActiveController::ExecuteNow(
    Now now, const Request& request, std::optional<RequestIdentity> identity) {
  KVORUM_ASSIGN_OR_RETURN(CommandResult<Response> result, Plan<Response>(now, request));
  if (!result.records.empty() && !request.options().validate_only()) {
    if (identity.has_value()) {
      KVORUM_RETURN_IF_ERROR(
          Remember(now, *identity, result.response.SerializeAsString(), result.records));
    }
    AppendRecords(now, std::move(result.records), result.is_atomic);
    if constexpr (requires { request.broker_id(); }) {
      ForgetReplacedSession(BrokerId(request.broker_id()));
    } else if constexpr (requires { request.operations(); }) {
      for (const v1::Operation& operation : request.operations()) {
        if (operation.has_unregister_broker()) {
          ForgetReplacedSession(BrokerId(operation.unregister_broker().broker_id()));
        }
      }
    }
  }
  return Planned<Response>{std::move(result.response), latest_->provenance().position()};
}

absl::Status ActiveController::Remember(Now now, const RequestIdentity& identity, std::string reply,
                                        std::vector<v1::MetadataRecord>& records) {
  auto expired = ForgetRequests(now, /*added=*/1);
  if (expired.has_value()) {
    records.push_back(*std::move(expired));
  }
  const Offset offset = log_.log_end_offset() + static_cast<int64_t>(records.size());
  KVORUM_ASSIGN_OR_RETURN(
      v1::MetadataRecord completed,
      CompleteRequest(identity, std::move(reply), {offset, epoch_}, now.wall_ms));
  records.push_back(std::move(completed));
  return absl::OkStatus();
}

std::optional<v1::MetadataRecord> ActiveController::ForgetRequests(Now now, size_t added) {
  return ExpireRequests(latest_->requests(), config_.requests, added,
                        request_ages_.AgedBelow(now.now, log_.log_end_offset()));
}

v1::MetadataRecord ActiveController::IdleRecord(Now now) {
  auto expired = ForgetRequests(now, /*added=*/0);
  if (expired.has_value()) {
    return *std::move(expired);
  }
  v1::MetadataRecord record;
  record.mutable_no_op();
  return record;
}

void ActiveController::ForgetReplacedSession(BrokerId broker) {
  // What another incarnation said is not true of this one, and who is gone has no session.
  const Broker* current = latest_->brokers().Find(broker);
  held_sessions_.End(broker, current == nullptr ? std::nullopt : std::optional(current->epoch));
  if (current == nullptr || sessions_.EpochOf(broker) != current->epoch) {
    sessions_.Remove(broker);
  }
}

void ActiveController::ReplyWhenStable(TimePoint deadline, PendingReplies::Reply reply) {
  const Offset appended = latest_->provenance().end_offset;
  if (appended <= committed_end_ || KVORUM_MUTANT(ReplyAtAppend)) {
    reply(absl::OkStatus());
  } else {
    pending_.Add(appended, deadline, std::move(reply));
  }
}

absl::Status ActiveController::OutcomeUnknown(ErrorReason reason, Offset end_offset) const {
  absl::Status status = MakeError(
      reason, fmt::format("appended below offset {} in epoch {}, but not known to be committed: "
                          "read again to see what became of it",
                          end_offset, epoch_));
  SetErrorFact(status, "position_generation", std::to_string(generation_));
  SetErrorFact(status, "position_epoch", std::to_string(epoch_.value()));
  SetErrorFact(status, "position_offset", std::to_string(end_offset.value()));
  return status;
}

void ActiveController::OnCommitted(Now now, ImagePtr image) {
  if (!is_active()) {
    return;
  }
  sessions_.Advance(now.now);
  const ImagePtr before = std::exchange(committed_, std::move(image));
  const MetadataImage& committed = *committed_;
  committed_end_ = committed.provenance().end_offset;
  while (!planned_hashes_.empty() && planned_hashes_.front().first <= committed_end_) {
    const auto [offset, hash] = planned_hashes_.front();
    planned_hashes_.pop_front();
    KVORUM_CHECK(offset != committed_end_ || hash == committed.StateHash(),
                 "the image at {} was planned with hash {:016x} and is {:016x}", offset, hash,
                 committed.StateHash());
  }
  std::erase_if(unfencing_, [this](const auto& entry) { return entry.second <= committed_end_; });
  if (before->domains().brokers != committed.domains().brokers) {
    waits_.OnBrokersChanged(MakeView());
  }
  pending_.CompleteUpTo(committed_end_);
  MeasurePropagation();
}

absl::Status ActiveController::CheckSender(int32_t broker_id, int64_t broker_epoch,
                                           int64_t applied_offset) const {
  KVORUM_RETURN_IF_ERROR(CheckBrokerId(broker_id));
  if (applied_offset < 0 || Offset(applied_offset) > log_.log_end_offset()) {
    return MakeError(ErrorReason::kInvalidRequest,
                     fmt::format("applied_offset {} is not within the log, which ends at {}",
                                 applied_offset, log_.log_end_offset()));
  }
  return CheckBrokerEpoch(latest_->brokers(), BrokerId(broker_id), BrokerEpoch(broker_epoch));
}

void ActiveController::HandleBrokerReport(Now now, const BrokerReport& report,
                                          Done<BrokerReportReply> done) {
  sessions_.Advance(now.now);
  absl::StatusOr<BrokerReportReply> reply = absl::UnknownError("");
  if (const auto* heartbeat = std::get_if<v1::HeartbeatRequest>(&report)) {
    reply = Heartbeat(now, *heartbeat);
  } else {
    reply = Acknowledge(std::get<v1::AcknowledgeMetadataRequest>(report));
  }
  if (pending_.size() >= kReportRoomFactor * config_.max_pending_replies) {
    // It counts as a sign of life all the same.
    done(MakeError(
        ErrorReason::kClassShed,
        fmt::format("{} replies are waiting, the most this controller keeps", pending_.size())));
    return;
  }
  ReplyWhenStable(now.now + config_.default_command_timeout,
                  [reply = std::move(reply), done = std::move(done)](const absl::Status& outcome) {
                    if (outcome.ok()) {
                      done(reply);
                    } else {
                      done(outcome);
                    }
                  });
}

void ActiveController::NoteRefusedReport(Now now, const BrokerReport& report) {
  sessions_.Advance(now.now);
  std::visit(
      [this](const auto& request) {
        if (CheckSender(request.broker_id(), request.broker_epoch(), request.applied_offset())
                .ok()) {
          sessions_.Touch(BrokerId(request.broker_id()), BrokerEpoch(request.broker_epoch()),
                          Offset(request.applied_offset()));
        }
      },
      report);
}

absl::StatusOr<v1::AcknowledgeMetadataResponse> ActiveController::Acknowledge(
    const v1::AcknowledgeMetadataRequest& request) {
  KVORUM_RETURN_IF_ERROR(
      CheckSender(request.broker_id(), request.broker_epoch(), request.applied_offset()));
  if (request.has_rejected() && request.rejected().message().size() > kMaxRejectionBytes) {
    return MakeError(ErrorReason::kInvalidRequest,
                     fmt::format("rejected.message of {} bytes, at most {} are allowed",
                                 request.rejected().message().size(), kMaxRejectionBytes));
  }
  const BrokerId id(request.broker_id());
  sessions_.Touch(id, BrokerEpoch(request.broker_epoch()), Offset(request.applied_offset()));
  // Reports may overtake each other: who has said since that it has more got over it.
  const bool is_newest = sessions_.AppliedOffset(id) == Offset(request.applied_offset());
  if (request.has_rejected() && (is_newest || KVORUM_MUTANT(RejectionOvertakes))) {
    sessions_.SetRejection(
        id, Offset(request.rejected().offset()),
        fmt::format("offset {}: {}", request.rejected().offset(), request.rejected().message()));
  }
  waits_.OnReport(MakeView(), id);
  return v1::AcknowledgeMetadataResponse();
}

void ActiveController::CheckSessions(Now now) {
  // A controller that was held up for longer than this has heard nobody meanwhile: that is its own
  // silence and not theirs (KAFKA-15019).
  const Duration interval = config_.broker_session_timeout / kFenceChecksPerSession;
  if (const Duration late = now.now - next_fence_check_; late > interval) {
    sessions_.Excuse(late);
  }
  FenceStaleBroker(now);
}

void ActiveController::FenceStaleBroker(Now now) {
  // One at a time, oldest contact first, so that each removal can still elect among the rest
  // (KIP-631; mass fencing after a pause leaves partitions leaderless).
  const std::optional<BrokerId> stale = sessions_.OldestExpired([this](BrokerId id) {
    const Broker* broker = latest_->brokers().Find(id);
    return broker != nullptr && !broker->is_fenced;
  });
  if (stale.has_value()) {
    SetFenced(now, *stale, true);
    next_fence_check_ = now.now;  // look for the next at once
  } else {
    next_fence_check_ = now.now + config_.broker_session_timeout / kFenceChecksPerSession;
  }
}

void ActiveController::HandleTimer(Now now) {
  if (!is_active()) {
    return;
  }
  sessions_.Advance(now.now);
  pending_.Expire(now.now, [this](Offset end_offset) {
    return OutcomeUnknown(ErrorReason::kDeadlineExceeded, end_offset);
  });
  waits_.Expire(MakeView(), now.now);
  if (now.now >= next_fence_check_) {
    waits_.OnBrokersChanged(MakeView());  // who was on its way back may have fallen silent
    CheckSessions(now);
  }
  for (PartitionSweep* sweep : {&balancing_, &unclean_elections_}) {
    if (now.now >= sweep->NextDeadline()) {
      AppendIfAny(now, sweep->Step(now.now, *latest_));
    }
  }
  if (now.now >= next_no_op_) {
    AppendBatch(now, {IdleRecord(now)});
  }
}

TimePoint ActiveController::NextDeadline() const {
  return is_active()
             ? std::min({pending_.NextDeadline(), waits_.NextDeadline(), next_fence_check_,
                         next_no_op_, balancing_.NextDeadline(), unclean_elections_.NextDeadline()})
             : kNever;
}

}  // namespace kvorum::controller
