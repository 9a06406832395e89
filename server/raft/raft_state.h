#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <variant>
#include <vector>

#include "server/base/random.h"
#include "server/base/time.h"
#include "server/raft/effects.h"
#include "server/raft/log_shape.h"
#include "server/raft/pending_writes.h"
#include "server/raft/raft_core.h"
#include "server/raft/replica_progress.h"
#include "server/raft/voter_history.h"
#include "server/raft/waiting_fetches.h"

namespace kvorum::raft {

// A far higher epoch than ours comes from a broken or hostile peer, and adopting it would use the
// epochs up.
inline constexpr int32_t kMaxEpochJump = 1'000'000;
// Observers whose progress the leader remembers; those beyond it are served all the same.
inline constexpr size_t kMaxTrackedObservers = 1024;
inline constexpr Duration kObserverSessionTimeout = std::chrono::seconds(300);
// Longest list of successors an EndQuorumEpoch may carry.
inline constexpr size_t kMaxPreferredCandidates = 64;
// A peer's back-off doubles from retry_backoff up to 2^4 of it.
inline constexpr uint32_t kMaxBackoffDoublings = 4;
// Followers that lose their leader at the same moment campaign this far apart, so that the first
// has won before the next begins.
inline constexpr Duration kCampaignStagger = std::chrono::milliseconds(15);
inline constexpr Duration kCampaignJitter = std::chrono::milliseconds(5);

// Longest list of voters, by the limit on successors.
inline constexpr size_t kMaxVoters = kMaxPreferredCandidates;

// Answers of one election, by voter (self included). Made anew at each entry of its role.
struct ElectionTally {
  std::map<NodeId, bool> answers;

  size_t granted() const;
  bool has_answer(NodeId id) const { return answers.contains(id); }
  bool is_won(const VoterSet& voters) const { return granted() >= voters.majority(); }
  // No majority can be reached with the answers that are missing.
  bool is_lost(const VoterSet& voters) const;
};

// Knows the epoch but no leader to fetch from (an id without an address at most).
struct Unattached {
  std::optional<NodeId> leader_id;
  TimePoint election_deadline;  // voters only
};

// A snapshot on its way from the leader. Does not outlive the role: another leader's copy of it is
// begun anew (consensus.md §2.5).
struct SnapshotCopy {
  enum class Stage { kAsking, kStoring, kFreezing };

  SnapshotId id;
  std::optional<SnapshotManifest> manifest;  // from the first answer on
  int64_t chunks = 0;                        // stored
  Stage stage = Stage::kAsking;
};

struct Follower {
  // Kept beside the voter set, which a leader that removes itself has left before its followers
  // know that this is committed.
  Voter leader;
  TimePoint fetch_deadline;  // voters only
  // A good fetch answer came since this role was entered: the leader lives, so pre-votes are
  // refused (KIP-996).
  bool has_fetched = false;
  uint64_t round = 0;                    // newest round number of this leader
  std::optional<SnapshotCopy> snapshot;  // being fetched instead of the log
  std::optional<TimePoint> campaign_at;  // the leader's port was closed
  TimePoint next_update;                 // when the own entry in the voter set is looked at again

  NodeId leader_id() const { return leader.key.node_id; }
};

// Asks whether it could win before it raises the epoch (KIP-996).
struct Prospective {
  std::optional<NodeId> leader_id;  // of before; returned to if the pre-vote is lost
  std::optional<Voter> leader;      // the same, if it was followed
  ElectionTally tally;
  TimePoint election_deadline;
};

struct Candidate {
  ElectionTally tally;
  TimePoint election_deadline;
};

// A read that waits until a majority has echoed `round`.
struct WaitingRead {
  ReadToken token;
  uint64_t round = 0;
};

// A change of the voter set that somebody waits for (KIP-853). One at a time.
struct VoterChange {
  std::variant<RequestToken, ChangeToken> asker;  // a voter, or somebody outside
  VoterChangeKind kind = VoterChangeKind::kAdd;
  Voter voter;
  TimePoint deadline = kNever;
  bool is_dry_run = false;
  std::optional<Offset> offset;  // appended there; else the voter's endpoint is being dialed
};

struct Leader {
  Offset epoch_start_offset;
  // Unknown until a record of this epoch is committed (Raft §5.4.2).
  std::optional<Offset> high_watermark;
  TimePoint since;
  PeerAddress address;                             // its own; also once it has left the voter set
  std::map<ReplicaKey, ReplicaProgress> progress;  // voters but self, and observers
  std::map<NodeId, TimePoint> next_begin;          // BeginQuorumEpoch is due, by voter
  uint64_t confirmed_round = 0;                    // echoed by a majority
  std::deque<WaitingRead> reads;                   // rounds never decrease
  std::optional<VoterChange> change;
  std::optional<TimePoint> stalled_at;  // when this node last noticed that it had not run for long
};

// Led this epoch and does no more: it must not issue its offsets twice (consensus.md §1.3).
struct Resigned {
  std::set<NodeId> unacked;           // voters that have not answered EndQuorumEpoch
  std::vector<ReplicaKey> preferred;  // successors, most complete log first
  bool is_transfer = false;           // the first of them need not ask whether this leader lives
  TimePoint election_deadline;
};

// A hand-over that somebody asked for: first the target catches up, then the leader resigns, and
// the next leader that is known decides (Raft thesis §3.10).
struct PendingTransfer {
  ChangeToken token;
  ReplicaKey target;
  Epoch epoch;  // the one that is given up
  TimePoint catch_up_deadline;
  TimePoint deadline;
};

// Below the log start, once `after` is synced: nothing refers to it then.
struct DoomedSnapshot {
  SnapshotId id;
  WriteId after;
};

// What a quarantined replica must hold: the log end of a leader that was elected without its vote.
struct QuarantineEnd {
  Epoch epoch;
  Offset log_end;
};

// A voter that says to be elsewhere than `listed`, its entry in the voter set.
struct MovedVoter {
  Voter listed;
  PeerAddress address;
  bool is_in_doubt = false;  // nobody there when last tried
};

using RoleState = std::variant<Unattached, Follower, Prospective, Candidate, Leader, Resigned>;

// The conversation with one peer: at most one request at a time (KIP-595). All are reset when the
// role changes.
struct PeerConnection {
  std::optional<CorrelationId> in_flight;
  size_t request_index = 0;  // alternative of RaftRequest that is in flight
  TimePoint ready_at;        // backing off until then
  uint32_t failures = 0;     // in a row
};

// The search for a leader: one peer after the other is asked who leads.
struct Probing {
  TimePoint next;              // not before
  uint32_t failures = 0;       // in a row
  std::optional<NodeId> last;  // whom the turn has come to
  std::optional<Voter> told;   // whom somebody in an older epoch follows: asked out of turn
};

// All of a replica's consensus state. Owned by RaftCore; loop thread only. Behaviour is in free
// functions, one file per topic of the protocol; role and epoch change in transitions.cc only.
struct RaftState {
  RaftState(RaftConfig raft_config, const RecoveredState& recovered, Random seeded,
            TimePoint start);

  RaftConfig config;
  Random random;
  Now now;  // of the current step

  Epoch epoch;
  std::optional<ReplicaKey> voted_key;  // in `epoch`
  RoleState role;
  LogShape log;
  VoterHistory voters;
  // Newest known committed end; never decreases (a new leader's own is in Leader).
  std::optional<Offset> high_watermark;

  std::vector<SnapshotManifest> snapshots;  // frozen, oldest first
  std::vector<DoomedSnapshot> doomed_snapshots;
  // Set: the disk forgot something (storage's guard). Votes for nobody, campaigns for nothing and
  // acknowledges nothing until everything the leader had is here again and committed.
  bool is_quarantined = false;
  std::optional<QuarantineEnd> quarantine_end;

  QuorumState submitted;  // as last handed to storage
  PendingWrites pending_writes;
  WriteId quorum_state_write;  // newest write of a QuorumState: no message may overtake it

  std::map<NodeId, PeerConnection> peers;
  std::map<NodeId, MovedVoter> moved_voters;
  CorrelationId last_correlation_id;
  std::optional<NodeId> fetch_target;  // the peer of the one fetch in flight
  Probing probing;

  WaitingFetches waiting_fetches;
  uint64_t round = 0;  // newest read round; only grows, also across leaderships
  std::optional<TimePoint> last_lost_connection;
  std::optional<TimePoint> shutdown_deadline;  // set: shutting down

  std::optional<PendingTransfer> transfer;
  TimePoint due = kNever;  // when the step before wanted to be called again

  LeadershipChange announced;  // last LeadershipChange emitted
  Effects effects;
};

Role RoleOf(const RaftState& state);
// The leader peers are told of; none while Resigned.
std::optional<NodeId> KnownLeader(const RaftState& state);
// The leader of the epoch for the record, which is self while Resigned.
std::optional<NodeId> LeaderOfEpoch(const RaftState& state);
bool IsVoter(const RaftState& state);
// A voter until the newest set, which is not known to be committed. It may campaign, without a vote
// of its own: if it holds the record of its removal and the others do not, they wait for it (Raft
// thesis §4.2.2).
bool IsLeaving(const RaftState& state);
// One whose word counts: it may campaign.
bool MayElect(const RaftState& state);
const VoterSet& Voters(const RaftState& state);
bool IsShuttingDown(const RaftState& state);
bool IsShutDown(const RaftState& state);

// Where this node tells others to reach it; nullopt: neither settings nor the voter set say so.
std::optional<PeerAddress> OwnAddress(const RaftState& state);

// T + uniform[0, T): spreads elections apart (Raft §5.2).
TimePoint DrawElectionDeadline(RaftState& state);
// How long a follower of `leader_id` lets those of smaller ids campaign first.
Duration CampaignDelay(const RaftState& state, NodeId leader_id);
// When a follower that hears no more from `leader_id` gives it up.
TimePoint NextFetchDeadline(const RaftState& state, NodeId leader_id);
// retry_backoff doubled with each failure in a row, up to a cap.
Duration BackoffAfter(const RaftConfig& config, uint32_t failures);

// The value that a majority of voters has reached: `value_of` each voter, the majority-th largest.
// REQUIRES: voters is not empty.
template <typename T, typename ValueOf>
T MajorityValue(const VoterSet& voters, ValueOf value_of) {
  std::vector<T> values;
  values.reserve(voters.size());
  for (const auto& [id, voter] : voters.voters()) {
    values.push_back(value_of(voter));
  }
  const auto nth = values.begin() + static_cast<std::ptrdiff_t>(voters.majority() - 1);
  std::nth_element(values.begin(), nth, values.end(), std::greater<T>());
  return *nth;
}

}  // namespace kvorum::raft
