// The half of ActiveController that waits for brokers.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "server/base/errors.h"
#include "server/controller/active_controller.h"

namespace kvorum::controller {
namespace {

// A wait for brokers ends so long before the call's deadline, for the answer to get there in time.
constexpr Duration kReplyMargin = std::chrono::milliseconds(100);
// One commit is followed on its way to the brokers at a time, and for no longer than this.
constexpr Duration kMeasureTimeout = std::chrono::seconds(60);

}  // namespace

absl::Status ActiveController::CheckRoom(const AppliedWait& wait) const {
  if (!wait.is_for_brokers() || waits_.size() < config_.max_applied_waits) {
    return absl::OkStatus();
  }
  return MakeError(
      ErrorReason::kClassShed,
      fmt::format("{} requests wait for brokers, the most this controller keeps; write "
                  "with WAIT_COMMITTED, or try again later",
                  waits_.size()));
}

void ActiveController::ReplyWhenApplied(const v1::Position& position, const AppliedWait& wait,
                                        TimePoint deadline, Done<v1::Propagation> reply) {
  ReplyWhenStable(deadline, [this, position, wait, deadline,
                             reply = std::move(reply)](const absl::Status& outcome) {
    if (outcome.ok()) {
      BeginWait(position, wait, deadline - kReplyMargin, reply);
    } else {
      reply(outcome);
    }
  });
}

void ActiveController::BeginWait(const v1::Position& position, const AppliedWait& wait,
                                 TimePoint deadline, PropagationWaits::Done done) {
  const TimePoint now = sessions_.now();
  deadline = std::min(deadline, now + wait.timeout);
  waits_.Add(MakeView(), wait, position, deadline, std::move(done));
  if (is_stopping_) {
    waits_.InterruptAll(MakeView());
  } else if (deadline <= now) {
    waits_.Expire(MakeView(), now);
  }
}

void ActiveController::AwaitApplied(Now now, const v1::Position& position, const AppliedWait& wait,
                                    TimePoint deadline, Done<v1::Propagation> done) {
  sessions_.Advance(now.now);
  if (absl::Status status = CheckRoom(wait); !status.ok()) {
    done(std::move(status));
    return;
  }
  if (deadline == kNever) {
    deadline = now.now + config_.default_command_timeout;
  }
  const bool is_committed = Offset(position.offset()) <= committed_end_;
  if (!wait.is_for_brokers()) {
    const auto reply = [position, done = std::move(done)](const absl::Status& outcome) {
      v1::Propagation propagation;
      *propagation.mutable_position() = position;
      propagation.set_outcome(v1::Propagation::OUTCOME_APPLIED);
      done(outcome.ok() ? absl::StatusOr<v1::Propagation>(std::move(propagation)) : outcome);
    };
    if (is_committed) {
      reply(absl::OkStatus());
    } else {
      ReplyWhenStable(deadline, reply);
    }
  } else if (is_committed) {
    BeginWait(position, wait, deadline - kReplyMargin, std::move(done));
  } else {
    ReplyWhenApplied(position, wait, deadline, std::move(done));
  }
}

void ActiveController::MeasurePropagation() {
  if (!on_propagated_ || is_measuring_) {
    return;
  }
  is_measuring_ = true;
  AppliedWait wait;
  wait.kind = v1::WAIT_APPLIED_BY_ALL;
  waits_.Add(MakeView(), wait, ToPosition(committed_->provenance().position()),
             sessions_.now() + kMeasureTimeout,
             [this, committed_at = sessions_.now()](const v1::Propagation& propagation) {
               is_measuring_ = false;
               if (propagation.brokers_size() > 0 &&
                   (propagation.outcome() == v1::Propagation::OUTCOME_APPLIED ||
                    propagation.outcome() == v1::Propagation::OUTCOME_TIMED_OUT)) {
                 on_propagated_(sessions_.now() - committed_at);
               }
             });
}

v1::Position ActiveController::ToPosition(OffsetAndEpoch at) const {
  v1::Position position;
  position.set_generation(generation_);
  position.set_epoch(at.epoch.value());
  position.set_offset(at.offset.value());
  return position;
}

}  // namespace kvorum::controller
