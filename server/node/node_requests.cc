// The half of Node that takes requests of brokers, clients and operators: whether this node is the
// one to carry them out, and who does.
#include <fmt/format.h>

#include <utility>

#include "server/base/errors.h"
#include "server/base/mutants.h"
#include "server/base/status_macros.h"
#include "server/node/describe_quorum.h"
#include "server/node/node.h"

namespace kvorum {

absl::Status Node::ShuttingDown() {
  return MakeError(ErrorReason::kShuttingDown, "this controller is stopping; use another one");
}

absl::Status Node::CheckCluster(const std::string& cluster_id) const {
  if (cluster_id.empty() || cluster_id == config_.raft.cluster_id) {
    return absl::OkStatus();
  }
  return MakeError(ErrorReason::kInconsistentClusterId,
                   fmt::format("cluster_id {} was sent to cluster {}", cluster_id.substr(0, 64),
                               config_.raft.cluster_id));
}

absl::Status Node::NotLeader() const {
  const std::optional<NodeId> leader = core_.leader_id();
  if (core_.is_transferring()) {
    return MakeError(ErrorReason::kLeaderNotAvailable,
                     "this controller is handing its leadership over; try again shortly");
  }
  if (!leader.has_value() || leader == config_.raft.self.node_id) {
    return MakeError(
        ErrorReason::kLeaderNotAvailable,
        fmt::format("no active controller is known in epoch {}; try again shortly", core_.epoch()));
  }
  const auto endpoint = client_endpoints_.find(*leader);
  const std::string where = endpoint == client_endpoints_.end() ? "" : endpoint->second;
  absl::Status status = MakeError(
      ErrorReason::kNotController,
      fmt::format("the active controller is node {} {} (epoch {})", *leader,
                  where.empty() ? "at an address not yet known" : "at " + where, core_.epoch()));
  SetErrorFact(status, "leader_id", std::to_string(leader->value()));
  SetErrorFact(status, "leader_epoch", std::to_string(core_.epoch().value()));
  if (!where.empty()) {
    SetErrorFact(status, "leader_endpoint", where);
  }
  return status;
}

bool Node::IsActiveLeader() const {
  // An event of this turn may have deposed raft; the controller learns that from Execute.
  return controller_.is_active() && !core_.is_transferring() &&
         (KVORUM_MUTANT(R28b) || (core_.is_leader() && core_.epoch() == controller_.epoch()));
}

absl::Status Node::CheckCanLead(const std::string& cluster_id) const {
  KVORUM_RETURN_IF_ERROR(CheckCluster(cluster_id));
  if (is_draining_ || executor_.failed()) {
    return ShuttingDown();
  }
  return IsActiveLeader() ? absl::OkStatus() : NotLeader();
}

void Node::HandleCommand(Now now, controller::Command command, TimePoint deadline,
                         Done<controller::CommandReply> done) {
  if (absl::Status status = CheckCanLead(controller::ClusterIdOf(command)); !status.ok()) {
    done(std::move(status));
    return;
  }
  controller_.HandleCommand(
      now, command, deadline,
      [this, done = std::move(done)](absl::StatusOr<controller::CommandReply> reply) {
        if (reply.ok()) {
          std::visit([this](auto& response) { response.mutable_header()->MergeFrom(MakeHeader()); },
                     *reply);
        }
        done(std::move(reply));
      });
}

void Node::HandleAwaitApplied(Now now, const v1::AwaitAppliedRequest& request, TimePoint deadline,
                              Done<v1::AwaitAppliedResponse> done) {
  absl::Status status = CheckCanLead(request.cluster_id());
  const absl::StatusOr<controller::AppliedWait> wait = controller::ParseAppliedWait(request);
  if (status.ok()) {
    status = wait.ok() ? CheckIsOnLog(request.position()) : wait.status();
  }
  if (!status.ok()) {
    done(std::move(status));
    return;
  }
  controller_.AwaitApplied(
      now, request.position(), *wait, deadline,
      [this, done = std::move(done)](absl::StatusOr<v1::Propagation> propagation) {
        if (!propagation.ok()) {
          done(propagation.status());
          return;
        }
        v1::AwaitAppliedResponse response;
        *response.mutable_header() = MakeHeader();
        *response.mutable_header()->mutable_propagation() = *std::move(propagation);
        done(std::move(response));
      });
}

absl::Status Node::CheckIsPosition(const v1::Position& position) const {
  if (position.offset() < 0 || position.epoch() < 0) {
    return MakeError(ErrorReason::kInvalidRequest,
                     fmt::format("position offset {} epoch {}: neither may be negative",
                                 position.offset(), position.epoch()));
  }
  if (position.generation() != config_.raft.generation) {
    return MakeError(ErrorReason::kGenerationMismatch,
                     fmt::format("position is of generation {}, this cluster is of {}: it was "
                                 "recovered since, and what was written there may be lost",
                                 position.generation(), config_.raft.generation));
  }
  return absl::OkStatus();
}

absl::Status Node::CheckIsOnLog(const v1::Position& position) const {
  KVORUM_RETURN_IF_ERROR(CheckIsPosition(position));
  if (core_.EpochBelow(Offset(position.offset())) == Epoch(position.epoch())) {
    return absl::OkStatus();
  }
  return MakeError(ErrorReason::kPositionDiscarded,
                   fmt::format("offset {} of epoch {} is no place in the log, which is known from "
                               "{} to {}: what was written there is lost, or too long ago",
                               position.offset(), position.epoch(), core_.log_start_offset(),
                               core_.log_end_offset()));
}

void Node::HandleBrokerReport(Now now, controller::BrokerReport report,
                              Done<controller::BrokerReportReply> done) {
  const std::string& cluster_id = controller::ClusterIdOf(report);
  absl::Status status = CheckCanLead(cluster_id);
  if (!status.ok()) {
    if (CheckCluster(cluster_id).ok() && controller_.is_active() && core_.is_transferring() &&
        !KVORUM_MUTANT(RefusalIsSilence)) {
      controller_.NoteRefusedReport(now, report);
    }
    done(std::move(status));
    return;
  }
  controller_.HandleBrokerReport(
      now, report,
      [this, done = std::move(done)](absl::StatusOr<controller::BrokerReportReply> reply) {
        if (reply.ok()) {
          std::visit([this](auto& response) { *response.mutable_header() = MakeHeader(); }, *reply);
        }
        done(std::move(reply));
      });
}

void Node::HandleHoldSession(Now now, const v1::HoldSessionRequest& request,
                             controller::HoldId hold, Done<v1::HoldSessionResponse> done) {
  if (absl::Status status = CheckCanLead(request.cluster_id()); !status.ok()) {
    done(std::move(status));
    return;
  }
  controller_.HandleHoldSession(
      now, request, hold,
      [this, done = std::move(done)](absl::StatusOr<v1::HoldSessionResponse> response) {
        if (response.ok()) {
          *response->mutable_header() = MakeHeader();
        }
        done(std::move(response));
      });
}

void Node::HandleHoldEnded(Now now, controller::HoldId hold, controller::HoldEnd how) {
  if (!executor_.failed()) {
    controller_.OnHoldEnded(now, hold, how);
  }
}

void Node::HandleDescribeQuorum(Now now, const v1::DescribeQuorumRequest& request,
                                Done<v1::DescribeQuorumResponse> done) {
  if (absl::Status status = CheckCluster(request.cluster_id()); !status.ok()) {
    done(std::move(status));
    return;
  }
  v1::DescribeQuorumResponse response =
      DescribeQuorum(core_.Describe(), client_endpoints_, now.now);
  *response.mutable_header() = MakeHeader();
  response.set_state_hash(fmt::format("{:016x}", applier_.image()->StateHash()));
  response.set_active_controller(controller_.is_active());
  done(std::move(response));
}

void Node::HandleDescribeCluster(Now, const v1::DescribeClusterRequest& request,
                                 Done<v1::DescribeClusterResponse> done) {
  if (absl::Status status = CheckCluster(request.cluster_id()); !status.ok()) {
    done(std::move(status));
    return;
  }
  v1::DescribeClusterResponse response = DescribeCluster(core_.Describe(), client_endpoints_);
  *response.mutable_header() = MakeHeader();
  done(std::move(response));
}

void Node::HandleQuorumChange(Now now, const QuorumCommand& command, TimePoint deadline,
                              Done<QuorumReply> done) {
  if (absl::Status status = CheckCanLead(controller::ClusterIdOf(command)); !status.ok()) {
    done(std::move(status));
    return;
  }
  if (deadline == kNever) {
    deadline = now.now + config_.controller.default_command_timeout;
  }
  if (auto event = quorum_changes_.Begin(command, deadline, std::move(done))) {
    Step(now, *std::move(event));
  }
}

void Node::OnQuorumChangeDone(const raft::QuorumChangeDone& change) {
  quorum_changes_.Finish(
      change, MakeHeader(),
      change.error == raft::ChangeError::kNotLeader ? NotLeader() : absl::OkStatus());
}

void Node::HandleTriggerSnapshot(Now now, const v1::TriggerSnapshotRequest& request,
                                 Done<v1::TriggerSnapshotResponse> done) {
  absl::Status status = CheckCluster(request.cluster_id());
  if (status.ok() && (is_draining_ || executor_.failed())) {
    status = ShuttingDown();
  }
  if (!status.ok()) {
    done(std::move(status));
    return;
  }
  snapshots_.Make(now, applier_.image(), applier_.chain_hash(),
                  [this, done = std::move(done)](absl::StatusOr<SnapshotManifest> made) {
                    if (!made.ok() || executor_.failed()) {
                      done(made.ok() ? ShuttingDown() : made.status());
                      return;
                    }
                    v1::TriggerSnapshotResponse response;
                    *response.mutable_header() = MakeHeader();
                    v1::Position& end = *response.mutable_end();
                    end.set_generation(config_.raft.generation);
                    end.set_epoch(made->id.epoch.value());
                    end.set_offset(made->id.offset.value());
                    response.set_size_bytes(made->size_bytes);
                    response.set_state_hash(fmt::format("{:016x}", made->state_hash));
                    done(std::move(response));
                  });
}

void Node::MaybeMakeSnapshot(Now now) {
  if (!is_draining_ && !executor_.failed()) {
    snapshots_.MaybeMake(now, applier_.image(), applier_.chain_hash());
  }
}

v1::ResponseHeader Node::MakeHeader() const {
  v1::ResponseHeader header;
  header.set_cluster_id(config_.raft.cluster_id);
  header.set_node_id(config_.raft.self.node_id.value());
  const std::optional<NodeId> leader = core_.leader_id();
  header.set_leader_id(leader.has_value() ? leader->value() : -1);
  header.set_leader_epoch(core_.epoch().value());
  const Offset committed = core_.high_watermark().value_or(Offset(0));
  v1::Position& position = *header.mutable_committed();
  position.set_generation(config_.raft.generation);
  position.set_epoch(core_.EpochBelow(committed).value_or(Epoch(0)).value());
  position.set_offset(committed.value());
  const OffsetAndEpoch applied = applier_.image()->provenance().position();
  header.mutable_applied()->set_generation(config_.raft.generation);
  header.mutable_applied()->set_epoch(applied.epoch.value());
  header.mutable_applied()->set_offset(applied.offset.value());
  return header;
}

}  // namespace kvorum
