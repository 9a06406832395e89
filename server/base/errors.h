#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace kvorum {

// Why a request was refused: Kafka's names, the numbers of kvorum.v1.ErrorReason (a test compares
// the two). Each has one row in the table of errors.cc.
enum class ErrorReason {
  kUnknown = 0,
  kNotController = 1,
  kLeaderNotAvailable = 2,
  kOutcomeUnknown = 3,
  kInconsistentClusterId = 4,
  kInvalidRequest = 5,
  kRequestTooLarge = 6,
  kClassShed = 7,
  kShuttingDown = 8,
  kUnimplementedField = 9,
  kDeadlineExceeded = 10,
  kInvalidVoterKey = 11,
  kFencedLeaderEpoch = 12,
  kUnknownLeaderEpoch = 13,
  kNotLeaderOrFollower = 14,
  kCorruptLog = 15,
  kStaleBrokerEpoch = 20,
  kDuplicateBrokerRegistration = 21,
  kBrokerIdNotRegistered = 22,
  kInvalidRegistration = 23,
  kTopicAlreadyExists = 30,
  kUnknownTopicOrPartition = 31,
  kUnknownTopicId = 32,
  kInvalidTopic = 33,
  kInvalidPartitions = 34,
  kInvalidReplicationFactor = 35,
  kInvalidReplicaAssignment = 36,
  kPolicyViolation = 37,
  kInvalidUpdateVersion = 38,
  kIneligibleReplica = 39,
  kNewLeaderElected = 40,
  kUnknownKey = 50,
  kInvalidKey = 51,
  kValueTooLarge = 52,
  kGenerationMismatch = 60,
  kPositionDiscarded = 61,
  kPositionOutOfRange = 62,
  kPositionNotReached = 63,
  kSnapshotNotFound = 64,
  kRequestIdReused = 65,
  kPageTokenExpired = 66,
  kDuplicateVoter = 70,
  kVoterNotFound = 71,
  kVoterNotCaughtUp = 72,
  kVoterChangePending = 73,
  kVoterUnreachable = 74,
  kLastVoter = 75,
  kQuorumAtRisk = 76,
  kOtherLeaderElected = 77,
  kObserverOnly = 78,
  kClusterNotInitialized = 80,
  kClusterAlreadyInitialized = 81,
  kInvalidConfig = 100,
  kDuplicateResource = 101,
  kResourceNotFound = 102,
  kUnacceptableCredential = 103,
  kUnsupportedSaslMechanism = 104,
  kUnsupportedVersion = 105,
  kBrokerNotAvailable = 106,
  kLimitExceeded = 107,
  kElectionNotNeeded = 130,
  kPreferredLeaderNotAvailable = 131,
  kEligibleLeadersNotAvailable = 132,
  kNoReassignmentInProgress = 133,
};

// What a caller may do with the same request.
enum class Retry { kNo, kSameNode, kOtherNode, kReadAgainFirst };
// What the refused request did to the state.
enum class Outcome { kNotExecuted, kUnknown, kCommitted };

struct ErrorInfo {
  ErrorReason reason;
  std::string_view name;  // UPPER_SNAKE, stable, Kafka's where Kafka has one
  absl::StatusCode code;
  Retry retry;
  Outcome outcome;
};

// The row of `reason`.
const ErrorInfo& GetErrorInfo(ErrorReason reason);
std::optional<ErrorReason> ParseErrorReason(std::string_view name);
std::string_view RetryName(Retry retry);  // "no", "same_node", "other_node", "read_again_first"
std::string_view OutcomeName(Outcome outcome);  // "not_executed", "unknown", "committed"

// A status with the canonical code of `reason`, carrying the reason as a payload. `message` says
// what, which, the values, and what to do.
absl::Status MakeError(ErrorReason reason, std::string_view message);

// kUnknown for OK and for statuses not made by MakeError.
ErrorReason GetErrorReason(const absl::Status& status);

// Facts for machines that travel beside the reason, for example leader_id, leader_endpoint.
void SetErrorFact(absl::Status& status, std::string_view key, std::string_view value);
std::map<std::string, std::string> GetErrorFacts(const absl::Status& status);

}  // namespace kvorum
