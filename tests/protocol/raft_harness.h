#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/base/time.h"
#include "server/raft/raft_core.h"

namespace kvorum::raft {

using std::chrono::milliseconds;

// Replica `id` of the test quorum and a second disk of the same node.
ReplicaKey KeyOf(int id, uint8_t disk = 0);
Voter VoterOf(int id, uint8_t disk = 0);
VoterSet VotersUpTo(int count);
VoterSet VotersOf(const std::vector<int>& ids);
// "1,2,4"; of another disk or port: "4.1", "4:9000", "4.1:9000".
std::string ToText(const VoterSet& voters);
RaftConfig TestConfig(int id, const VoterSet& voters);

std::string ToText(ChangeError error);

// Control batches as text: "leader=1 granting=1,2 voters=1,2,3", or " voters=1,2,3,4".
std::shared_ptr<const std::string> EncodeControlText(const EpochStartRecords& records);
std::shared_ptr<const std::string> EncodeVotersText(const VoterSet& voters);
std::optional<VoterSet> DecodeControlText(std::string_view payload);

struct TestSnapshot {
  SnapshotManifest manifest;
  std::vector<std::string> chunks;
};

// What survives a crash.
struct TestDisk {
  QuorumState quorum_state;
  std::vector<RecordBatch> log;
  OffsetAndEpoch log_start;
  uint64_t chain_at_start = GenesisChain();
  std::vector<TestSnapshot> snapshots;  // frozen
  bool is_quarantined = false;

  static uint64_t GenesisChain();
  Offset log_end() const { return log.empty() ? log_start.offset : log.back().end_offset(); }
  const TestSnapshot* Find(const SnapshotId& id) const;

  void Apply(const StorageWrite& write);
  RecoveredState Recover() const;
};

// One core whose disk, clock and peers are in the test's hands. Writes wait in `unsynced` until
// Sync; with auto_sync every Step syncs them. Checks all invariants after every step.
class TestNode {
 public:
  TestNode(int id, const VoterSet& voters, TestDisk disk = {}, TimePoint now = TimePoint(),
           uint64_t seed = 1);
  // With settings of its own, and maybe on another disk of node `id`.
  TestNode(int id, RaftConfig config, TimePoint now = TimePoint(), uint64_t seed = 1);

  RaftCore& core() { return *core_; }
  const RaftCore& core() const { return *core_; }
  RaftDescription Describe() const { return core_->Describe(); }
  Role role() const { return core_->Describe().role; }
  Epoch epoch() const { return core_->epoch(); }
  int id() const { return id_; }
  ReplicaKey key() const { return config_.self; }

  // --- time ---
  TimePoint now() const { return now_; }
  void Advance(Duration by) { now_ += by; }
  void set_now(TimePoint now) { now_ = now; }
  // Goes to the next deadline and fires it.
  void FireTimer();
  // Fires all deadlines of the next `by`.
  void RunFor(Duration by);

  // --- events ---
  void Step(Event event);
  RequestToken Receive(RaftRequest request);
  // As Receive, and takes the answer. REQUIRES: it came at once.
  RaftResponse Ask(RaftRequest request);
  template <typename Response>
  Response AskFor(RaftRequest request) {
    return std::get<Response>(Ask(std::move(request)));
  }
  void Respond(const SendRequest& request, RaftResponse response);
  void Fail(const SendRequest& request, SendFailure failure);
  void Append(const std::string& payload);

  // --- the quorum ---
  ChangeToken Change(VoterChangeKind kind, const Voter& voter, TimePoint deadline = kNever,
                     bool is_dry_run = false);
  ChangeToken Transfer(int target, TimePoint deadline = kNever);
  std::optional<QuorumChangeDone> TakeChange(ChangeToken token);
  // Changes the settings for the next start.
  RaftConfig& config() { return config_; }

  // --- snapshots ---
  // One of everything below the high watermark, `chunks` long, as the state machine makes it.
  SnapshotId TakeSnapshot(int chunks = 2);
  bool auto_store = true;  // chunks that are to be stored or frozen are, at once
  bool freezes_well = true;
  std::optional<SnapshotManifest> last_installed() const { return installed_; }

  // --- disk ---
  bool auto_sync = true;
  void Sync(size_t count = SIZE_MAX);  // completes the oldest writes
  const std::deque<StorageWrite>& unsynced() const { return unsynced_; }
  const TestDisk& disk() const { return disk_; }
  // The log in memory: with what is not synced yet.
  const std::vector<RecordBatch>& log() const { return memory_.log; }
  std::vector<std::string> Payloads() const;
  // Loses what is not synced, starts again from the disk.
  void CrashAndRestart();

  // --- effects so far ---
  std::vector<SendRequest> TakeSends() { return std::exchange(sends_, {}); }
  std::optional<RaftResponse> TakeReply(RequestToken token);
  std::vector<std::pair<RequestToken, RaftResponse>> TakeReplies();
  std::vector<ReadConfirmed> TakeReads() { return std::exchange(reads_, {}); }
  std::vector<LeadershipChange> TakeLeadership() { return std::exchange(leadership_, {}); }
  std::vector<RaftTrace> TakeTraces() { return std::exchange(traces_, {}); }
  bool has_trace(RaftTraceKind kind) const;

  // --- shortcuts for a core of three or more voters ---
  // Timer, pre-votes, votes, sync: leads a new epoch. Empties the effects but for Begins.
  void WinElection();
  // A BeginQuorumEpoch of `leader` arrives.
  void Follow(int leader, int epoch);
  // A good fetch answer of the followed leader arrives for the fetch in flight.
  void AnswerFetch(std::vector<RecordBatch> batches, std::optional<int> high_watermark,
                   uint64_t round = 0);
  // `peer` fetches at our log end (or at `offset`), claiming `high_watermark`.
  FetchRequest FetchFrom(int peer, std::optional<int> offset = std::nullopt) const;
  RequestHeader HeaderFrom(int peer) const;
  ResponseHeader OkHeader(std::optional<int> leader = std::nullopt) const;
  // The requests of type Request among those sent and not taken yet.
  template <typename Request>
  std::vector<SendRequest> TakeSendsOf() {
    std::vector<SendRequest> wanted;
    std::vector<SendRequest> rest;
    for (SendRequest& send : sends_) {
      (std::holds_alternative<Request>(send.request) ? wanted : rest).push_back(std::move(send));
    }
    sends_ = std::move(rest);
    return wanted;
  }

 private:
  void Collect();
  void CollectSnapshotIo(Effects& effects);

  int id_;
  RaftConfig config_;
  TimePoint now_;
  uint64_t seed_;
  TestDisk disk_;
  TestDisk memory_;
  std::unique_ptr<RaftCore> core_;
  std::deque<StorageWrite> unsynced_;
  uint64_t last_token_ = 1'000'000;
  std::vector<SendRequest> sends_;
  std::vector<std::pair<RequestToken, RaftResponse>> replies_;
  std::vector<ReadConfirmed> reads_;
  std::vector<LeadershipChange> leadership_;
  std::vector<QuorumChangeDone> changes_;
  std::vector<RaftTrace> traces_;
  TestSnapshot incoming_;
  std::deque<Event> stored_;  // completions of snapshot writes
  std::optional<SnapshotManifest> installed_;
};

// Batches that continue `log`: one record "x" each, of the given epochs.
std::vector<RecordBatch> BatchesAfter(const std::vector<RecordBatch>& log,
                                      const std::vector<int>& epochs);
// A disk holding one batch of each given epoch, in `epoch` of the quorum state.
TestDisk DiskWith(const std::vector<int>& batch_epochs, int epoch);

}  // namespace kvorum::raft
