#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/base/errors.h"
#include "server/node/node.h"
#include "storage/memory/memory_storage.h"

namespace kvorum {

inline constexpr char kTestCluster[] = "test-cluster";
inline constexpr uint64_t kTestGeneration = 4711;

inline raft::Voter TestVoter(int32_t id) {
  return {{NodeId(id), *Uuid::FromBytes(std::string(16, static_cast<char>(id)))},
          {"host-" + std::to_string(id), 9000}};
}

// A reply, and how often it came.
template <typename T>
struct Answer {
  int times = 0;
  std::optional<absl::StatusOr<T>> reply;

  bool is_waiting() const { return times == 0; }
  bool is_ok() const { return reply.has_value() && reply->ok(); }
  absl::Status status() const {
    return reply.has_value() ? reply->status() : absl::CancelledError("no answer yet");
  }
  ErrorReason reason() const { return GetErrorReason(status()); }
  template <typename Response>
  const Response& As() const {
    return std::get<Response>(**reply);
  }
};

template <typename T>
std::function<void(absl::StatusOr<T>)> Into(const std::shared_ptr<Answer<T>>& answer) {
  return [answer](absl::StatusOr<T> reply) {
    ++answer->times;
    answer->reply = std::move(reply);
  };
}
using CommandAnswer = std::shared_ptr<Answer<controller::CommandReply>>;
using QueryAnswer = std::shared_ptr<Answer<controller::QueryReply>>;

// One incarnation of a controller and everything around it, in the test's hands. Checks that what
// it feeds to the publisher is gapless.
class TestController : public NodeHost,
                       public PeerTransport,
                       public NodeObserver,
                       public CommitFeed {
 public:
  struct Sent {
    raft::SendRequest request;
  };

  TestController(NodeConfig config, MemoryDisk& disk, Now now)
      : id_(config.raft.self.node_id), storage_(disk) {
    const auto recovered = storage_.Recover();
    EXPECT_TRUE(recovered.ok()) << recovered.status();
    node_ =
        std::make_unique<Node>(std::move(config), Node::Ports{storage_, *this, *this, *this, *this},
                               *recovered, Random(static_cast<uint64_t>(id_.value())), now);
  }

  // NodeHost
  void Post(std::function<void(Now)> task) override { tasks.push_back(std::move(task)); }
  void OnStorageFailure(const absl::Status& status) override { failures.push_back(status); }
  // PeerTransport
  void Send(raft::SendRequest request) override { sent.push_back({std::move(request)}); }
  bool SendReadBarrier(const raft::Voter& to, v1::ReadBarrierRequest request,
                       BarrierDone done) override {
    if (!carries_barriers) {
      return false;
    }
    barriers.push_back({to.key.node_id.value(), std::move(request), std::move(done)});
    ++barrier_count;
    return true;
  }
  struct Barrier {
    int32_t to;
    v1::ReadBarrierRequest request;
    BarrierDone done;
  };
  bool carries_barriers = true;
  std::deque<Barrier> barriers;  // on their way
  int barrier_count = 0;
  // NodeObserver
  void OnRaftTrace(const raft::RaftTrace&) override {}
  void OnLeadership(const raft::LeadershipChange&) override {}
  void OnReadiness(bool is_ready) override { ready = is_ready; }
  bool ready = false;
  void OnSnapshotDamaged(const SnapshotId& id, const absl::Status&) override {
    if (damaged.empty() || damaged.back() != id) {
      damaged.push_back(id);
    }
  }
  std::vector<SnapshotId> damaged;
  void OnActiveController(Epoch epoch, bool active) override {
    active_log.emplace_back(epoch, active);
  }
  // CommitFeed
  void OnCommit(publish::CommittedUpdate update) override {
    EXPECT_EQ(update.from, fed_end.offset);
    fed_end = {update.to, update.epoch};
    commits.push_back(std::move(update));
  }
  void OnImage(std::shared_ptr<const MetadataImage> image) override {
    const OffsetAndEpoch end = image->provenance().position();
    if (end != fed_end) {
      EXPECT_GT(end.offset, fed_end.offset) << "a snapshot never takes subscribers back";
      fed_end = end;
      ++jumps;
    }
    ++images;
  }
  void OnLeader(publish::LeaderView view) override { leader = std::move(view); }

  // Runs what was posted, then ends the turn. False if nothing was posted.
  bool RunTasks(Now now) {
    const bool any = !tasks.empty();
    while (!tasks.empty()) {
      const auto task = std::move(tasks.front());
      tasks.pop_front();
      task(now);
    }
    node_->Execute(now);
    return any;
  }

  NodeId id() const { return id_; }
  Node& node() { return *node_; }
  MemoryStorage& storage() { return storage_; }
  uint64_t StateHash() const { return node_->committed_image()->StateHash(); }

  bool disk_is_slow = false;    // the test completes writes and reads itself
  bool reads_are_slow = false;  // the test completes reads itself
  std::deque<std::function<void(Now)>> tasks;
  std::deque<Sent> sent;
  std::vector<absl::Status> failures;
  std::vector<std::pair<Epoch, bool>> active_log;
  std::vector<publish::CommittedUpdate> commits;
  OffsetAndEpoch fed_end;
  int images = 0;
  int jumps = 0;  // images that came from a snapshot
  publish::LeaderView leader;

 private:
  NodeId id_;
  MemoryStorage storage_;
  std::unique_ptr<Node> node_;
};

// A quorum of real nodes on one clock, with a network that delivers at once unless told otherwise.
class TestCluster {
 public:
  explicit TestCluster(int32_t size) {
    std::vector<raft::Voter> voters;
    for (int32_t id = 1; id <= size; ++id) {
      voters.push_back(TestVoter(id));
      disks_.push_back(std::make_unique<MemoryDisk>(kTestCluster));
      machines_.emplace_back();
    }
    voters_ = raft::VoterSet(std::move(voters));
    base_config.raft.cluster_id = kTestCluster;
    base_config.raft.generation = kTestGeneration;
    base_config.raft.bootstrap_voters = voters_;
    base_config.controller.max_idle_interval = Duration(0);  // logs hold what the test writes
  }

  void Start(int32_t id) {
    NodeConfig config = base_config;
    config.raft.self = TestVoter(id).key;
    config.client_endpoint = "client-" + std::to_string(id) + ":9000";
    machines_[Index(id)] =
        std::make_unique<TestController>(std::move(config), *disks_[Index(id)], now);
  }
  void StartAll() {
    for (int32_t id = 1; id <= size(); ++id) {
      Start(id);
    }
  }
  // A further machine, formatted to join: it is told the address of node 1 only. Returns its id.
  int32_t StartJoiner() {
    disks_.push_back(std::make_unique<MemoryDisk>(kTestCluster));
    machines_.emplace_back();
    const int32_t id = size();
    NodeConfig config = base_config;
    config.raft.self = TestVoter(id).key;
    config.raft.bootstrap_voters = {};
    config.raft.bootstrap_servers = {TestVoter(1).address};
    config.client_endpoint = "client-" + std::to_string(id) + ":9000";
    machines_[Index(id)] =
        std::make_unique<TestController>(std::move(config), *disks_[Index(id)], now);
    return id;
  }
  // The process dies; of its unfinished writes none has reached the disk.
  void Kill(int32_t id) {
    machines_[Index(id)]->storage().Crash();
    machines_[Index(id)].reset();
  }

  int32_t size() const { return static_cast<int32_t>(machines_.size()); }
  TestController& at(int32_t id) { return *machines_[Index(id)]; }
  bool is_up(int32_t id) const { return machines_[Index(id)] != nullptr; }
  MemoryDisk& disk(int32_t id) { return *disks_[Index(id)]; }

  // Lets everything that is under way finish, without time going on.
  void Settle() {
    for (int rounds = 0; rounds < 10'000; ++rounds) {
      bool any = false;
      for (const auto& machine : machines_) {
        if (machine == nullptr) {
          continue;
        }
        any |= machine->RunTasks(now);
        if (!machine->disk_is_slow) {
          any |= machine->storage().CompleteNextWrite();
          any |= machine->storage().CompleteNextSnapshotStep();
        }
        if (!machine->disk_is_slow && !machine->reads_are_slow) {
          any |= machine->storage().CompleteNextRead();
        }
        any |= Deliver(*machine);
        any |= DeliverBarriers(*machine);
      }
      if (!any && !DeliverResponse()) {
        return;
      }
    }
    FAIL() << "the cluster does not come to rest";
  }

  // Goes to the next deadline of anybody.
  void FireNextTimer() {
    TimePoint next = kNever;
    for (const auto& machine : machines_) {
      if (machine != nullptr) {
        next = std::min(next, machine->node().NextDeadline());
      }
    }
    ASSERT_NE(next, kNever) << "nobody waits for anything";
    now.now = std::max(now.now, next);
    for (const auto& machine : machines_) {
      if (machine != nullptr && machine->node().NextDeadline() <= now.now) {
        machine->node().HandleTimer(now);
        machine->node().Execute(now);
      }
    }
    Settle();
  }

  void RunUntil(const std::function<bool()>& done) {
    Settle();
    for (int i = 0; i < 2000 && !done(); ++i) {
      FireNextTimer();
    }
    ASSERT_TRUE(done()) << "it never happens";
  }
  void RunFor(Duration by) {
    const TimePoint end = now.now + by;
    RunUntil([&] { return now.now >= end; });
  }

  // The id of the active controller, once there is one that everybody up follows.
  int32_t Elect() {
    int32_t found = 0;
    RunUntil([&] {
      found = 0;
      for (int32_t id = 1; id <= size(); ++id) {
        if (is_up(id) && at(id).node().active_controller().is_active()) {
          found = id;
        }
      }
      for (int32_t id = 1; found != 0 && id <= size(); ++id) {
        if (is_up(id) && (at(id).node().core().leader_id() != NodeId(found) ||
                          at(id).node().committed_image()->provenance() !=
                              at(found).node().committed_image()->provenance())) {
          found = 0;
        }
      }
      return found != 0;
    });
    return found;
  }

  CommandAnswer Submit(int32_t id, const controller::Command& command,
                       TimePoint deadline = kNever) {
    auto answer = std::make_shared<Answer<controller::CommandReply>>();
    at(id).node().HandleCommand(now, command, deadline, Into(answer));
    return answer;
  }
  std::shared_ptr<Answer<QuorumReply>> ChangeQuorum(int32_t id, const QuorumCommand& command,
                                                    TimePoint deadline = kNever) {
    auto answer = std::make_shared<Answer<QuorumReply>>();
    at(id).node().HandleQuorumChange(now, command, deadline, Into(answer));
    at(id).node().Execute(now);
    return answer;
  }
  QueryAnswer Query(int32_t id, const controller::Query& query, TimePoint deadline = kNever) {
    auto answer = std::make_shared<Answer<controller::QueryReply>>();
    at(id).node().HandleQuery(now, query, Into(answer), deadline);
    return answer;
  }

  // A vote request of `from` that `to` must heed: it is of the next epoch.
  raft::RaftRequest DeposingVote(int32_t from, int32_t to) {
    raft::VoteRequest vote;
    vote.header = {.cluster_id = kTestCluster,
                   .generation = kTestGeneration,
                   .sender = TestVoter(from).key,
                   .receiver = TestVoter(to).key,
                   .client_endpoint = ""};
    vote.epoch = at(to).node().core().epoch() + 1;
    vote.log_end = {at(to).node().core().log_end_offset() + 100, vote.epoch - 1};
    return vote;
  }

  // A request that returns true here is kept in `held` and not delivered.
  std::function<bool(int32_t from, const raft::SendRequest&)> hold;
  std::vector<std::pair<int32_t, raft::SendRequest>> held;

  NodeConfig base_config;
  Now now{TimePoint(std::chrono::seconds(100)), 1'700'000'000'000};

 private:
  static size_t Index(int32_t id) { return static_cast<size_t>(id - 1); }

  // The machine a request is for, by the address where the sender knows no id; 0: nobody.
  int32_t Resolve(const raft::Voter& voter) const {
    for (int32_t id = 1; id <= size(); ++id) {
      if (voter.key.node_id == NodeId(id) ||
          (voter.key.node_id < NodeId(0) && voter.address == TestVoter(id).address)) {
        return id;
      }
    }
    return 0;
  }

  bool Deliver(TestController& from) {
    const bool any = !from.sent.empty();
    while (!from.sent.empty()) {
      raft::SendRequest request = std::move(from.sent.front().request);
      from.sent.pop_front();
      const int32_t sender = from.id().value();
      if (hold && hold(sender, request)) {
        held.emplace_back(sender, std::move(request));
        continue;
      }
      const NodeId called = request.to.key.node_id;
      const int32_t to = Resolve(request.to);
      if (to == 0 || !is_up(to)) {
        from.node().HandleSendFailure(now, called, request.id, raft::SendFailure::kOther);
        from.node().Execute(now);
        continue;
      }
      at(to).node().HandleRaftRequest(
          now, std::move(request.request),
          [this, sender, called, id = request.id](raft::RaftResponse r) {
            responses_.push_back({sender, called.value(), id, std::move(r)});
          });
      at(to).node().Execute(now);
    }
    return any;
  }

  bool DeliverBarriers(TestController& from) {
    const bool any = !from.barriers.empty();
    while (!from.barriers.empty()) {
      TestController::Barrier barrier = std::move(from.barriers.front());
      from.barriers.pop_front();
      if (!is_up(barrier.to)) {
        barrier.done(absl::UnavailableError("down"));
        continue;
      }
      at(barrier.to).node().HandleReadBarrier(now, barrier.request, barrier.done);
      at(barrier.to).node().Execute(now);
    }
    return any;
  }

  bool DeliverResponse() {
    if (responses_.empty()) {
      return false;
    }
    Response response = std::move(responses_.front());
    responses_.pop_front();
    if (is_up(response.to)) {
      at(response.to)
          .node()
          .HandleRaftResponse(now, NodeId(response.from), response.id,
                              std::move(response.response));
      at(response.to).node().Execute(now);
    }
    return true;
  }

  struct Response {
    int32_t to;
    int32_t from;
    raft::CorrelationId id;
    raft::RaftResponse response;
  };

  raft::VoterSet voters_;
  std::vector<std::unique_ptr<MemoryDisk>> disks_;
  std::vector<std::unique_ptr<TestController>> machines_;
  std::deque<Response> responses_;
};

inline v1::PutEntryRequest PutRequest(const std::string& key, const std::string& value) {
  v1::PutEntryRequest request;
  request.set_key(key);
  request.set_value(value);
  return request;
}

inline v1::GetEntryRequest GetRequest(const std::string& key, bool local = false) {
  v1::GetEntryRequest request;
  request.set_key(key);
  if (local) {
    request.mutable_options()->set_consistency(v1::CONSISTENCY_LOCAL);
  }
  return request;
}

}  // namespace kvorum
