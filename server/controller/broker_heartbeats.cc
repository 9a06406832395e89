// What the active controller makes of heartbeats: from facts to a broker's next state to records.

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/controller/active_controller.h"
#include "server/metadata/brokers/broker_fencing.h"

namespace kvorum::controller {

absl::StatusOr<std::vector<Uuid>> ActiveController::CheckOfflineLogDirs(
    const v1::HeartbeatRequest& request) const {
  const Broker& broker = *latest_->brokers().Find(BrokerId(request.broker_id()));
  for (const std::string& dir : request.offline_log_dirs()) {
    const std::optional<Uuid> id = Uuid::FromBytes(dir);
    if (!id.has_value() ||
        std::find(broker.log_dirs.begin(), broker.log_dirs.end(), *id) == broker.log_dirs.end()) {
      return MakeError(ErrorReason::kInvalidRequest,
                       fmt::format("offline_log_dirs names one of {} bytes that broker {} did not "
                                   "register; name those of its registration",
                                   dir.size(), broker.id));
    }
  }
  std::vector<Uuid> offline;  // in the order of the registration, each once
  for (const Uuid& dir : broker.log_dirs) {
    if (std::find(request.offline_log_dirs().begin(), request.offline_log_dirs().end(),
                  dir.ToBytes()) != request.offline_log_dirs().end()) {
      offline.push_back(dir);
    }
  }
  return offline;
}

absl::StatusOr<v1::HeartbeatResponse> ActiveController::Heartbeat(
    Now now, const v1::HeartbeatRequest& request) {
  KVORUM_RETURN_IF_ERROR(
      CheckSender(request.broker_id(), request.broker_epoch(), request.applied_offset()));
  KVORUM_ASSIGN_OR_RETURN(const std::vector<Uuid> offline, CheckOfflineLogDirs(request));
  const BrokerId id(request.broker_id());
  sessions_.Touch(id, BrokerEpoch(request.broker_epoch()), Offset(request.applied_offset()));
  AppendIfAny(now, SetOfflineLogDirs(*latest_, id, offline));

  const BrokerState before = StateOf(*latest_->brokers().Find(id));
  if (before == BrokerState::kControlledShutdown) {
    // What a failover cut off, if anything.
    AppendIfAny(now, BeginControlledShutdown(*latest_, id));
  }
  const HeartbeatFacts facts = GatherFacts(request, before);
  const BrokerState after = NextState(before, facts);
  EnterState(now, id, before, after);
  if (before == BrokerState::kFenced && (facts.wants_fence || facts.wants_shutdown)) {
    sessions_.ClearUnfenceTarget(id);  // it is not on its way back
  }
  waits_.OnReport(MakeView(), id);

  v1::HeartbeatResponse response;
  response.set_is_caught_up(facts.is_caught_up);
  response.set_is_fenced(latest_->brokers().Find(id)->is_fenced);
  response.set_in_controlled_shutdown(after == BrokerState::kControlledShutdown);
  response.set_should_shutdown(after == BrokerState::kShutdownNow);
  if (after == BrokerState::kShutdownNow) {
    sessions_.Remove(id);  // its next incarnation need not wait for the session to run out
  }
  return response;
}

void ActiveController::HandleHoldSession(Now now, const v1::HoldSessionRequest& request,
                                         HoldId hold, Done<v1::HoldSessionResponse> done) {
  sessions_.Advance(now.now);
  absl::Status status =
      CheckSender(request.broker_id(), request.broker_epoch(), /*applied_offset=*/0);
  if (!status.ok()) {
    ReplyWhenStable(now.now + config_.default_command_timeout,
                    [status = std::move(status), done = std::move(done)](
                        const absl::Status& outcome) { done(outcome.ok() ? status : outcome); });
    return;
  }
  const HeldSessions::Holder holder{BrokerId(request.broker_id()),
                                    BrokerEpoch(request.broker_epoch())};
  sessions_.Touch(holder.broker, holder.epoch, std::nullopt);
  held_sessions_.Add(holder, hold, std::move(done));
}

void ActiveController::OnHoldEnded(Now now, HoldId hold, HoldEnd how) {
  sessions_.Advance(now.now);
  const std::optional<HeldSessions::Holder> holder = held_sessions_.Remove(hold);
  if (holder.has_value() && how == HoldEnd::kCallerGone) {
    sessions_.MarkGone(holder->broker, holder->epoch);
  }
}

HeartbeatFacts ActiveController::GatherFacts(const v1::HeartbeatRequest& request,
                                             BrokerState state) {
  const Broker& broker = *latest_->brokers().Find(BrokerId(request.broker_id()));
  const Offset applied(request.applied_offset());
  // Asked for first, since the first heartbeat fixes it, caught up or not.
  const Offset target = state == BrokerState::kFenced
                            ? sessions_.UnfenceTarget(broker.id, committed_end_)
                            : Offset(0);
  HeartbeatFacts facts;
  // Without a directory that works it can't serve anybody.
  const bool is_diskless =
      !broker.log_dirs.empty() && broker.offline_log_dirs.size() == broker.log_dirs.size();
  facts.wants_fence = request.want_fence() || is_diskless;
  facts.wants_shutdown = request.want_shutdown();
  facts.is_caught_up = IsCaughtUp(broker, applied) && applied >= target;
  facts.leads = latest_->topics().LoadOf(broker.id).leaders > 0;
  facts.moves_are_applied = state == BrokerState::kControlledShutdown && AreMovesApplied(broker.id);
  return facts;
}

bool ActiveController::AreMovesApplied(BrokerId leaving) {
  const Offset needed = sessions_.ControlledShutdownOffset(leaving, log_.log_end_offset());
  for (const auto& [id, broker] : latest_->brokers().brokers) {
    if (broker->is_active() && id != leaving &&
        sessions_.AppliedOffset(id).value_or(Offset(0)) < needed) {
      return false;
    }
  }
  return true;
}

void ActiveController::EnterState(Now now, BrokerId broker, BrokerState from, BrokerState to) {
  if (from == to) {
    return;
  }
  switch (to) {
    case BrokerState::kUnfenced:
      SetFenced(now, broker, false);
      break;
    case BrokerState::kFenced:
      SetFenced(now, broker, true);
      break;
    case BrokerState::kControlledShutdown:
      AppendIfAny(now, BeginControlledShutdown(*latest_, broker));
      sessions_.ControlledShutdownOffset(broker, log_.log_end_offset());
      break;
    case BrokerState::kShutdownNow:
      if (from != BrokerState::kFenced) {
        SetFenced(now, broker, true);
      }
      break;
  }
}

}  // namespace kvorum::controller
