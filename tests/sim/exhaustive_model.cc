#include "tests/sim/exhaustive_model.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/base/check.h"
#include "server/base/crc32c.h"
#include "server/base/overloaded.h"
#include "server/node/control_codec.h"
#include "server/raft/raft_state.h"
#include "storage/log_verifier.h"
#include "storage/memory/memory_storage.h"
#include "tests/sim/checkers/log_mirror.h"

namespace kvorum::sim {
namespace {

// Longer than every timeout: who waits for anybody campaigns or resigns.
constexpr Duration kSilence = std::chrono::seconds(5);
constexpr char kClusterId[] = "9c7a6d2e-5b0f-4f43-8d1c-0a1b2c3d4e5f";

ReplicaKey KeyOf(size_t index) {
  std::string bytes(Uuid::kBytes, '\0');
  bytes.back() = static_cast<char>(index + 1);
  return {.node_id = NodeId(static_cast<int32_t>(index) + 1),
          .directory_id = *Uuid::FromBytes(bytes)};
}

size_t IndexOf(NodeId id) { return static_cast<size_t>(id.value() - 1); }

std::shared_ptr<const std::string> Payload(int number) {
  return std::make_shared<const std::string>(fmt::format("op {}", number));
}

}  // namespace

ExhaustiveModel::ExhaustiveModel(const ExhaustiveOptions& options)
    : options_(options), replicas_(static_cast<size_t>(options.nodes)) {
  std::vector<raft::Voter> voters;
  for (size_t i = 0; i < replicas_.size(); ++i) {
    voters.push_back({.key = KeyOf(i), .address = {.host = "c", .port = 1}});
    replicas_[i].disk = std::make_unique<MemoryDisk>(kClusterId);
  }
  voters_ = raft::VoterSet(std::move(voters));
  high_watermarks_.resize(replicas_.size());
  if (options.diverged) {
    MakeDivergedDisks();
  }
  for (size_t i = 0; i < replicas_.size(); ++i) {
    Start(i);
  }
}

// The first node led epoch 1 and wrote two records; of the second only its own disk knows, of the
// first all but the last node's.
void ExhaustiveModel::MakeDivergedDisks() {
  const Epoch epoch(1);
  raft::EpochStartRecords start{
      .leader_id = KeyOf(0).node_id, .voters = {}, .granting_voters = {}, .voter_set = voters_};
  BatchEnd end = EmptyLogEnd(kClusterId);
  std::vector<RecordBatch> log;
  log.push_back(MakeBatch(end.end_offset, start.record_count(), epoch, /*is_control=*/true, 0,
                          EncodeControlBatch(start), end.chain_hash));
  for (int i = 1; i <= 2; ++i) {
    end = EndOf(log.back());
    log.push_back(
        MakeBatch(end.end_offset, 1, epoch, /*is_control=*/false, 0, Payload(-i), end.chain_hash));
  }
  for (size_t i = 0; i < replicas_.size(); ++i) {
    const size_t count = i == 0 ? 3 : i + 1 == replicas_.size() ? 1 : 2;
    StorageWrite write;
    write.quorum_state =
        QuorumState{.epoch = epoch, .voted_key = KeyOf(0), .leader_id = KeyOf(0).node_id};
    write.append.assign(log.begin(), log.begin() + static_cast<int64_t>(count));
    KVORUM_CHECK(replicas_[i].disk->Apply(write).ok(), "disk of {}", i);
  }
  leaders_[epoch] = 0;
  committed_[EndOf(log[0]).end_offset] = log[0].chain_hash;
  committed_[EndOf(log[1]).end_offset] = log[1].chain_hash;
}

void ExhaustiveModel::Start(size_t index) {
  Replica& replica = replicas_[index];
  raft::RaftConfig config;
  config.cluster_id = kClusterId;
  config.self = KeyOf(index);
  config.bootstrap_voters = voters_;
  config.disk_stall_timeout = Duration::zero();  // every disk stalls here, and every loop
  config.loop_stall_timeout = Duration::zero();
  config.encode_control = EncodeControlBatch;
  config.encode_voters = EncodeVoterSet;
  config.decode_control = DecodeVoterSet;
  absl::StatusOr<RecoveredState> recovered = MemoryStorage(*replica.disk).Recover();
  KVORUM_CHECK(recovered.ok(), "disk of {}: {}", index, recovered.status().ToString());
  replica.unsynced.clear();
  replica.log.clear();
  for (const auto& [offset, batch] : replica.disk->batches()) {
    replica.log.push_back(batch);
  }
  high_watermarks_[index].reset();
  std::erase_if(inbound_, [index](const auto& entry) { return entry.first.first == index; });
  replica.core =
      std::make_unique<raft::RaftCore>(config, *recovered, Random(index + 1), replica.now);
  Collect(index);
}

std::vector<ExhaustiveModel::Action> ExhaustiveModel::Actions() const {
  using Kind = Action::Kind;
  std::vector<Action> actions;
  for (size_t i = 0; i < messages_.size(); ++i) {
    actions.push_back({.kind = Kind::kDeliver, .which = i});
  }
  for (size_t i = 0; i < replicas_.size(); ++i) {
    const Replica& replica = replicas_[i];
    if (!replica.unsynced.empty()) {
      actions.push_back({.kind = Kind::kSync, .which = i});
    }
    if (appended_ < options_.ops && replica.core->is_leader()) {
      actions.push_back({.kind = Kind::kAppend, .which = i});
    }
    if (timed_out_ < options_.timeouts) {
      actions.push_back({.kind = Kind::kTimeout, .which = i});
    }
    if (crashed_ < options_.crashes) {
      actions.push_back({.kind = Kind::kCrash, .which = i});
    }
  }
  return actions;
}

std::string ExhaustiveModel::ToText(const Action& action) const {
  if (action.kind == Action::Kind::kDeliver) {
    const Message& message = messages_[action.which];
    const bool is_request = std::holds_alternative<raft::RaftRequest>(message.body);
    const size_t kind = is_request ? std::get<raft::RaftRequest>(message.body).index()
                                   : std::get<raft::RaftResponse>(message.body).index();
    return fmt::format("deliver {} {} {}->{}", is_request ? "request" : "response", kind,
                       message.from + 1, message.to + 1);
  }
  constexpr const char* kNames[] = {"deliver", "sync", "append", "timeout", "crash"};
  return fmt::format("{} {}", kNames[static_cast<size_t>(action.kind)], action.which + 1);
}

void ExhaustiveModel::Do(const Action& action) {
  Replica* replica = action.kind == Action::Kind::kDeliver ? nullptr : &replicas_[action.which];
  switch (action.kind) {
    case Action::Kind::kDeliver:
      Deliver(action.which);
      break;
    case Action::Kind::kSync:
      Sync(action.which);
      break;
    case Action::Kind::kAppend:
      Step(action.which, raft::AppendRecords{.epoch = replica->core->epoch(),
                                             .record_count = 1,
                                             .payload = Payload(++appended_)});
      break;
    case Action::Kind::kTimeout:
      ++timed_out_;
      replica->now += kSilence;
      Step(action.which, raft::TimerFired{});
      break;
    case Action::Kind::kCrash:
      ++crashed_;
      Start(action.which);
      break;
  }
  Check();
}

void ExhaustiveModel::Step(size_t index, raft::Event event) {
  Replica& replica = replicas_[index];
  replica.core->Step({.now = replica.now, .wall_ms = 0}, std::move(event));
  Collect(index);
}

void ExhaustiveModel::Collect(size_t index) {
  Replica& replica = replicas_[index];
  raft::Effects effects = replica.core->TakeEffects();
  for (StorageWrite& write : effects.writes) {
    if (write.truncate_to.has_value()) {
      ++reached_.truncations;
      while (!replica.log.empty() && replica.log.back().end_offset() > *write.truncate_to) {
        replica.log.pop_back();
      }
    }
    replica.log.insert(replica.log.end(), write.append.begin(), write.append.end());
    replica.unsynced.push_back(std::move(write));
  }
  for (raft::SendRequest& send : effects.sends) {
    messages_.push_back({.from = index,
                         .to = IndexOf(send.to.key.node_id),
                         .id = send.id,
                         .body = std::move(send.request)});
  }
  for (raft::SendReply& reply : effects.replies) {
    Answer(index, std::move(reply));
  }
}

void ExhaustiveModel::Answer(size_t index, raft::SendReply reply) {
  const auto inbound = inbound_.find({index, reply.token});
  KVORUM_CHECK(inbound != inbound_.end(), "node {} answers twice", index + 1);
  if (reply.read.has_value()) {
    for (const RecordBatch& batch : replicas_[index].log) {
      if (batch.base_offset >= reply.read->from && batch.base_offset < reply.read->to) {
        std::get<raft::FetchResponse>(reply.response).batches.push_back(batch);
      }
    }
  }
  messages_.push_back({.from = index,
                       .to = inbound->second.from,
                       .id = inbound->second.id,
                       .body = std::move(reply.response)});
  inbound_.erase(inbound);
}

void ExhaustiveModel::Deliver(size_t index) {
  const Message message = std::move(messages_[index]);
  messages_.erase(messages_.begin() + static_cast<int64_t>(index));
  if (const auto* request = std::get_if<raft::RaftRequest>(&message.body)) {
    ++last_token_;
    inbound_[{message.to, last_token_}] = {.from = message.from, .id = message.id};
    Step(message.to, raft::RequestReceived{.token = last_token_, .request = *request});
  } else {
    Step(message.to,
         raft::ResponseReceived{.from = KeyOf(message.from).node_id,
                                .id = message.id,
                                .response = std::get<raft::RaftResponse>(message.body)});
  }
}

void ExhaustiveModel::Sync(size_t index) {
  Replica& replica = replicas_[index];
  const StorageWrite write = std::move(replica.unsynced.front());
  replica.unsynced.pop_front();
  const absl::Status status = replica.disk->Apply(write);
  KVORUM_CHECK(status.ok(), "disk of {}: {}", index + 1, status.ToString());
  const std::optional<QuorumState>& state = replica.disk->quorum_state();
  if (state.has_value() && state->voted_key.has_value()) {
    const auto [vote, is_new] = votes_.emplace(std::pair(state->epoch, index), *state->voted_key);
    KVORUM_CHECK(vote->second == *state->voted_key,
                 "invariant 3 VoteOnce: node {} votes twice in epoch {}", index + 1, state->epoch);
  }
  Step(index, raft::WriteDone{write.id});
}

// --- checks ---

void ExhaustiveModel::Check() {
  CheckLogs();
  for (size_t i = 0; i < replicas_.size(); ++i) {
    if (replicas_[i].core->is_leader()) {
      CheckLeader(i);
    }
    CheckCommits(i);
  }
}

void ExhaustiveModel::CheckLeader(size_t index) {
  const raft::RaftCore& core = *replicas_[index].core;
  const auto [leader, is_new] = leaders_.emplace(core.epoch(), index);
  KVORUM_CHECK(leader->second == index, "invariant 1 ElectionSafety: {} and {} lead epoch {}",
               leader->second + 1, index + 1, core.epoch());
  if (!is_new) {
    return;
  }
  ++reached_.elections;
  for (const auto& [end, chain] : committed_) {
    const auto& log = replicas_[index].log;
    const bool holds = std::any_of(log.begin(), log.end(), [&](const RecordBatch& batch) {
      return batch.end_offset() == end && batch.chain_hash == chain;
    });
    KVORUM_CHECK(holds,
                 "invariant 9 LeaderCompleteness: {} leads epoch {} without the batch that "
                 "ends at {}",
                 index + 1, core.epoch(), end);
  }
}

size_t ExhaustiveModel::HoldersOf(const BatchEnd& end) const {
  return static_cast<size_t>(
      std::count_if(replicas_.begin(), replicas_.end(), [&](const Replica& replica) {
        const std::optional<BatchEnd> durable = EndAt(*replica.disk, end.end_offset);
        return durable.has_value() && durable->chain_hash == end.chain_hash;
      }));
}

void ExhaustiveModel::CheckCommits(size_t index) {
  const Replica& replica = replicas_[index];
  const std::optional<Offset> high_watermark = replica.core->high_watermark();
  if (high_watermark == high_watermarks_[index] || !high_watermark.has_value()) {
    return;
  }
  KVORUM_CHECK(!high_watermarks_[index].has_value() || *high_watermark > *high_watermarks_[index],
               "invariant 13 HwmMonotone: node {} goes back to {}", index + 1, *high_watermark);
  high_watermarks_[index] = high_watermark;
  for (const RecordBatch& batch : replica.log) {
    if (batch.end_offset() > *high_watermark) {
      break;
    }
    const auto [known, is_new] = committed_.emplace(batch.end_offset(), batch.chain_hash);
    KVORUM_CHECK(known->second == batch.chain_hash,
                 "invariant 10 CommitWriteOnce: node {} has other content committed at {}",
                 index + 1, batch.base_offset);
    if (is_new) {
      ++reached_.commits;
      const size_t holders = HoldersOf(EndOf(batch));
      KVORUM_CHECK(holders >= voters_.majority(),
                   "invariant 11 QuorumDurable: the batch that ends at {} is committed on {} disks",
                   batch.end_offset(), holders);
    }
  }
}

void ExhaustiveModel::CheckLogs() const {
  std::map<std::pair<Offset, Epoch>, uint64_t> chains;
  for (const Replica& replica : replicas_) {
    for (const RecordBatch& batch : replica.log) {
      const auto [known, is_new] =
          chains.emplace(std::pair(batch.end_offset(), batch.epoch), batch.chain_hash);
      KVORUM_CHECK(is_new || known->second == batch.chain_hash,
                   "invariant 6 LogMatching: two logs differ at {}/{}", batch.end_offset(),
                   batch.epoch);
    }
  }
}

// --- equality of states ---

void ExhaustiveModel::HashReplica(size_t index, std::string& out) const {
  const Replica& replica = replicas_[index];
  const raft::RaftState& state = replica.core->state();
  const raft::RaftDescription now = replica.core->Describe();
  const MemoryDisk& disk = *replica.disk;
  const QuorumState durable = disk.quorum_state().value_or(QuorumState());
  const auto key = [](const std::optional<ReplicaKey>& voted) {
    return voted.has_value() ? voted->node_id.value() : 0;
  };
  out +=
      fmt::format("|{} {} {} {} {} {} {:x} {} {}/{} {} {} {:x}", RoleName(now.role), now.epoch,
                  now.leader_id.value_or(NodeId(0)), key(now.voted_key),
                  now.high_watermark.value_or(Offset(-1)), now.log_end, state.log.chain(),
                  now.durable_end_offset, durable.epoch, key(durable.voted_key),
                  durable.leader_id.value_or(NodeId(0)), disk.end_offset(), disk.end().chain_hash);
  for (const StorageWrite& write : replica.unsynced) {
    out += fmt::format(" w{}{}",
                       write.quorum_state.has_value() ? write.quorum_state->epoch.value() : -1,
                       write.truncate_to.value_or(Offset(-1)));
    for (const RecordBatch& batch : write.append) {
      out += fmt::format(",{:x}", batch.chain_hash);
    }
  }
  for (const auto& [peer, connection] : state.peers) {
    out += fmt::format(" p{}{}{}", peer, connection.in_flight.has_value() ? 1 : 0,
                       connection.request_index);
  }
  const auto tally = [&](const raft::ElectionTally& answers) {
    for (const auto& [id, granted] : answers.answers) {
      out += fmt::format(" t{}{}", id, granted ? 1 : 0);
    }
  };
  std::visit(Overloaded{[](const raft::Unattached&) {},
                        [&](const raft::Follower& role) { out += role.has_fetched ? " f" : " -"; },
                        [&](const raft::Prospective& role) { tally(role.tally); },
                        [&](const raft::Candidate& role) { tally(role.tally); },
                        [&](const raft::Leader& role) {
                          for (const auto& [id, progress] : role.progress) {
                            out += fmt::format(" l{}:{}", id.node_id,
                                               progress.log_end_offset().value_or(Offset(-1)));
                          }
                        },
                        [&](const raft::Resigned& role) {
                          out += fmt::format(" u{}", role.unacked.size());
                        }},
             state.role);
}

void ExhaustiveModel::HashMessage(const Message& message, std::string& out) const {
  out += fmt::format("{}{}", message.from, message.to);
  if (const auto* request = std::get_if<raft::RaftRequest>(&message.body)) {
    std::visit(Overloaded{[&](const raft::VoteRequest& r) {
                            out += fmt::format("v{}{}{}", r.epoch, r.log_end, r.pre_vote ? 1 : 0);
                          },
                          [&](const raft::BeginQuorumEpochRequest& r) {
                            out += fmt::format("b{}", r.leader_epoch);
                          },
                          [&](const raft::EndQuorumEpochRequest& r) {
                            out += fmt::format("e{}", r.leader_epoch);
                          },
                          [&](const raft::FetchRequest& r) {
                            out += fmt::format("f{} {}/{} {}", r.current_leader_epoch,
                                               r.fetch_offset, r.last_fetched_epoch,
                                               r.high_watermark.value_or(Offset(-1)));
                          },
                          [](const auto&) {}},
               *request);
  } else {
    const auto& response = std::get<raft::RaftResponse>(message.body);
    const raft::ResponseHeader& header = raft::HeaderOf(response);
    out += fmt::format("r{} {} {} {}", response.index(), static_cast<int>(header.error),
                       header.leader_epoch, header.leader_id.value_or(NodeId(0)));
    if (const auto* vote = std::get_if<raft::VoteResponse>(&response)) {
      out += vote->vote_granted ? "+" : "-";
    } else if (const auto* fetch = std::get_if<raft::FetchResponse>(&response)) {
      out += fmt::format("{}", fetch->high_watermark.value_or(Offset(-1)));
      for (const RecordBatch& batch : fetch->batches) {
        out += fmt::format(",{:x}", batch.chain_hash);
      }
      if (fetch->diverging_epoch.has_value()) {
        out +=
            fmt::format("d{}{}", fetch->diverging_epoch->epoch, fetch->diverging_epoch->end_offset);
      }
    }
  }
  // An answer that its asker does not wait for any more is another thing.
  const raft::RaftState& asker =
      replicas_[std::holds_alternative<raft::RaftRequest>(message.body) ? message.from : message.to]
          .core->state();
  const NodeId peer =
      KeyOf(std::holds_alternative<raft::RaftRequest>(message.body) ? message.to : message.from)
          .node_id;
  const auto connection = asker.peers.find(peer);
  const bool is_awaited =
      connection != asker.peers.end() && connection->second.in_flight == message.id;
  out += is_awaited ? "!" : "?";
}

uint64_t ExhaustiveModel::Hash() const {
  std::string text = fmt::format("{} {} {}", appended_, crashed_, timed_out_);
  for (size_t i = 0; i < replicas_.size(); ++i) {
    HashReplica(i, text);
  }
  std::vector<std::string> sorted;
  for (const Message& message : messages_) {
    HashMessage(message, sorted.emplace_back());
  }
  for (const auto& [key, inbound] : inbound_) {
    sorted.push_back(fmt::format("i{}{}", key.first, inbound.from));
  }
  std::sort(sorted.begin(), sorted.end());
  for (const std::string& message : sorted) {
    text += "\n" + message;
  }
  for (const auto& [epoch, leader] : leaders_) {
    text += fmt::format(" L{}{}", epoch, leader);
  }
  for (const auto& [end, chain] : committed_) {
    text += fmt::format(" C{}{:x}", end, chain);
  }
  for (const auto& [vote, candidate] : votes_) {
    text += fmt::format(" V{}{}{}", vote.first, vote.second, candidate.node_id);
  }
  return Hash64(text);
}

}  // namespace kvorum::sim
