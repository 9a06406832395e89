#include "server/raft/raft_trace.h"

#include <fmt/format.h>

#include <string_view>

namespace kvorum::raft {
namespace {

std::string_view KindName(RaftTraceKind kind) {
  switch (kind) {
    case RaftTraceKind::kBecameUnattached:
      return "became_unattached";
    case RaftTraceKind::kBecameProspective:
      return "became_prospective";
    case RaftTraceKind::kBecameCandidate:
      return "became_candidate";
    case RaftTraceKind::kBecameLeader:
      return "became_leader";
    case RaftTraceKind::kBecameFollower:
      return "became_follower";
    case RaftTraceKind::kBecameResigned:
      return "became_resigned";
    case RaftTraceKind::kVoteGranted:
      return "vote_granted";
    case RaftTraceKind::kVoteRejected:
      return "vote_rejected";
    case RaftTraceKind::kPreVoteGranted:
      return "pre_vote_granted";
    case RaftTraceKind::kPreVoteRejected:
      return "pre_vote_rejected";
    case RaftTraceKind::kAppended:
      return "appended";
    case RaftTraceKind::kTruncated:
      return "truncated";
    case RaftTraceKind::kHighWatermark:
      return "high_watermark";
    case RaftTraceKind::kSnapshotTaken:
      return "snapshot_taken";
    case RaftTraceKind::kSnapshotInstalled:
      return "snapshot_installed";
    case RaftTraceKind::kLogStartMoved:
      return "log_start_moved";
    case RaftTraceKind::kQuarantineLeft:
      return "quarantine_left";
    case RaftTraceKind::kDivergingFetch:
      return "diverging_fetch";
    case RaftTraceKind::kCheckQuorumFailed:
      return "check_quorum_failed";
    case RaftTraceKind::kVotersChanged:
      return "voters_changed";
    case RaftTraceKind::kLeaderRemoved:
      return "leader_removed";
    case RaftTraceKind::kLeadershipGivenUp:
      return "leadership_given_up";
    case RaftTraceKind::kLeaderConnectionRefused:
      return "leader_connection_refused";
    case RaftTraceKind::kRequestRejected:
      return "request_rejected";
  }
  return "unknown";
}

}  // namespace

std::string ToText(const RaftTrace& trace) {
  std::string text =
      fmt::format("{} node={} epoch={}", KindName(trace.kind), trace.node, trace.epoch);
  if (trace.peer.has_value()) {
    text += fmt::format(" peer={}", *trace.peer);
  }
  if (trace.offset.has_value()) {
    text += fmt::format(" offset={}", *trace.offset);
  }
  if (!trace.detail.empty()) {
    text += fmt::format(" {}", trace.detail);
  }
  return text;
}

}  // namespace kvorum::raft
