#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/base/random.h"
#include "server/base/time.h"
#include "server/raft/control_record.h"
#include "server/raft/effects.h"
#include "server/raft/events.h"
#include "server/raft/replica_progress.h"
#include "server/raft/voter_set.h"
#include "storage/types/recovered_state.h"

namespace kvorum::raft {

struct RaftState;  // raft_state.h

// Settings; relations are checked at construction. Defaults and names: config/server_config.h.
struct RaftConfig {
  std::string cluster_id;
  uint64_t generation = 0;
  ReplicaKey self;
  VoterSet bootstrap_voters;  // from formatting; used until the log holds a voter set
  // Asked who leads by those whose voter set names nobody who answers, as a replica that is to
  // join.
  std::vector<PeerAddress> bootstrap_servers;
  // Set: the own entry in the voter set is made to say this (KIP-853 "UpdateRaftVoter").
  std::optional<PeerAddress> advertised_address;
  // This replica is never to be a voter: it refuses the dial that comes before (AddVoter).
  bool is_observer_only = false;
  Duration election_timeout = std::chrono::milliseconds(500);   // every draw: T + uniform[0, T)
  Duration fetch_timeout = std::chrono::milliseconds(1500);     // follower without a good fetch
  Duration fetch_max_wait = std::chrono::milliseconds(500);     // long poll; < fetch_timeout / 2
  Duration request_timeout = std::chrono::milliseconds(1500);   // per RPC, on top of max wait
  Duration retry_backoff = std::chrono::milliseconds(20);       // per peer, after a failure
  Duration shutdown_timeout = std::chrono::milliseconds(3000);  // longest stay in Resigned
  // A leader gives its leadership away when a write has taken, or its loop has stood still, for so
  // long. Zero: never.
  Duration disk_stall_timeout = std::chrono::milliseconds(1000);
  Duration loop_stall_timeout = std::chrono::milliseconds(750);
  uint32_t fetch_max_bytes = 1 << 20;
  size_t max_parked_fetches = 1024;
  size_t max_waiting_reads = 10'000;
  ControlEncoder encode_control;
  VotersEncoder encode_voters;
  ControlDecoder decode_control;
};

enum class Role { kUnattached, kFollower, kProspective, kCandidate, kLeader, kResigned };
std::string_view RoleName(Role role);

// Progress of one replica as the leader sees it.
struct ReplicaDescription {
  ReplicaKey key;
  PeerAddress address;  // empty for observers
  bool is_voter = false;
  std::optional<Offset> log_end_offset;  // as last fetched; the leader's own: durable end
  std::optional<TimePoint> last_fetch;   // never for the leader itself
  std::optional<TimePoint> last_caught_up;
};

struct RaftDescription {
  Role role = Role::kUnattached;
  bool is_voter = false;
  bool is_quarantined = false;
  Epoch epoch;
  std::optional<NodeId> leader_id;
  std::optional<ReplicaKey> voted_key;
  std::optional<Offset> high_watermark;
  Offset log_start_offset;
  OffsetAndEpoch log_end;  // epoch: of the last record
  Offset durable_end_offset;
  std::optional<SnapshotId> latest_snapshot;
  Offset epoch_start_offset;            // leader only
  VoterSet voters;                      // the newest, which counts
  std::optional<Offset> voters_offset;  // where it was appended; nullopt: at formatting
  VoterSet committed_voters;            // by what is known here to be committed
  bool is_changing_voters =
      false;  // the newest set is not committed, or a change is under way here
  std::optional<NodeId> transfer_target;     // leader only: leadership is about to go there
  std::vector<ReplicaDescription> replicas;  // leader only: voters by id, then observers
};

// The consensus of KRaft (KIP-595, 853, 996) as a machine: facts in,
// effects out; no clocks, threads or I/O. Owned by Node; loop thread only. Never blocks and never
// fails: an impossible event is a bug (KVORUM_CHECK); bad input from peers is answered, or dropped
// with a trace.
class RaftCore {
 public:
  // `recovered` is what the storage verified. Comes up as consensus.md §1.3 says: never as leader,
  // Resigned if it led the persisted epoch; a one-voter quorum elects itself in the first Step.
  RaftCore(RaftConfig config, const RecoveredState& recovered, Random random, TimePoint now);
  ~RaftCore();
  RaftCore(const RaftCore&) = delete;
  RaftCore& operator=(const RaftCore&) = delete;

  void Step(Now now, Event event);

  // Everything since the last call, in order.
  Effects TakeEffects();

  // When Step(now, TimerFired{}) would next act; kNever if nothing is pending.
  TimePoint NextDeadline() const;

  RaftDescription Describe() const;

  // Cheap accessors for the node's hot path.
  Epoch epoch() const;
  bool is_leader() const;
  std::optional<NodeId> leader_id() const;
  Offset log_end_offset() const;
  Offset log_start_offset() const;
  Offset durable_end_offset() const;
  // Newest end known to be committed; never decreases (a new leader tells others one of its own,
  // which starts unknown).
  std::optional<Offset> high_watermark() const;
  const VoterSet& voters() const;
  // Frozen ones, oldest first; the log starts at the first if it does not start at 0.
  const std::vector<SnapshotManifest>& snapshots() const;
  // The oldest one that a replica copies from this leader: the log should not start beyond it.
  std::optional<SnapshotLease> oldest_snapshot_lease(TimePoint now) const;
  // True: the disk lost something, so this replica casts no vote and acknowledges nothing until it
  // has fetched all of it again.
  bool is_quarantined() const;
  // True while the quorum is known to work from here: this node leads and has committed in its
  // epoch, or its leader has answered a fetch since it began to follow it.
  bool hears_leader() const;
  // True while a leader that is being replaced should append nothing, lest its successor never
  // catch up.
  bool is_transferring() const;
  // True once BeginShutdown has nothing left to hand over: no leadership, no unanswered
  // EndQuorumEpoch (or the shutdown timeout passed). All parked requests have been answered.
  bool is_shut_down() const;

  // What names a snapshot of everything below `id`, but for what only the state machine knows.
  // REQUIRES: log start <= id.offset <= log end.
  SnapshotManifest MakeManifest(const SnapshotId& id, uint64_t chain_hash) const;

  // Epoch of the record at `offset` - 1 (0 at offset 0); nullopt outside [log start, log end].
  std::optional<Epoch> EpochBelow(Offset offset) const;

  const RaftState& state() const;  // for invariants, tests and the simulator

 private:
  std::unique_ptr<RaftState> state_;
};

}  // namespace kvorum::raft
