// Random schedules of messages (lost, repeated, out of order), syncs, crashes and time, checked
// after every event for what no schedule may break (reliability.md §4a.6: 1, 2, 3, 6, 8, 10, 13).
// The simulator does the same to whole nodes; this one is small enough to debug the core with.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>

#include "server/base/random.h"
#include "server/raft/raft_state.h"
#include "tests/protocol/raft_cluster.h"

namespace kvorum::raft {
namespace {

class Schedule {
 public:
  Schedule(uint64_t seed, int voters) : random_(seed), cluster_(voters), size_(voters) {
    cluster_.SetAutoSync(false);
  }

  void Run(int events) {
    for (int i = 0; i < events && !::testing::Test::HasFatalFailure(); ++i) {
      OneEvent();
      Check();
    }
  }

  // Without faults there must be a leader soon, and all logs must become equal.
  void Heal() {
    cluster_.Heal();
    for (int id = 1; id <= size_; ++id) {
      if (!cluster_.is_up(id)) {
        cluster_.Restart(id);
      }
      cluster_.node(id).auto_sync = true;
      cluster_.node(id).Sync();
    }
    const bool converged = cluster_.RunUntil([&] {
      Check();
      const std::optional<int> leader = cluster_.Leader();
      if (!leader.has_value()) {
        return false;
      }
      TestNode& node = cluster_.node(*leader);
      for (int id = 1; id <= size_; ++id) {
        if (cluster_.node(id).core().high_watermark() != node.core().log_end_offset()) {
          return false;
        }
      }
      return true;
    });
    EXPECT_TRUE(converged) << Describe();
  }

  std::string Describe() const {
    std::string text;
    for (int id = 1; id <= size_; ++id) {
      const RaftDescription now = cluster_.node(id).Describe();
      text += fmt::format("{} {} epoch={} leader={} end={} hwm={}\n", id, RoleName(now.role),
                          now.epoch, now.leader_id.value_or(NodeId(-1)), now.log_end,
                          now.high_watermark.value_or(Offset(-1)));
    }
    return text;
  }

  size_t committed() const { return committed_.size(); }

 private:
  int AnyNode() { return static_cast<int>(random_.Below(static_cast<uint64_t>(size_))) + 1; }

  void OneEvent() {
    const uint64_t die = random_.Below(1000);
    const size_t in_flight = cluster_.messages().size();
    if (die < 550 && in_flight > 0) {
      // Mostly in order.
      cluster_.DeliverAt(random_.OneIn(3, 4) ? 0 : random_.Below(in_flight));
    } else if (die < 800) {
      const int id = AnyNode();
      if (cluster_.is_up(id)) {
        cluster_.node(id).set_now(cluster_.now());
        cluster_.node(id).Sync(1);
        cluster_.Collect();
      }
    } else if (die < 900) {
      cluster_.Advance(milliseconds(random_.Between(1, 30)));
    } else if (die < 950) {
      const int id = AnyNode();
      if (cluster_.is_up(id) && cluster_.node(id).core().is_leader()) {
        cluster_.Append(id, std::to_string(++appended_));
      }
    } else if (die < 970 && in_flight > 0) {
      cluster_.DropAt(random_.Below(in_flight));
    } else if (die < 980 && in_flight > 0) {
      cluster_.RepeatAt(random_.Below(in_flight));
    } else if (die < 985) {
      CrashOrRestart(AnyNode());
    } else if (die < 987) {
      cluster_.Isolate(AnyNode());
    } else if (die < 991) {
      cluster_.Heal();
    } else if (die < 1000) {
      Read(AnyNode());
    }
  }

  void CrashOrRestart(int id) {
    if (cluster_.is_up(id)) {
      cluster_.Crash(id);
    } else {
      cluster_.Restart(id);
      cluster_.node(id).auto_sync = false;
    }
  }

  void Read(int id) {
    if (cluster_.is_up(id)) {
      const uint64_t token = ++reads_;
      committed_at_read_[token] = committed_end_;
      cluster_.Step(id, ConfirmLeadership{.token = ReadToken(token)});
    }
  }

  void Check() {
    for (int id = 1; id <= size_; ++id) {
      TestNode& node = cluster_.node(id);
      const Epoch durable = node.disk().quorum_state.epoch;
      ASSERT_GE(durable, durable_epochs_[id]) << "EpochMonotone, node " << id;
      durable_epochs_[id] = durable;
      CheckVote(id, node.disk().quorum_state);
      if (!cluster_.is_up(id)) {
        continue;
      }
      if (node.core().is_leader()) {
        const auto [it, is_new] = leaders_.emplace(node.epoch(), id);
        ASSERT_EQ(it->second, id) << "ElectionSafety, epoch " << node.epoch();
      }
      CheckCommitted(id, node);
      for (const ReadConfirmed& read : node.TakeReads()) {
        ASSERT_TRUE(!read.confirmed ||
                    read.read_offset >= committed_at_read_.at(read.token.value()))
            << "LinearizableRead, node " << id;
      }
      node.TakeTraces();
    }
  }

  void CheckVote(int id, const QuorumState& state) {
    if (state.voted_key.has_value()) {
      const auto [it, is_new] = votes_.emplace(std::pair(id, state.epoch), *state.voted_key);
      ASSERT_EQ(it->second, *state.voted_key) << "VoteOnce, node " << id;
    }
  }

  // What is committed anywhere is the same everywhere and for ever.
  void CheckCommitted(int id, const TestNode& node) {
    const Offset high_watermark = node.core().high_watermark().value_or(Offset(0));
    for (const RecordBatch& batch : node.log()) {
      if (batch.end_offset() > high_watermark) {
        break;
      }
      const auto [it, is_new] = committed_.emplace(batch.base_offset, batch.chain_hash);
      ASSERT_EQ(it->second, batch.chain_hash) << "CommitWriteOnce, node " << id;
      committed_end_ = std::max(committed_end_, batch.end_offset());
    }
  }

  Random random_;
  TestCluster cluster_;
  int size_;
  int appended_ = 0;
  uint64_t reads_ = 0;
  std::map<uint64_t, Offset> committed_at_read_;
  Offset committed_end_;
  std::map<int, Epoch> durable_epochs_;
  std::map<Epoch, int> leaders_;
  std::map<std::pair<int, Epoch>, ReplicaKey> votes_;
  std::map<Offset, uint64_t> committed_;
};

TEST(RandomScheduleTest, KeepsItsPromisesAndRecovers) {
  const char* from = std::getenv("KVORUM_SEED");
  const char* count = std::getenv("KVORUM_SEEDS");
  const uint64_t first = from == nullptr ? 1 : std::strtoull(from, nullptr, 10);
  const uint64_t seeds = count == nullptr ? 30 : std::strtoull(count, nullptr, 10);
  size_t committed = 0;
  for (uint64_t seed = first; seed < first + seeds; ++seed) {
    SCOPED_TRACE(seed);
    Schedule schedule(seed, std::array{1, 2, 3, 3, 3, 4, 5}[seed % 7]);
    schedule.Run(3000);
    schedule.Heal();
    committed += schedule.committed();
    if (HasFailure()) {
      return;
    }
  }
  EXPECT_GT(committed, seeds);  // the schedules do let something happen
}

}  // namespace
}  // namespace kvorum::raft
