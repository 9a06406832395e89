// The part of SimBroker that tells the controller how it fares.
#include <utility>

#include "server/base/errors.h"
#include "tests/sim/checkers/checks.h"
#include "tests/sim/sim_broker.h"
#include "tests/sim/sim_process.h"

namespace kvorum::sim {
namespace {

using std::chrono::milliseconds;

constexpr Duration kAcknowledgeInterval = milliseconds(300);
constexpr int kHeartbeatsPerSession = 5;

}  // namespace

void SimBroker::SendReport(
    controller::BrokerReport report, bool wants_fence,
    void (SimBroker::*on_result)(const CallResult<controller::BrokerReportReply>&)) {
  ClientCall<controller::BrokerReportReply> call;
  call.invoke = [this, report = std::move(report), wants_fence, epoch = *broker_epoch_](
                    SimProcess& process, Now now, TimePoint, auto done) {
    const auto& latest = process.node().active_controller().latest();
    const Broker* known = latest == nullptr ? nullptr : latest->brokers().Find(BrokerId(id_));
    if (known != nullptr && known->epoch.value() == epoch) {
      world_.checks->OnBrokerContact(process, id_, wants_fence);
    }
    process.node().HandleBrokerReport(now, report, std::move(done));
  };
  call.on_leave = [this](SimProcess& process,
                         const absl::StatusOr<controller::BrokerReportReply>& reply) {
    checker_.OnReportAnswered(process, reply);
  };
  Call(std::move(call), on_result);
}

void SimBroker::Heartbeat() {
  if (!is_leaving_ && random_.OneIn(1, 40)) {
    wants_fence_ = !is_calm_ && !wants_fence_;
  }
  v1::HeartbeatRequest request;
  request.set_cluster_id(world_.options.cluster_id);
  request.set_broker_id(id_);
  request.set_broker_epoch(*broker_epoch_);
  request.set_applied_offset(applied_end().value());
  request.set_want_fence(wants_fence_ && !is_calm_);
  request.set_want_shutdown(is_leaving_);
  const bool wants_fence = request.want_fence() || request.want_shutdown();
  SendReport(std::move(request), wants_fence, &SimBroker::OnHeartbeat);
}

void SimBroker::OnHeartbeat(const CallResult<controller::BrokerReportReply>& result) {
  const Duration interval = world_.options.broker_session_timeout / kHeartbeatsPerSession;
  if (result.answer.ok()) {
    const auto& reply = std::get<v1::HeartbeatResponse>(*result.answer);
    if (is_leaving_ && reply.should_shutdown()) {
      world_.log.Hit(Mark::kBrokerShutdown);
      Crash();
      return;
    }
    KeepHold();
    Later(interval, &SimBroker::Heartbeat);
    return;
  }
  const ErrorReason reason = GetErrorReason(result.answer.status());
  if (reason == ErrorReason::kStaleBrokerEpoch || reason == ErrorReason::kBrokerIdNotRegistered) {
    // Somebody else is this broker now, or it was removed: the process ends and is started anew.
    world_.log.Hit(Mark::kBrokerStaleEpoch);
    Crash();
    Start();
    return;
  }
  Later(kRetryDelay, &SimBroker::Heartbeat);
}

void SimBroker::AcknowledgeLater() {
  if (world_.options.workload.waits) {
    Later(kAcknowledgeInterval, &SimBroker::Acknowledge);
  }
}

// Between heartbeats. What it could not apply it says each time, until it has applied more: another
// controller may have taken over.
void SimBroker::Acknowledge() {
  v1::AcknowledgeMetadataRequest request;
  request.set_cluster_id(world_.options.cluster_id);
  request.set_broker_id(id_);
  request.set_broker_epoch(*broker_epoch_);
  request.set_applied_offset(applied_end().value());
  if (rejected_.has_value()) {
    request.mutable_rejected()->set_offset(rejected_->value());
    request.mutable_rejected()->set_message("this version can not apply it");
  }
  SendReport(std::move(request), /*wants_fence=*/false, &SimBroker::OnAcknowledged);
}

void SimBroker::OnAcknowledged(const CallResult<controller::BrokerReportReply>& result) {
  if (result.answer.ok()) {
    world_.log.Hit(Mark::kBrokerAcknowledged);
  }
  AcknowledgeLater();
}

}  // namespace kvorum::sim
