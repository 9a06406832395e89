#include "tests/protocol/raft_harness.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <sstream>
#include <utility>

#include "server/base/check.h"
#include "server/raft/invariants.h"

namespace kvorum::raft {
namespace {

constexpr char kClusterId[] = "test-cluster";
constexpr uint64_t kGeneration = 7;

}  // namespace

ReplicaKey KeyOf(int id, uint8_t disk) {
  std::array<uint8_t, Uuid::kBytes> bytes{};
  bytes[0] = static_cast<uint8_t>(id);
  bytes[1] = disk;
  bytes[2] = 1;
  return ReplicaKey{.node_id = NodeId(id), .directory_id = Uuid(bytes)};
}

constexpr uint16_t kFirstPort = 7400;

Voter VoterOf(int id, uint8_t disk) {
  return Voter{.key = KeyOf(id, disk),
               .address = {.host = "controller", .port = static_cast<uint16_t>(kFirstPort + id)}};
}

VoterSet VotersOf(const std::vector<int>& ids) {
  std::vector<Voter> voters;
  for (const int id : ids) {
    voters.push_back(VoterOf(id));
  }
  return VoterSet(std::move(voters));
}

VoterSet VotersUpTo(int count) {
  std::vector<Voter> voters;
  for (int id = 1; id <= count; ++id) {
    voters.push_back(VoterOf(id));
  }
  return VoterSet(std::move(voters));
}

RaftConfig TestConfig(int id, const VoterSet& voters) {
  RaftConfig config;
  config.cluster_id = kClusterId;
  config.generation = kGeneration;
  config.self = KeyOf(id);
  config.bootstrap_voters = voters;
  config.encode_control = EncodeControlText;
  config.encode_voters = EncodeVotersText;
  config.decode_control = DecodeControlText;
  return config;
}

std::string ToText(const VoterSet& voters) {
  std::vector<std::string> texts;
  for (const auto& [id, voter] : voters.voters()) {
    std::string text = fmt::format("{}", id);
    if (const int disk = voter.key.directory_id.ToBytes()[1]; disk != 0) {
      text += fmt::format(".{}", disk);
    }
    if (voter.address.port != kFirstPort + id.value()) {
      text += fmt::format(":{}", voter.address.port);
    }
    texts.push_back(std::move(text));
  }
  return fmt::format("{}", fmt::join(texts, ","));
}

std::string ToText(ChangeError error) {
  switch (error) {
    case ChangeError::kNone:
      return "done";
    case ChangeError::kNotLeader:
      return "not_leader";
    case ChangeError::kNothingCommitted:
      return "nothing_committed";
    case ChangeError::kChangePending:
      return "change_pending";
    case ChangeError::kDuplicateVoter:
      return "duplicate_voter";
    case ChangeError::kVoterNotFound:
      return "voter_not_found";
    case ChangeError::kLastVoter:
      return "last_voter";
    case ChangeError::kTooManyVoters:
      return "too_many_voters";
    case ChangeError::kQuorumAtRisk:
      return "quorum_at_risk";
    case ChangeError::kNotCaughtUp:
      return "not_caught_up";
    case ChangeError::kUnreachable:
      return "unreachable";
    case ChangeError::kOtherReplica:
      return "other_replica";
    case ChangeError::kObserverOnly:
      return "observer_only";
    case ChangeError::kTimedOut:
      return "timed_out";
    case ChangeError::kUnknown:
      return "unknown";
    case ChangeError::kOtherLeader:
      return "other_leader";
  }
  return "?";
}

Voter ParseVoter(const std::string& text) {
  const size_t dot = text.find('.');
  const size_t colon = text.find(':');
  Voter voter =
      VoterOf(std::stoi(text), dot == std::string::npos
                                   ? uint8_t{0}
                                   : static_cast<uint8_t>(std::stoi(text.substr(dot + 1))));
  if (colon != std::string::npos) {
    voter.address.port = static_cast<uint16_t>(std::stoi(text.substr(colon + 1)));
  }
  return voter;
}

std::shared_ptr<const std::string> EncodeControlText(const EpochStartRecords& records) {
  std::vector<int> granting;
  for (const NodeId id : records.granting_voters) {
    granting.push_back(id.value());
  }
  std::string text =
      fmt::format("leader={} granting={}", records.leader_id, fmt::join(granting, ","));
  if (records.voter_set.has_value()) {
    text += *EncodeVotersText(*records.voter_set);
  }
  return std::make_shared<const std::string>(std::move(text));
}

std::shared_ptr<const std::string> EncodeVotersText(const VoterSet& voters) {
  return std::make_shared<const std::string>(" voters=" + ToText(voters));
}

std::optional<VoterSet> DecodeControlText(std::string_view payload) {
  constexpr std::string_view kKey = " voters=";
  const size_t at = payload.find(kKey);
  if (at == std::string_view::npos) {
    return std::nullopt;
  }
  std::istringstream ids(std::string(payload.substr(at + kKey.size())));
  std::vector<Voter> voters;
  for (std::string id; std::getline(ids, id, ',');) {
    voters.push_back(ParseVoter(id));
  }
  return VoterSet(std::move(voters));
}

uint64_t TestDisk::GenesisChain() { return GenesisChainHash(kClusterId); }

const TestSnapshot* TestDisk::Find(const SnapshotId& id) const {
  const auto it =
      std::find_if(snapshots.begin(), snapshots.end(),
                   [&](const TestSnapshot& snapshot) { return snapshot.manifest.id == id; });
  return it == snapshots.end() ? nullptr : &*it;
}

void TestDisk::Apply(const StorageWrite& write) {
  if (write.quorum_state.has_value()) {
    quorum_state = *write.quorum_state;
  }
  if (write.install.has_value()) {
    log.clear();
    log_start = write.install->id;
    chain_at_start = write.install->chain_hash;
  }
  if (write.truncate_to.has_value()) {
    std::erase_if(log, [&](const RecordBatch& b) { return b.end_offset() > *write.truncate_to; });
  }
  while (write.log_start.has_value() && log_start.offset < *write.log_start) {
    KVORUM_CHECK(!log.empty(), "log start {} beyond the log", *write.log_start);
    log_start = {log.front().end_offset(), log.front().epoch};
    chain_at_start = log.front().chain_hash;
    log.erase(log.begin());
  }
  is_quarantined = is_quarantined && !write.leave_quarantine;
  for (const RecordBatch& batch : write.append) {
    KVORUM_CHECK(batch.base_offset == log_end(), "write at {}, disk ends at {}", batch.base_offset,
                 log_end());
    log.push_back(batch);
  }
}

RecoveredState TestDisk::Recover() const {
  RecoveredState recovered;
  recovered.quorum_state = quorum_state;
  recovered.log_start_offset = log_start.offset;
  recovered.epoch_at_start = log_start.epoch;
  recovered.chain_at_start = chain_at_start;
  for (const TestSnapshot& snapshot : snapshots) {
    recovered.snapshots.push_back(snapshot.manifest);
  }
  if (is_quarantined) {
    recovered.quarantine = Quarantine{.reason = "test"};
  }
  for (const RecordBatch& batch : log) {
    recovered.batch_ends.push_back(BatchEnd{
        .end_offset = batch.end_offset(), .epoch = batch.epoch, .chain_hash = batch.chain_hash});
    if (batch.is_control) {
      recovered.control_batches.push_back(batch);
    }
  }
  return recovered;
}

TestNode::TestNode(int id, const VoterSet& voters, TestDisk disk, TimePoint now, uint64_t seed)
    : id_(id),
      config_(TestConfig(id, voters)),
      now_(now),
      seed_(seed),
      disk_(std::move(disk)),
      memory_(disk_),
      core_(std::make_unique<RaftCore>(config_, disk_.Recover(), Random(seed_), now_)) {
  Collect();
}

TestNode::TestNode(int id, RaftConfig config, TimePoint now, uint64_t seed)
    : id_(id),
      config_(std::move(config)),
      now_(now),
      seed_(seed),
      core_(std::make_unique<RaftCore>(config_, disk_.Recover(), Random(seed_), now_)) {
  Collect();
}

void TestNode::CrashAndRestart() {
  unsynced_.clear();
  sends_.clear();
  replies_.clear();
  reads_.clear();
  leadership_.clear();
  changes_.clear();
  incoming_ = {};
  stored_.clear();
  memory_ = disk_;
  core_ = std::make_unique<RaftCore>(config_, disk_.Recover(), Random(++seed_), now_);
  Collect();
}

void TestNode::FireTimer() {
  const TimePoint deadline = core_->NextDeadline();
  KVORUM_CHECK(deadline != kNever, "node {} waits for nothing", id_);
  now_ = std::max(now_, deadline);
  Step(TimerFired{});
}

void TestNode::RunFor(Duration by) {
  const TimePoint end = now_ + by;
  while (core_->NextDeadline() <= end) {
    FireTimer();
  }
  now_ = end;
}

void TestNode::Step(Event event) {
  core_->Step(Now{.now = now_, .wall_ms = 0}, std::move(event));
  CheckStateDeeply(core_->state());
  Collect();
  while ((auto_sync && !unsynced_.empty()) || (auto_store && !stored_.empty())) {
    if (auto_sync && !unsynced_.empty()) {
      Sync(1);
    } else {
      Event stored = std::move(stored_.front());
      stored_.pop_front();
      core_->Step(Now{.now = now_, .wall_ms = 0}, std::move(stored));
      CheckStateDeeply(core_->state());
      Collect();
    }
  }
}

void TestNode::CollectSnapshotIo(Effects& effects) {
  if (effects.store_chunk.has_value()) {
    const StoreSnapshotChunk& store = *effects.store_chunk;
    if (store.index == 0) {
      incoming_.chunks.clear();
    }
    KVORUM_CHECK(store.index == static_cast<int64_t>(incoming_.chunks.size()), "chunk {} after {}",
                 store.index, incoming_.chunks.size());
    incoming_.chunks.push_back(store.chunk);
    stored_.emplace_back(SnapshotChunkStored{store.id, store.index});
  }
  if (effects.freeze_snapshot.has_value()) {
    incoming_.manifest = *effects.freeze_snapshot;
    if (freezes_well) {
      disk_.snapshots.push_back(incoming_);
      memory_.snapshots.push_back(incoming_);
    }
    stored_.emplace_back(SnapshotFrozen{incoming_.manifest.id, freezes_well});
  }
  for (const SnapshotId& id : effects.delete_snapshots) {
    for (TestDisk* disk : {&disk_, &memory_}) {
      std::erase_if(disk->snapshots,
                    [&](const TestSnapshot& snapshot) { return snapshot.manifest.id == id; });
    }
  }
  if (effects.installed.has_value()) {
    installed_ = effects.installed;
  }
}

SnapshotId TestNode::TakeSnapshot(int chunks) {
  const Offset end = core_->high_watermark().value();
  uint64_t chain = memory_.chain_at_start;
  for (const RecordBatch& batch : memory_.log) {
    chain = batch.end_offset() <= end ? batch.chain_hash : chain;
  }
  TestSnapshot snapshot{.manifest = core_->MakeManifest({end, *core_->EpochBelow(end)}, chain),
                        .chunks = {}};
  for (int i = 0; i < chunks; ++i) {
    snapshot.chunks.push_back(fmt::format("chunk {}", i));
  }
  snapshot.manifest.chunk_count = chunks;
  disk_.snapshots.push_back(snapshot);
  memory_.snapshots.push_back(snapshot);
  Step(SnapshotTaken{snapshot.manifest});
  return snapshot.manifest.id;
}

void TestNode::Collect() {
  Effects effects = core_->TakeEffects();
  for (StorageWrite& write : effects.writes) {
    memory_.Apply(write);
    unsynced_.push_back(std::move(write));
  }
  for (SendRequest& send : effects.sends) {
    sends_.push_back(std::move(send));
  }
  CollectSnapshotIo(effects);
  for (SendReply& reply : effects.replies) {
    if (reply.chunk_read.has_value()) {
      const TestSnapshot* snapshot = disk_.Find(reply.chunk_read->id);
      KVORUM_CHECK(snapshot != nullptr, "no snapshot {}", reply.chunk_read->id);
      std::get<FetchSnapshotResponse>(reply.response).chunk =
          snapshot->chunks.at(static_cast<size_t>(reply.chunk_read->index));
    }
    if (reply.read.has_value()) {
      auto& fetch = std::get<FetchResponse>(reply.response);
      for (const RecordBatch& batch : memory_.log) {
        if (batch.base_offset >= reply.read->from && batch.end_offset() <= reply.read->to) {
          fetch.batches.push_back(batch);
        }
      }
      KVORUM_CHECK(!fetch.batches.empty(), "no batches in [{}, {})", reply.read->from,
                   reply.read->to);
    }
    replies_.emplace_back(reply.token, std::move(reply.response));
  }
  reads_.insert(reads_.end(), effects.reads.begin(), effects.reads.end());
  changes_.insert(changes_.end(), effects.changes.begin(), effects.changes.end());
  leadership_.insert(leadership_.end(), effects.leadership.begin(), effects.leadership.end());
  traces_.insert(traces_.end(), effects.traces.begin(), effects.traces.end());
}

void TestNode::Sync(size_t count) {
  for (; count > 0 && !unsynced_.empty(); --count) {
    const WriteId write_id = unsynced_.front().id;
    disk_.Apply(unsynced_.front());
    unsynced_.pop_front();
    core_->Step(Now{.now = now_, .wall_ms = 0}, WriteDone{write_id});
    CheckStateDeeply(core_->state());
    Collect();
  }
}

RequestToken TestNode::Receive(RaftRequest request) {
  const RequestToken token(++last_token_);
  Step(RequestReceived{.token = token, .request = std::move(request)});
  return token;
}

RaftResponse TestNode::Ask(RaftRequest request) {
  const RequestToken token = Receive(std::move(request));
  std::optional<RaftResponse> reply = TakeReply(token);
  KVORUM_CHECK(reply.has_value(), "node {} did not answer at once", id_);
  return *std::move(reply);
}

std::optional<RaftResponse> TestNode::TakeReply(RequestToken token) {
  const auto it = std::find_if(replies_.begin(), replies_.end(),
                               [&](const auto& reply) { return reply.first == token; });
  if (it == replies_.end()) {
    return std::nullopt;
  }
  RaftResponse response = std::move(it->second);
  replies_.erase(it);
  return response;
}

std::vector<std::pair<RequestToken, RaftResponse>> TestNode::TakeReplies() {
  return std::exchange(replies_, {});
}

void TestNode::Respond(const SendRequest& request, RaftResponse response) {
  Step(ResponseReceived{
      .from = request.to.key.node_id, .id = request.id, .response = std::move(response)});
}

void TestNode::Fail(const SendRequest& request, SendFailure failure) {
  Step(RequestFailed{.to = request.to.key.node_id, .id = request.id, .failure = failure});
}

void TestNode::Append(const std::string& payload) {
  Step(AppendRecords{.epoch = epoch(),
                     .record_count = 1,
                     .payload = std::make_shared<const std::string>(payload)});
}

ChangeToken TestNode::Change(VoterChangeKind kind, const Voter& voter, TimePoint deadline,
                             bool is_dry_run) {
  const ChangeToken token(++last_token_);
  Step(ChangeVoters{.token = token,
                    .kind = kind,
                    .voter = voter,
                    .deadline = deadline,
                    .is_dry_run = is_dry_run});
  return token;
}

ChangeToken TestNode::Transfer(int target, TimePoint deadline) {
  const ChangeToken token(++last_token_);
  Step(TransferLeadership{.token = token, .target = NodeId(target), .deadline = deadline});
  return token;
}

std::optional<QuorumChangeDone> TestNode::TakeChange(ChangeToken token) {
  const auto it = std::find_if(changes_.begin(), changes_.end(),
                               [&](const auto& change) { return change.token == token; });
  if (it == changes_.end()) {
    return std::nullopt;
  }
  QuorumChangeDone done = std::move(*it);
  changes_.erase(it);
  return done;
}

std::vector<std::string> TestNode::Payloads() const {
  std::vector<std::string> payloads;
  for (const RecordBatch& batch : memory_.log) {
    payloads.push_back(*batch.payload);
  }
  return payloads;
}

bool TestNode::has_trace(RaftTraceKind kind) const {
  return std::any_of(traces_.begin(), traces_.end(),
                     [&](const RaftTrace& trace) { return trace.kind == kind; });
}

void TestNode::WinElection() {
  const bool synced = std::exchange(auto_sync, true);
  Sync();
  for (int tries = 0; role() != Role::kLeader; ++tries) {
    KVORUM_CHECK(tries < 100, "node {} does not win", id_);
    if (role() != Role::kProspective && role() != Role::kCandidate) {
      FireTimer();
    }
    for (const SendRequest& send : TakeSends()) {
      if (std::holds_alternative<VoteRequest>(send.request)) {
        Respond(send, VoteResponse{.header = OkHeader(), .vote_granted = true});
      }
    }
  }
  auto_sync = synced;
}

void TestNode::Follow(int leader, int epoch) {
  Ask(BeginQuorumEpochRequest{.header = HeaderFrom(leader), .leader_epoch = Epoch(epoch)});
}

void TestNode::AnswerFetch(std::vector<RecordBatch> batches, std::optional<int> high_watermark,
                           uint64_t round) {
  const std::vector<SendRequest> fetches = TakeSendsOf<FetchRequest>();
  KVORUM_CHECK(!fetches.empty(), "node {} has no fetch in flight", id_);
  const SendRequest& fetch = fetches.back();
  FetchResponse response;
  response.header = OkHeader(fetch.to.key.node_id.value());
  if (high_watermark.has_value()) {
    response.high_watermark = Offset(*high_watermark);
  }
  response.batches = std::move(batches);
  response.round = round;
  Respond(fetch, std::move(response));
}

FetchRequest TestNode::FetchFrom(int peer, std::optional<int> offset) const {
  FetchRequest request;
  request.header = HeaderFrom(peer);
  request.current_leader_epoch = epoch();
  request.fetch_offset = offset.has_value() ? Offset(*offset) : core_->log_end_offset();
  request.last_fetched_epoch = memory_.log_start.epoch;
  request.last_chain_hash = memory_.chain_at_start;
  for (const RecordBatch& batch : memory_.log) {
    if (batch.end_offset() <= request.fetch_offset) {
      request.last_fetched_epoch = batch.epoch;
      request.last_chain_hash = batch.chain_hash;
    }
  }
  request.high_watermark = core_->high_watermark();
  request.max_wait_ms = 500;
  request.max_bytes = 1 << 20;
  return request;
}

RequestHeader TestNode::HeaderFrom(int peer) const {
  RequestHeader header;
  header.cluster_id = kClusterId;
  header.generation = kGeneration;
  header.sender = KeyOf(peer);
  header.receiver = config_.self;
  return header;
}

ResponseHeader TestNode::OkHeader(std::optional<int> leader) const {
  ResponseHeader header;
  header.leader_epoch = epoch();
  if (leader.has_value()) {
    header.leader_id = NodeId(*leader);
  }
  return header;
}

std::vector<RecordBatch> BatchesAfter(const std::vector<RecordBatch>& log,
                                      const std::vector<int>& epochs) {
  std::vector<RecordBatch> batches;
  Offset end = log.empty() ? Offset(0) : log.back().end_offset();
  uint64_t chain = log.empty() ? GenesisChainHash(kClusterId) : log.back().chain_hash;
  for (const int epoch : epochs) {
    batches.push_back(MakeBatch(end, 1, Epoch(epoch), /*is_control=*/false, 0,
                                std::make_shared<const std::string>("x"), chain));
    end = batches.back().end_offset();
    chain = batches.back().chain_hash;
  }
  return batches;
}

TestDisk DiskWith(const std::vector<int>& batch_epochs, int epoch) {
  TestDisk disk;
  disk.quorum_state.epoch = Epoch(epoch);
  disk.log = BatchesAfter({}, batch_epochs);
  return disk;
}

}  // namespace kvorum::raft
