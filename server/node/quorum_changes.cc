#include "server/node/quorum_changes.h"

#include <fmt/format.h>

#include <utility>

#include "server/base/check.h"
#include "server/base/errors.h"
#include "server/base/overloaded.h"
#include "server/base/status_macros.h"
#include "server/node/describe_quorum.h"

namespace kvorum {
namespace {

constexpr size_t kMaxHostBytes = 255;
constexpr uint32_t kMaxPort = 65'535;

absl::Status Invalid(std::string_view field, std::string_view why) {
  return MakeError(ErrorReason::kInvalidRequest, fmt::format("{}: {}", field, why));
}

absl::StatusOr<NodeId> DecodeNodeId(int32_t node_id) {
  if (node_id < 0) {
    return Invalid("node_id", fmt::format("{} is negative", node_id));
  }
  return NodeId(node_id);
}

absl::StatusOr<ReplicaKey> DecodeKey(int32_t node_id, const std::string& directory_id) {
  ReplicaKey key;
  KVORUM_ASSIGN_OR_RETURN(key.node_id, DecodeNodeId(node_id));
  const std::optional<Uuid> directory = Uuid::Parse(directory_id);
  if (!directory.has_value() || directory->is_zero()) {
    return Invalid("directory_id",
                   fmt::format("\"{}\" is no UUID; `kvorumd format` printed it, and `kvorumctl "
                               "quorum describe` shows it",
                               directory_id.substr(0, 64)));
  }
  key.directory_id = *directory;
  return key;
}

absl::StatusOr<raft::Voter> DecodeVoter(const v1::QuorumVoter& wire) {
  raft::Voter voter;
  KVORUM_ASSIGN_OR_RETURN(voter.key, DecodeKey(wire.node_id(), wire.directory_id()));
  const v1::Endpoint& endpoint = wire.controller_endpoint();
  if (!endpoint.name().empty()) {
    return MakeError(ErrorReason::kUnimplementedField,
                     "controller_endpoint.name: controllers have one listener, leave it out");
  }
  if (endpoint.host().empty() || endpoint.host().size() > kMaxHostBytes) {
    return Invalid("controller_endpoint.host", fmt::format("{} bytes, 1 to {} are allowed",
                                                           endpoint.host().size(), kMaxHostBytes));
  }
  if (endpoint.port() == 0 || endpoint.port() > kMaxPort) {
    return Invalid("controller_endpoint.port", fmt::format("{} is no port", endpoint.port()));
  }
  voter.address = {endpoint.host(), static_cast<uint16_t>(endpoint.port())};
  return voter;
}

// The event of each request, but for its token and deadline.
absl::StatusOr<raft::ChangeVoters> Decode(const v1::AddVoterRequest& request) {
  raft::ChangeVoters event;
  event.kind = raft::VoterChangeKind::kAdd;
  KVORUM_ASSIGN_OR_RETURN(event.voter, DecodeVoter(request.voter()));
  event.is_dry_run = request.validate_only();
  return event;
}

absl::StatusOr<raft::ChangeVoters> Decode(const v1::UpdateVoterRequest& request) {
  raft::ChangeVoters event;
  event.kind = raft::VoterChangeKind::kUpdate;
  KVORUM_ASSIGN_OR_RETURN(event.voter, DecodeVoter(request.voter()));
  event.is_dry_run = request.validate_only();
  return event;
}

absl::StatusOr<raft::ChangeVoters> Decode(const v1::RemoveVoterRequest& request) {
  raft::ChangeVoters event;
  event.kind = raft::VoterChangeKind::kRemove;
  KVORUM_ASSIGN_OR_RETURN(event.voter.key, DecodeKey(request.node_id(), request.directory_id()));
  event.is_dry_run = request.validate_only();
  return event;
}

absl::StatusOr<raft::TransferLeadership> Decode(const v1::TransferLeadershipRequest& request) {
  raft::TransferLeadership event;
  KVORUM_ASSIGN_OR_RETURN(event.target, DecodeNodeId(request.node_id()));
  event.is_dry_run = request.validate_only();
  return event;
}

template <typename Response>
QuorumReply MakeReply(const raft::QuorumChangeDone& change, const v1::ResponseHeader& header) {
  Response response;
  *response.mutable_header() = header;
  *response.mutable_quorum() = MakeQuorumView(change.voters);
  return response;
}

QuorumReply MakeReply(size_t index, const raft::QuorumChangeDone& change,
                      const v1::ResponseHeader& header) {
  switch (index) {
    case 0:
      return MakeReply<v1::AddVoterResponse>(change, header);
    case 1:
      return MakeReply<v1::RemoveVoterResponse>(change, header);
    case 2:
      return MakeReply<v1::UpdateVoterResponse>(change, header);
    default:
      return MakeReply<v1::TransferLeadershipResponse>(change, header);
  }
}

}  // namespace

std::optional<raft::Event> QuorumChanges::Begin(const QuorumCommand& command, TimePoint deadline,
                                                Done done) {
  return std::visit(
      [&](const auto& request) -> std::optional<raft::Event> {
        auto event = Decode(request);
        if (!event.ok()) {
          done(event.status());
          return std::nullopt;
        }
        ++last_token_;
        waiting_.emplace(last_token_, Waiting{command.index(), std::move(done)});
        event->token = last_token_;
        event->deadline = deadline;
        return raft::Event(*std::move(event));
      },
      command);
}

void QuorumChanges::Finish(const raft::QuorumChangeDone& change, const v1::ResponseHeader& header,
                           const absl::Status& not_leader) {
  const auto it = waiting_.find(change.token);
  KVORUM_CHECK(it != waiting_.end(), "change {} was answered twice", change.token);
  const Waiting waiting = std::move(it->second);
  waiting_.erase(it);
  if (change.error == raft::ChangeError::kNone) {
    waiting.done(MakeReply(waiting.index, change, header));
  } else if (change.error == raft::ChangeError::kNotLeader) {
    waiting.done(not_leader);
  } else {
    waiting.done(ToStatus(change.error, change.detail));
  }
}

absl::Status ToStatus(raft::ChangeError error, const std::string& detail) {
  const auto make = [&detail](ErrorReason reason, std::string_view what_to_do) {
    return MakeError(reason, fmt::format("{}; {}", detail, what_to_do));
  };
  switch (error) {
    case raft::ChangeError::kNone:
    case raft::ChangeError::kNotLeader:
      break;
    case raft::ChangeError::kNothingCommitted:
      return make(ErrorReason::kLeaderNotAvailable, "try again shortly");
    case raft::ChangeError::kChangePending:
      return make(ErrorReason::kVoterChangePending, "try again when it is done");
    case raft::ChangeError::kDuplicateVoter:
      return make(ErrorReason::kDuplicateVoter,
                  "remove that one first if its disk was replaced, or choose another node id");
    case raft::ChangeError::kVoterNotFound:
      return make(ErrorReason::kVoterNotFound, "see `kvorumctl quorum describe`");
    case raft::ChangeError::kLastVoter:
      return make(ErrorReason::kLastVoter, "add another one first");
    case raft::ChangeError::kTooManyVoters:
      return make(ErrorReason::kPolicyViolation, "remove one first");
    case raft::ChangeError::kQuorumAtRisk:
      return make(ErrorReason::kQuorumAtRisk,
                  "bring the silent voters back, or remove those of them that are lost, first");
    case raft::ChangeError::kNotCaughtUp:
      return make(ErrorReason::kVoterNotCaughtUp,
                  "is it running, with this quorum's servers in its settings? Try again when it "
                  "has caught up");
    case raft::ChangeError::kUnreachable:
      return MakeError(ErrorReason::kVoterUnreachable,
                       fmt::format("the leader gets no answer at {}; check the endpoint, and that "
                                   "the node listens there for controllers",
                                   detail));
    case raft::ChangeError::kOtherReplica:
      return MakeError(ErrorReason::kInvalidVoterKey,
                       fmt::format("another replica answers at {}: check the node id, the "
                                   "directory id and the cluster it was formatted for",
                                   detail));
    case raft::ChangeError::kObserverOnly:
      return MakeError(ErrorReason::kObserverOnly,
                       fmt::format("the replica at {} serves streams and reads only and is never "
                                   "to be a voter; start it without `observer` first",
                                   detail));
    case raft::ChangeError::kTimedOut: {
      absl::Status status = make(ErrorReason::kDeadlineExceeded, "nothing was changed");
      SetErrorFact(status, "outcome", OutcomeName(Outcome::kNotExecuted));
      return status;
    }
    case raft::ChangeError::kUnknown:
      return make(ErrorReason::kOutcomeUnknown,
                  "see `kvorumctl quorum describe` for what became of it");
    case raft::ChangeError::kOtherLeader:
      return make(ErrorReason::kOtherLeaderElected, "ask again if it must be the other one");
  }
  KVORUM_CHECK(false, "no status for change error {}", static_cast<int>(error));
}

}  // namespace kvorum
