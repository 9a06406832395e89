#include "tests/protocol/raft_cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "server/base/check.h"
#include "server/base/overloaded.h"

namespace kvorum::raft {
namespace {

std::string ErrorText(const ResponseHeader& header) {
  std::string text = fmt::format("epoch={}", header.leader_epoch);
  if (header.leader_id.has_value()) {
    text += fmt::format(" leader={}", *header.leader_id);
  }
  if (header.error != RaftError::kNone) {
    text += fmt::format(" error={}", static_cast<int>(header.error));
  }
  return text;
}

std::string HighWatermarkText(const std::optional<Offset>& high_watermark) {
  return high_watermark.has_value() ? fmt::format(" hwm={}", *high_watermark) : "";
}

std::string RequestText(const RaftRequest& request) {
  return std::visit(
      Overloaded{[](const VoteRequest& r) {
                   return fmt::format("{} epoch={} log={}", r.pre_vote ? "pre_vote" : "vote",
                                      r.epoch, r.log_end);
                 },
                 [](const BeginQuorumEpochRequest& r) {
                   return fmt::format("begin_quorum_epoch epoch={}", r.leader_epoch);
                 },
                 [](const EndQuorumEpochRequest& r) {
                   std::string text = fmt::format("end_quorum_epoch epoch={}", r.leader_epoch);
                   for (const ReplicaKey& key : r.preferred_candidates) {
                     text += fmt::format(" successor={}", key.node_id);
                   }
                   return text + (r.is_transfer ? " transfer" : "");
                 },
                 [](const FetchRequest& r) {
                   return fmt::format("fetch epoch={} at={}/{}{}", r.current_leader_epoch,
                                      r.fetch_offset, r.last_fetched_epoch,
                                      HighWatermarkText(r.high_watermark));
                 },
                 [](const FetchSnapshotRequest& r) {
                   return fmt::format("fetch_snapshot epoch={} {} position={}",
                                      r.current_leader_epoch, r.snapshot_id, r.position);
                 },
                 [](const UpdateVoterRequest& r) {
                   return fmt::format("update_voter epoch={} {}:{}", r.current_leader_epoch,
                                      r.address.host, r.address.port);
                 }},
      request);
}

std::string ResponseText(const RaftResponse& response) {
  return std::visit(
      Overloaded{[](const VoteResponse& r) {
                   return fmt::format("vote_answer {} granted={}", ErrorText(r.header),
                                      r.vote_granted);
                 },
                 [](const BeginQuorumEpochResponse& r) {
                   return fmt::format("begin_quorum_epoch_answer {}", ErrorText(r.header));
                 },
                 [](const EndQuorumEpochResponse& r) {
                   return fmt::format("end_quorum_epoch_answer {}", ErrorText(r.header));
                 },
                 [](const FetchResponse& r) {
                   std::string text = fmt::format("fetch_answer {}{}", ErrorText(r.header),
                                                  HighWatermarkText(r.high_watermark));
                   if (r.diverging_epoch.has_value()) {
                     text += fmt::format(" diverging={}/{}", r.diverging_epoch->end_offset,
                                         r.diverging_epoch->epoch);
                   }
                   if (r.snapshot_id.has_value()) {
                     text += fmt::format(" snapshot={}", *r.snapshot_id);
                   }
                   for (const RecordBatch& batch : r.batches) {
                     text += fmt::format(" [{}-{} epoch={}]", batch.base_offset,
                                         batch.last_offset(), batch.epoch);
                   }
                   return text;
                 },
                 [](const FetchSnapshotResponse& r) {
                   return fmt::format("fetch_snapshot_answer {} {} position={} chunk={}",
                                      ErrorText(r.header), r.manifest.id, r.position, r.chunk);
                 },
                 [](const UpdateVoterResponse& r) {
                   return fmt::format("update_voter_answer {}", ErrorText(r.header));
                 }},
      response);
}

}  // namespace

std::string ToText(const TestMessage& message) {
  const std::string body =
      std::visit(Overloaded{[](const RaftRequest& r) { return RequestText(r); },
                            [](const RaftResponse& r) { return ResponseText(r); }},
                 message.body);
  return fmt::format("{}->{} {}", message.from, message.to, body);
}

TestCluster::TestCluster(int voters, int observers) {
  const VoterSet set = VotersUpTo(voters);
  for (int id = 1; id <= voters + observers; ++id) {
    ports_[VoterOf(id).address.port] = id;
    nodes_[id] =
        std::make_unique<TestNode>(id, set, TestDisk{}, now_, static_cast<uint64_t>(1000 * id));
  }
}

void TestCluster::Collect() {
  for (auto& [id, node] : nodes_) {
    for (SendRequest& send : node->TakeSends()) {
      TestMessage message{.from = id,
                          .to = At(send.to.address),
                          .id = send.id,
                          .sent_to = send.to.key.node_id,
                          .fails_at = now_ + send.timeout,
                          .body = send.request};
      unanswered_.push_back(message);
      messages_.push_back(std::move(message));
    }
    for (auto& [token, response] : node->TakeReplies()) {
      auto request = inbound_.extract({id, token});
      KVORUM_CHECK(!request.empty(), "node {} answers unknown request {}", id, token);
      messages_.push_back(TestMessage{.from = id,
                                      .to = request.mapped().from,
                                      .id = request.mapped().id,
                                      .sent_to = request.mapped().sent_to,
                                      .fails_at = kNever,
                                      .body = std::move(response)});
    }
  }
}

bool TestCluster::DeliverOne() {
  Collect();
  if (messages_.empty()) {
    return false;
  }
  TestMessage message = std::move(messages_.front());
  messages_.pop_front();
  Deliver(std::move(message));
  Collect();
  return true;
}

void TestCluster::DeliverAll() {
  for (int count = 0; DeliverOne(); ++count) {
    KVORUM_CHECK(count < 100'000, "messages without end");
  }
}

void TestCluster::DeliverAt(size_t index) {
  TestMessage message = messages_.at(index);
  DropAt(index);
  Deliver(std::move(message));
  Collect();
}

void TestCluster::DropAt(size_t index) {
  messages_.erase(messages_.begin() + static_cast<std::ptrdiff_t>(index));
}

void TestCluster::Advance(Duration by) {
  now_ += by;
  FailExpired();
  for (auto& [id, node] : nodes_) {
    if (is_up(id) && node->core().NextDeadline() <= now_) {
      Step(id, TimerFired{});
    }
  }
}

void TestCluster::DropAll() {
  Collect();
  messages_.clear();
}

void TestCluster::Deliver(TestMessage message) {
  if (cut_.contains({message.from, message.to})) {
    return;
  }
  const bool is_request = std::holds_alternative<RaftRequest>(message.body);
  if (on_deliver) {
    on_deliver(message);
  }
  const auto forget = [&](int sender) {
    std::erase_if(unanswered_, [&](const TestMessage& other) {
      return other.from == sender && other.id == message.id;
    });
  };
  if (!is_up(message.to)) {
    if (is_request && is_up(message.from)) {
      forget(message.from);
      Step(
          message.from,
          RequestFailed{.to = message.sent_to, .id = message.id, .failure = SendFailure::kRefused});
    }
    return;
  }
  node(message.to).set_now(now_);
  if (is_request) {
    TestNode& receiver = node(message.to);
    const RequestToken token(++last_token_);
    const RaftRequest request = std::get<RaftRequest>(message.body);
    inbound_.emplace(std::pair(message.to, token), std::move(message));
    receiver.Step(RequestReceived{.token = token, .request = request});
  } else {
    forget(message.to);
    Step(message.to, ResponseReceived{.from = message.sent_to,
                                      .id = message.id,
                                      .response = std::get<RaftResponse>(message.body)});
  }
}

void TestCluster::Step(int id, Event event) {
  node(id).set_now(now_);
  node(id).Step(std::move(event));
  Collect();
}

void TestCluster::Append(int id, const std::string& payload) {
  node(id).set_now(now_);
  node(id).Append(payload);
  Collect();
}

void TestCluster::Timeout(int id) {
  now_ = std::max(now_, node(id).core().NextDeadline());
  Step(id, TimerFired{});
}

void TestCluster::SetAutoSync(bool on) {
  for (auto& [id, node] : nodes_) {
    node->auto_sync = on;
  }
}

void TestCluster::FailExpired() {
  const std::vector<TestMessage> open = unanswered_;
  for (const TestMessage& request : open) {
    if (request.fails_at > now_) {
      continue;
    }
    std::erase_if(unanswered_, [&](const TestMessage& other) {
      return other.from == request.from && other.id == request.id;
    });
    if (is_up(request.from)) {
      Step(request.from,
           RequestFailed{.to = request.sent_to, .id = request.id, .failure = SendFailure::kOther});
    }
  }
}

TimePoint TestCluster::NextEvent() const {
  TimePoint next = kNever;
  for (const auto& [id, node] : nodes_) {
    if (is_up(id)) {
      next = std::min(next, node->core().NextDeadline());
    }
  }
  for (const TestMessage& request : unanswered_) {
    next = std::min(next, request.fails_at);
  }
  return std::max(next, now_);
}

void TestCluster::RunFor(Duration by) {
  RunUntil([] { return false; }, by);
}

bool TestCluster::RunUntil(const std::function<bool()>& done, Duration limit) {
  const TimePoint end = now_ + limit;
  for (int events = 0;; ++events) {
    KVORUM_CHECK(events < 200'000, "events without end");
    DeliverAll();
    if (done()) {
      return true;
    }
    const TimePoint next = NextEvent();
    if (next > end) {
      now_ = end;
      return false;
    }
    now_ = next;
    FailExpired();
    for (auto& [id, node] : nodes_) {
      if (is_up(id) && node->core().NextDeadline() <= now_) {
        Step(id, TimerFired{});
      }
    }
  }
}

int TestCluster::At(const PeerAddress& address) const {
  const auto it = ports_.find(address.port);
  return it == ports_.end() ? 0 : it->second;
}

TestNode& TestCluster::AddJoiner(int id, uint8_t disk) {
  RaftConfig config = TestConfig(id, VoterSet());
  config.self = KeyOf(id, disk);
  for (const auto& [port, other] : ports_) {
    config.bootstrap_servers.push_back({.host = "controller", .port = port});
  }
  ports_[VoterOf(id).address.port] = id;
  nodes_[id] =
      std::make_unique<TestNode>(id, std::move(config), now_, static_cast<uint64_t>(1000 * id));
  Collect();
  return node(id);
}

TestNode& TestCluster::ReplaceDisk(int id, uint8_t disk) {
  KVORUM_CHECK(down_.erase(id) == 1, "node {} is not down", id);
  return AddJoiner(id, disk);
}

void TestCluster::MoveTo(int id, uint16_t port) {
  std::erase_if(ports_, [&](const auto& entry) { return entry.second == id; });
  ports_[port] = id;
}

ChangeError TestCluster::Change(VoterChangeKind kind, const Voter& voter) {
  const int leader = RunUntilLeader().value();
  node(leader).set_now(now_);
  const ChangeToken token = node(leader).Change(kind, voter);
  std::optional<QuorumChangeDone> done;
  RunUntil([&] {
    done = node(leader).TakeChange(token);
    return done.has_value();
  });
  KVORUM_CHECK(done.has_value(), "change of {} is not answered", voter.key);
  return done->error;
}

bool TestCluster::RunUntilVoters(const std::vector<int>& ids) {
  return RunUntil([&] {
    const std::optional<int> leader = Leader();
    return leader.has_value() && node(*leader).Describe().committed_voters == VotersOf(ids);
  });
}

void TestCluster::Crash(int id) {
  Collect();
  down_.insert(id);
  std::erase_if(messages_, [&](const TestMessage& m) { return m.from == id; });
  std::erase_if(unanswered_, [&](const TestMessage& m) { return m.from == id; });
  // Connections to it are reset.
  const std::vector<TestMessage> open = unanswered_;
  for (const TestMessage& request : open) {
    const bool is_inbound = std::any_of(inbound_.begin(), inbound_.end(), [&](const auto& entry) {
      return entry.first.first == id && entry.second.from == request.from &&
             entry.second.id == request.id;
    });
    if (request.to != id || !is_inbound) {
      continue;
    }
    std::erase_if(unanswered_, [&](const TestMessage& m) {
      return m.from == request.from && m.id == request.id;
    });
    Step(request.from,
         RequestFailed{.to = request.sent_to, .id = request.id, .failure = SendFailure::kOther});
  }
  std::erase_if(inbound_, [&](const auto& entry) { return entry.first.first == id; });
}

void TestCluster::Restart(int id) {
  KVORUM_CHECK(down_.erase(id) == 1, "node {} is not down", id);
  node(id).set_now(now_);
  node(id).CrashAndRestart();
  Collect();
}

void TestCluster::Cut(int a, int b) { cut_.emplace(a, b); }

void TestCluster::Isolate(int id) {
  for (const auto& [other, node] : nodes_) {
    Cut(id, other);
    Cut(other, id);
  }
}

std::optional<int> TestCluster::Leader() const {
  std::optional<int> leader;
  for (const auto& [id, node] : nodes_) {
    if (is_up(id) && node->core().is_leader() &&
        (!leader.has_value() || node->epoch() > nodes_.at(*leader)->epoch())) {
      leader = id;
    }
  }
  return leader;
}

std::optional<int> TestCluster::RunUntilLeader() {
  RunUntil([&] { return Leader().has_value(); });
  return Leader();
}

}  // namespace kvorum::raft
