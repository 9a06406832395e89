#include "server/base/errors.h"

#include <array>

#include "absl/strings/cord.h"
#include "absl/strings/string_view.h"
#include "server/base/check.h"

namespace kvorum {
namespace {

constexpr char kReasonUrl[] = "kvorum/reason";
constexpr char kFactPrefix[] = "kvorum/fact/";

using absl::StatusCode;

constexpr auto kTable = std::to_array<ErrorInfo>({
    {ErrorReason::kUnknown, "UNKNOWN", StatusCode::kUnknown, Retry::kNo, Outcome::kUnknown},
    {ErrorReason::kNotController, "NOT_CONTROLLER", StatusCode::kUnavailable, Retry::kOtherNode,
     Outcome::kNotExecuted},
    {ErrorReason::kLeaderNotAvailable, "LEADER_NOT_AVAILABLE", StatusCode::kUnavailable,
     Retry::kSameNode, Outcome::kNotExecuted},
    // UNKNOWN, not UNAVAILABLE: stock retry policies replay UNAVAILABLE, and this may have
    // committed.
    {ErrorReason::kOutcomeUnknown, "OUTCOME_UNKNOWN", StatusCode::kUnknown, Retry::kReadAgainFirst,
     Outcome::kUnknown},
    {ErrorReason::kInconsistentClusterId, "INCONSISTENT_CLUSTER_ID",
     StatusCode::kFailedPrecondition, Retry::kNo, Outcome::kNotExecuted},
    {ErrorReason::kInvalidRequest, "INVALID_REQUEST", StatusCode::kInvalidArgument, Retry::kNo,
     Outcome::kNotExecuted},
    {ErrorReason::kRequestTooLarge, "REQUEST_TOO_LARGE", StatusCode::kInvalidArgument, Retry::kNo,
     Outcome::kNotExecuted},
    {ErrorReason::kClassShed, "CLASS_SHED", StatusCode::kResourceExhausted, Retry::kSameNode,
     Outcome::kNotExecuted},
    {ErrorReason::kShuttingDown, "SHUTTING_DOWN", StatusCode::kUnavailable, Retry::kOtherNode,
     Outcome::kNotExecuted},
    {ErrorReason::kUnimplementedField, "UNIMPLEMENTED_FIELD", StatusCode::kUnimplemented,
     Retry::kNo, Outcome::kNotExecuted},
    {ErrorReason::kDeadlineExceeded, "REQUEST_TIMED_OUT", StatusCode::kDeadlineExceeded,
     Retry::kReadAgainFirst, Outcome::kUnknown},
    {ErrorReason::kInvalidVoterKey, "INVALID_VOTER_KEY", StatusCode::kFailedPrecondition,
     Retry::kNo, Outcome::kNotExecuted},
    {ErrorReason::kFencedLeaderEpoch, "FENCED_LEADER_EPOCH", StatusCode::kFailedPrecondition,
     Retry::kReadAgainFirst, Outcome::kNotExecuted},
    {ErrorReason::kUnknownLeaderEpoch, "UNKNOWN_LEADER_EPOCH", StatusCode::kFailedPrecondition,
     Retry::kReadAgainFirst, Outcome::kNotExecuted},
    {ErrorReason::kNotLeaderOrFollower, "NOT_LEADER_OR_FOLLOWER", StatusCode::kFailedPrecondition,
     Retry::kOtherNode, Outcome::kNotExecuted},
    {ErrorReason::kCorruptLog, "CORRUPT_LOG", StatusCode::kDataLoss, Retry::kOtherNode,
     Outcome::kNotExecuted},
    {ErrorReason::kStaleBrokerEpoch, "STALE_BROKER_EPOCH", StatusCode::kFailedPrecondition,
     Retry::kNo, Outcome::kNotExecuted},
    {ErrorReason::kDuplicateBrokerRegistration, "DUPLICATE_BROKER_REGISTRATION",
     StatusCode::kAlreadyExists, Retry::kSameNode, Outcome::kNotExecuted},
    {ErrorReason::kBrokerIdNotRegistered, "BROKER_ID_NOT_REGISTERED", StatusCode::kNotFound,
     Retry::kNo, Outcome::kNotExecuted},
    {ErrorReason::kInvalidRegistration, "INVALID_REGISTRATION", StatusCode::kInvalidArgument,
     Retry::kNo, Outcome::kNotExecuted},
    {ErrorReason::kTopicAlreadyExists, "TOPIC_ALREADY_EXISTS", StatusCode::kAlreadyExists,
     Retry::kNo, Outcome::kNotExecuted},
    {ErrorReason::kUnknownTopicOrPartition, "UNKNOWN_TOPIC_OR_PARTITION", StatusCode::kNotFound,
     Retry::kNo, Outcome::kNotExecuted},
    {ErrorReason::kUnknownTopicId, "UNKNOWN_TOPIC_ID", StatusCode::kNotFound, Retry::kNo,
     Outcome::kNotExecuted},
    {ErrorReason::kInvalidTopic, "INVALID_TOPIC_EXCEPTION", StatusCode::kInvalidArgument,
     Retry::kNo, Outcome::kNotExecuted},
    {ErrorReason::kInvalidPartitions, "INVALID_PARTITIONS", StatusCode::kInvalidArgument,
     Retry::kNo, Outcome::kNotExecuted},
    {ErrorReason::kInvalidReplicationFactor, "INVALID_REPLICATION_FACTOR",
     StatusCode::kInvalidArgument, Retry::kNo, Outcome::kNotExecuted},
    {ErrorReason::kInvalidReplicaAssignment, "INVALID_REPLICA_ASSIGNMENT",
     StatusCode::kInvalidArgument, Retry::kNo, Outcome::kNotExecuted},
    {ErrorReason::kPolicyViolation, "POLICY_VIOLATION", StatusCode::kInvalidArgument, Retry::kNo,
     Outcome::kNotExecuted},
    {ErrorReason::kInvalidUpdateVersion, "INVALID_UPDATE_VERSION", StatusCode::kAborted,
     Retry::kReadAgainFirst, Outcome::kNotExecuted},
    {ErrorReason::kIneligibleReplica, "INELIGIBLE_REPLICA", StatusCode::kFailedPrecondition,
     Retry::kReadAgainFirst, Outcome::kNotExecuted},
    {ErrorReason::kNewLeaderElected, "NEW_LEADER_ELECTED", StatusCode::kFailedPrecondition,
     Retry::kReadAgainFirst, Outcome::kCommitted},
    {ErrorReason::kUnknownKey, "UNKNOWN_KEY", StatusCode::kNotFound, Retry::kNo,
     Outcome::kNotExecuted},
    {ErrorReason::kInvalidKey, "INVALID_KEY", StatusCode::kInvalidArgument, Retry::kNo,
     Outcome::kNotExecuted},
    {ErrorReason::kValueTooLarge, "VALUE_TOO_LARGE", StatusCode::kInvalidArgument, Retry::kNo,
     Outcome::kNotExecuted},
    {ErrorReason::kGenerationMismatch, "GENERATION_MISMATCH", StatusCode::kFailedPrecondition,
     Retry::kReadAgainFirst, Outcome::kNotExecuted},
    {ErrorReason::kPositionDiscarded, "POSITION_DISCARDED", StatusCode::kOutOfRange,
     Retry::kReadAgainFirst, Outcome::kNotExecuted},
    {ErrorReason::kPositionOutOfRange, "POSITION_OUT_OF_RANGE", StatusCode::kOutOfRange,
     Retry::kReadAgainFirst, Outcome::kNotExecuted},
    {ErrorReason::kPositionNotReached, "POSITION_NOT_REACHED", StatusCode::kDeadlineExceeded,
     Retry::kSameNode, Outcome::kNotExecuted},
    {ErrorReason::kSnapshotNotFound, "SNAPSHOT_NOT_FOUND", StatusCode::kNotFound, Retry::kSameNode,
     Outcome::kNotExecuted},
    {ErrorReason::kRequestIdReused, "REQUEST_ID_REUSED", StatusCode::kInvalidArgument, Retry::kNo,
     Outcome::kNotExecuted},
    // ABORTED: not the page but the whole list is to be asked for again.
    {ErrorReason::kPageTokenExpired, "PAGE_TOKEN_EXPIRED", StatusCode::kAborted,
     Retry::kReadAgainFirst, Outcome::kNotExecuted},
    {ErrorReason::kDuplicateVoter, "DUPLICATE_VOTER", StatusCode::kAlreadyExists, Retry::kNo,
     Outcome::kNotExecuted},
    {ErrorReason::kVoterNotFound, "VOTER_NOT_FOUND", StatusCode::kNotFound, Retry::kNo,
     Outcome::kNotExecuted},
    {ErrorReason::kVoterNotCaughtUp, "VOTER_NOT_CAUGHT_UP", StatusCode::kFailedPrecondition,
     Retry::kSameNode, Outcome::kNotExecuted},
    {ErrorReason::kVoterChangePending, "VOTER_CHANGE_PENDING", StatusCode::kFailedPrecondition,
     Retry::kSameNode, Outcome::kNotExecuted},
    {ErrorReason::kVoterUnreachable, "VOTER_UNREACHABLE", StatusCode::kUnavailable, Retry::kNo,
     Outcome::kNotExecuted},
    {ErrorReason::kLastVoter, "LAST_VOTER", StatusCode::kFailedPrecondition, Retry::kNo,
     Outcome::kNotExecuted},
    {ErrorReason::kQuorumAtRisk, "QUORUM_AT_RISK", StatusCode::kFailedPrecondition,
     Retry::kSameNode, Outcome::kNotExecuted},
    {ErrorReason::kOtherLeaderElected, "OTHER_LEADER_ELECTED", StatusCode::kAborted,
     Retry::kReadAgainFirst, Outcome::kUnknown},
    {ErrorReason::kObserverOnly, "OBSERVER_ONLY", StatusCode::kFailedPrecondition, Retry::kNo,
     Outcome::kNotExecuted},
    {ErrorReason::kClusterNotInitialized, "CLUSTER_NOT_INITIALIZED", StatusCode::kUnavailable,
     Retry::kOtherNode, Outcome::kNotExecuted},
    {ErrorReason::kClusterAlreadyInitialized, "CLUSTER_ALREADY_INITIALIZED",
     StatusCode::kFailedPrecondition, Retry::kNo, Outcome::kNotExecuted},
    {ErrorReason::kInvalidConfig, "INVALID_CONFIG", StatusCode::kInvalidArgument, Retry::kNo,
     Outcome::kNotExecuted},
    {ErrorReason::kDuplicateResource, "DUPLICATE_RESOURCE", StatusCode::kInvalidArgument,
     Retry::kNo, Outcome::kNotExecuted},
    {ErrorReason::kResourceNotFound, "RESOURCE_NOT_FOUND", StatusCode::kNotFound, Retry::kNo,
     Outcome::kNotExecuted},
    {ErrorReason::kUnacceptableCredential, "UNACCEPTABLE_CREDENTIAL", StatusCode::kInvalidArgument,
     Retry::kNo, Outcome::kNotExecuted},
    {ErrorReason::kUnsupportedSaslMechanism, "UNSUPPORTED_SASL_MECHANISM",
     StatusCode::kInvalidArgument, Retry::kNo, Outcome::kNotExecuted},
    {ErrorReason::kUnsupportedVersion, "UNSUPPORTED_VERSION", StatusCode::kFailedPrecondition,
     Retry::kNo, Outcome::kNotExecuted},
    {ErrorReason::kBrokerNotAvailable, "BROKER_NOT_AVAILABLE", StatusCode::kFailedPrecondition,
     Retry::kReadAgainFirst, Outcome::kNotExecuted},
    // FAILED_PRECONDITION, not RESOURCE_EXHAUSTED: trying again does not help until something goes.
    {ErrorReason::kLimitExceeded, "LIMIT_EXCEEDED", StatusCode::kFailedPrecondition, Retry::kNo,
     Outcome::kNotExecuted},
    {ErrorReason::kElectionNotNeeded, "ELECTION_NOT_NEEDED", StatusCode::kFailedPrecondition,
     Retry::kNo, Outcome::kNotExecuted},
    {ErrorReason::kPreferredLeaderNotAvailable, "PREFERRED_LEADER_NOT_AVAILABLE",
     StatusCode::kFailedPrecondition, Retry::kReadAgainFirst, Outcome::kNotExecuted},
    {ErrorReason::kEligibleLeadersNotAvailable, "ELIGIBLE_LEADERS_NOT_AVAILABLE",
     StatusCode::kFailedPrecondition, Retry::kReadAgainFirst, Outcome::kNotExecuted},
    {ErrorReason::kNoReassignmentInProgress, "NO_REASSIGNMENT_IN_PROGRESS",
     StatusCode::kFailedPrecondition, Retry::kNo, Outcome::kNotExecuted},
});

absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace

const ErrorInfo& GetErrorInfo(ErrorReason reason) {
  for (const ErrorInfo& row : kTable) {
    if (row.reason == reason) {
      return row;
    }
  }
  KVORUM_CHECK(false, "no row for reason {}", static_cast<int>(reason));
}

std::optional<ErrorReason> ParseErrorReason(std::string_view name) {
  for (const ErrorInfo& row : kTable) {
    if (row.name == name) {
      return row.reason;
    }
  }
  return std::nullopt;
}

std::string_view RetryName(Retry retry) {
  switch (retry) {
    case Retry::kNo:
      return "no";
    case Retry::kSameNode:
      return "same_node";
    case Retry::kOtherNode:
      return "other_node";
    case Retry::kReadAgainFirst:
      return "read_again_first";
  }
  return "no";
}

std::string_view OutcomeName(Outcome outcome) {
  switch (outcome) {
    case Outcome::kNotExecuted:
      return "not_executed";
    case Outcome::kUnknown:
      return "unknown";
    case Outcome::kCommitted:
      return "committed";
  }
  return "unknown";
}

absl::Status MakeError(ErrorReason reason, std::string_view message) {
  const ErrorInfo& info = GetErrorInfo(reason);
  absl::Status status(info.code, ToAbsl(message));
  status.SetPayload(kReasonUrl, absl::Cord(ToAbsl(info.name)));
  return status;
}

ErrorReason GetErrorReason(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kReasonUrl);
  if (!payload.has_value()) {
    return ErrorReason::kUnknown;
  }
  return ParseErrorReason(std::string(*payload)).value_or(ErrorReason::kUnknown);
}

void SetErrorFact(absl::Status& status, std::string_view key, std::string_view value) {
  status.SetPayload(kFactPrefix + std::string(key), absl::Cord(ToAbsl(value)));
}

std::map<std::string, std::string> GetErrorFacts(const absl::Status& status) {
  std::map<std::string, std::string> facts;
  status.ForEachPayload([&facts](absl::string_view url, const absl::Cord& value) {
    const std::string key(url);
    if (key.starts_with(kFactPrefix)) {
      facts[key.substr(sizeof(kFactPrefix) - 1)] = std::string(value);
    }
  });
  return facts;
}

}  // namespace kvorum
