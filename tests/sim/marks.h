#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "server/raft/raft_trace.h"

namespace kvorum::sim {

// Rare paths a run may reach. A mark that thousands of seeds never hit says that the simulator has
// gone blind there (FoundationDB's probes). A new mark: a row here and one in marks.cc.
enum class Mark : size_t {
  // The first entries mirror raft::RaftTraceKind, in its order.
  kBecameUnattached,
  kBecameProspective,
  kBecameCandidate,
  kBecameLeader,
  kBecameFollower,
  kBecameResigned,
  kVoteGranted,
  kVoteRejected,
  kPreVoteGranted,
  kPreVoteRejected,
  kAppended,
  kTruncated,
  kHighWatermark,
  kSnapshotTaken,
  kSnapshotInstalled,
  kLogStartMoved,
  kQuarantineLeft,
  kDivergingFetch,
  kCheckQuorumFailed,
  kVotersChanged,
  kLeaderRemoved,
  kLeadershipGivenUp,
  kLeaderConnectionRefused,
  kRequestRejected,
  kCrash,
  kCrashAll,
  kCrashLostWrites,
  kRestart,
  kCleanShutdown,
  kPause,
  kPartition,
  kOneWayLink,
  kBridgePartition,
  kRingPartition,
  kCloggedLink,
  kStaleMessage,
  kHeal,
  kSlowDisk,
  kHangingDisk,
  kClockRate,
  kWallClockJump,
  kWriteFailed,
  kReadFailed,
  kDamageRefused,
  kMessageDropped,
  kMessageDuplicated,
  kMessageMisrouted,
  kBatchDamaged,
  kForeignClusterMessage,
  kRogueFetch,
  kRogueVote,
  kConnectionRefused,
  kTruncatedCommittedElsewhere,
  kSpeculationDropped,
  kClientOk,
  kClientNotController,
  kClientLeaderNotAvailable,
  kClientOutcomeUnknown,
  kClientTimeout,
  kClientConnectionRefused,
  kClientShed,
  kClientShuttingDown,
  kClientDeadlineExceeded,
  kClientConflict,
  kCompareAndSetOk,
  kLinearizableRead,
  kLinearizableReadFailed,
  kLocalRead,
  kLocalReadBehind,
  kTopicCreated,
  kTopicDeleted,
  kTopicGrown,
  kIsrChanged,
  kLargeCommand,
  kStreamSnapshot,
  kStreamResumed,
  kStreamGoAway,
  kStreamClosedWithError,
  kStreamBookmark,
  kCommitInParts,
  kSlowSubscriber,
  kBrokerCrash,
  kBrokerRestart,
  kBrokerStaleEpoch,
  kBrokerFenced,
  kBrokerUnfenced,
  kBrokerShutdown,
  kBrokerUnregistered,
  kBackpressure,
  kPublisherLogRead,
  kLivenessWithMinorityDown,
  kLivenessWithSendOnlyNode,
  kLivenessWithHalfLinkedNode,
  kSnapshotTriggered,
  kSnapshotCopied,
  kChunkDamaged,
  kChunkDamageNoticed,
  kQuarantineEntered,
  kVoteRefusedInQuarantine,
  kLogSuffixLost,
  kDiskRolledBack,
  kDatabaseLost,
  kSnapshotLost,
  kGuardSlotLost,
  kGuardBehind,
  kStalledDisk,
  kStreamResetByCompaction,
  kLivenessWithQuarantine,
  kSnapshotDamagedOnTheWay,
  kOddSubscription,
  kVotersRolledBack,
  kDiskReplaced,
  kVoterAdded,
  kVoterRemoved,
  kVoterUpdated,
  kLeadershipTransferred,
  kQuorumChangeRefused,
  kQuorumChangeUnknown,
  kDomainOperationOk,
  kRetryAnswered,
  kTransactionCommitted,
  kCount,
};

inline constexpr size_t kMarkCount = static_cast<size_t>(Mark::kCount);

std::string_view MarkName(Mark mark);
Mark MarkOf(raft::RaftTraceKind kind);

// How often a run reached each mark. Plain value.
struct Marks {
  std::array<uint32_t, kMarkCount> counts{};

  void Hit(Mark mark) { ++counts[static_cast<size_t>(mark)]; }
  uint32_t Count(Mark mark) const { return counts[static_cast<size_t>(mark)]; }
  void Add(const Marks& other);
};

}  // namespace kvorum::sim
