#include "tests/sim/marks.h"

#include "server/base/check.h"

namespace kvorum::sim {
namespace {

// In the order of Mark.
constexpr std::array<std::string_view, kMarkCount> kNames = {
    "became_unattached",
    "became_prospective",
    "became_candidate",
    "became_leader",
    "became_follower",
    "became_resigned",
    "vote_granted",
    "vote_rejected",
    "pre_vote_granted",
    "pre_vote_rejected",
    "appended",
    "truncated",
    "high_watermark",
    "snapshot_taken",
    "snapshot_installed",
    "log_start_moved",
    "quarantine_left",
    "diverging_fetch",
    "check_quorum_failed",
    "voters_changed",
    "leader_removed",
    "leadership_given_up",
    "leader_connection_refused",
    "request_rejected",
    "crash",
    "crash_all",
    "crash_lost_writes",
    "restart",
    "clean_shutdown",
    "pause",
    "partition",
    "one_way_link",
    "bridge_partition",
    "ring_partition",
    "clogged_link",
    "stale_message",
    "heal",
    "slow_disk",
    "hanging_disk",
    "clock_rate",
    "wall_clock_jump",
    "write_failed",
    "read_failed",
    "damage_refused",
    "message_dropped",
    "message_duplicated",
    "message_misrouted",
    "batch_damaged",
    "foreign_cluster_message",
    "rogue_fetch",
    "rogue_vote",
    "connection_refused",
    "truncated_committed_elsewhere",
    "speculation_dropped",
    "client_ok",
    "client_not_controller",
    "client_leader_not_available",
    "client_outcome_unknown",
    "client_timeout",
    "client_connection_refused",
    "client_shed",
    "client_shutting_down",
    "client_deadline_exceeded",
    "client_conflict",
    "compare_and_set_ok",
    "linearizable_read",
    "linearizable_read_failed",
    "local_read",
    "local_read_behind",
    "topic_created",
    "topic_deleted",
    "topic_grown",
    "isr_changed",
    "large_command",
    "stream_snapshot",
    "stream_resumed",
    "stream_go_away",
    "stream_closed_with_error",
    "stream_bookmark",
    "commit_in_parts",
    "slow_subscriber",
    "broker_crash",
    "broker_restart",
    "broker_stale_epoch",
    "broker_fenced",
    "broker_unfenced",
    "broker_shutdown",
    "broker_unregistered",
    "backpressure",
    "publisher_log_read",
    "liveness_with_minority_down",
    "liveness_with_send_only_node",
    "liveness_with_half_linked_node",
    "snapshot_triggered",
    "snapshot_copied",
    "chunk_damaged",
    "chunk_damage_noticed",
    "quarantine_entered",
    "vote_refused_in_quarantine",
    "log_suffix_lost",
    "disk_rolled_back",
    "database_lost",
    "snapshot_lost",
    "guard_slot_lost",
    "guard_behind",
    "stalled_disk",
    "stream_reset_by_compaction",
    "liveness_with_quarantine",
    "snapshot_damaged_on_the_way",
    "odd_subscription",
    "voters_rolled_back",
    "disk_replaced",
    "voter_added",
    "voter_removed",
    "voter_updated",
    "leadership_transferred",
    "quorum_change_refused",
    "quorum_change_unknown",
};
static_assert(!kNames.back().empty(), "a mark without a name");

}  // namespace

std::string_view MarkName(Mark mark) { return kNames[static_cast<size_t>(mark)]; }

Mark MarkOf(raft::RaftTraceKind kind) {
  const auto index = static_cast<size_t>(kind);
  KVORUM_CHECK(index <= static_cast<size_t>(Mark::kRequestRejected), "trace kind {} has no mark",
               index);
  return static_cast<Mark>(index);
}

void Marks::Add(const Marks& other) {
  for (size_t i = 0; i < kMarkCount; ++i) {
    counts[i] += other.counts[i];
  }
}

}  // namespace kvorum::sim
