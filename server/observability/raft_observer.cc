#include "server/observability/raft_observer.h"

#include "server/base/log.h"

namespace kvorum {
namespace {

struct KindInfo {
  LogLevel level;
  std::string_view counter;  // value of the label "kind"
};

KindInfo InfoOf(raft::RaftTraceKind kind) {
  using Kind = raft::RaftTraceKind;
  switch (kind) {
    case Kind::kBecameUnattached:
      return {LogLevel::kInfo, "became_unattached"};
    case Kind::kBecameProspective:
      return {LogLevel::kInfo, "became_prospective"};
    case Kind::kBecameCandidate:
      return {LogLevel::kInfo, "became_candidate"};
    case Kind::kBecameLeader:
      return {LogLevel::kInfo, "became_leader"};
    case Kind::kBecameFollower:
      return {LogLevel::kInfo, "became_follower"};
    case Kind::kBecameResigned:
      return {LogLevel::kInfo, "became_resigned"};
    case Kind::kVoteGranted:
      return {LogLevel::kDebug, "vote_granted"};
    case Kind::kVoteRejected:
      return {LogLevel::kDebug, "vote_rejected"};
    case Kind::kPreVoteGranted:
      return {LogLevel::kDebug, "pre_vote_granted"};
    case Kind::kPreVoteRejected:
      return {LogLevel::kDebug, "pre_vote_rejected"};
    case Kind::kAppended:
      return {LogLevel::kTrace, "appended"};
    case Kind::kTruncated:
      return {LogLevel::kWarning, "truncated"};
    case Kind::kHighWatermark:
      return {LogLevel::kTrace, "high_watermark"};
    case Kind::kSnapshotTaken:
      return {LogLevel::kInfo, "snapshot_taken"};
    case Kind::kSnapshotInstalled:
      return {LogLevel::kWarning, "snapshot_installed"};
    case Kind::kLogStartMoved:
      return {LogLevel::kInfo, "log_start_moved"};
    case Kind::kQuarantineLeft:
      return {LogLevel::kWarning, "quarantine_left"};
    case Kind::kDivergingFetch:
      return {LogLevel::kInfo, "diverging_fetch"};
    case Kind::kCheckQuorumFailed:
      return {LogLevel::kWarning, "check_quorum_failed"};
    case Kind::kVotersChanged:
      return {LogLevel::kWarning, "voters_changed"};
    case Kind::kLeaderRemoved:
      return {LogLevel::kWarning, "leader_removed"};
    case Kind::kLeadershipGivenUp:
      return {LogLevel::kWarning, "leadership_given_up"};
    case Kind::kLeaderConnectionRefused:
      return {LogLevel::kInfo, "leader_connection_refused"};
    case Kind::kRequestRejected:
      return {LogLevel::kDebug, "request_rejected"};
  }
  return {LogLevel::kInfo, "other"};
}

}  // namespace

void RaftObserver::OnRaftTrace(const raft::RaftTrace& trace) {
  const KindInfo info = InfoOf(trace.kind);
  metrics_.CountRaftEvent(trace.kind, info.counter);
  if (IsLogEnabled(info.level)) {
    LogLine(info.level, "raft", raft::ToText(trace));
  }
}

void RaftObserver::OnLeadership(const raft::LeadershipChange& change) {
  if (change.leader_id.has_value()) {
    LogInfo("raft", "node={} epoch={} leader={}", self_, change.epoch, *change.leader_id);
  } else {
    LogInfo("raft", "node={} epoch={} leader=none", self_, change.epoch);
  }
}

void RaftObserver::OnActiveController(Epoch epoch, bool active) {
  LogInfo("controller", "node={} epoch={} {}", self_, epoch,
          active ? "is the active controller" : "is no longer the active controller");
}

void RaftObserver::OnSnapshotDamaged(const SnapshotId& id, const absl::Status& status) {
  LogError("snapshots", "node={} snapshot {} is damaged and will be replaced; check this disk: {}",
           self_, id, status.ToString());
}

}  // namespace kvorum
