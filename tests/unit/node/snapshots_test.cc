// Nodes that make snapshots, forget the log before them, start from one and are sent one.
#include "server/node/snapshots.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <string>

#include "tests/unit/node/test_cluster.h"

namespace kvorum {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

using SnapshotAnswer = std::shared_ptr<Answer<v1::TriggerSnapshotResponse>>;

class SnapshotsTest : public testing::Test {
 protected:
  SnapshotsTest() {
    cluster.base_config.snapshots.max_log_bytes = 1 << 30;
    cluster.base_config.snapshots.chunk_bytes = 200;
  }
  const raft::RaftCore& core(int32_t id) { return cluster.at(id).node().core(); }
  void Put(int32_t leader, int count) {
    for (int i = 0; i < count; ++i) {
      const CommandAnswer put =
          cluster.Submit(leader, PutRequest("key-" + std::to_string(++last_key_), "value"));
      cluster.Settle();
      ASSERT_TRUE(put->is_ok()) << put->status();
    }
  }
  SnapshotAnswer Trigger(int32_t id) {
    auto answer = std::make_shared<Answer<v1::TriggerSnapshotResponse>>();
    cluster.at(id).node().HandleTriggerSnapshot(cluster.now, {}, Into(answer));
    cluster.at(id).node().Execute(cluster.now);
    cluster.Settle();
    return answer;
  }
  struct Two {
    int32_t leader;
    int32_t late;
  };
  // `late` is killed when there are a few writes.
  Two StartAndLoseOne() {
    cluster.StartAll();
    const int32_t leader = cluster.Elect();
    const int32_t late = leader % 3 + 1;
    Put(leader, 2);
    cluster.Kill(late);
    return {leader, late};
  }
  // `late` is back, needs a snapshot, and its disk does what the test lets it do; the leader makes
  // another one every few writes.
  Two StartWithASlowCopy() {
    cluster.base_config.snapshots.max_log_bytes = 500;
    cluster.base_config.snapshots.retention_bytes = 1000;
    cluster.base_config.snapshots.max_kept = 2;
    const Two two = StartAndLoseOne();
    Put(two.leader, 50);
    cluster.Start(two.late);
    cluster.at(two.late).disk_is_slow = true;
    return two;
  }
  bool AllEqual() {
    for (int32_t id = 2; id <= cluster.size(); ++id) {
      if (!cluster.is_up(id) || cluster.at(id).StateHash() != cluster.at(1).StateHash() ||
          core(id).log_end_offset() != core(1).log_end_offset()) {
        return false;
      }
    }
    return true;
  }

  TestCluster cluster{3};
  int last_key_ = 0;
};

TEST_F(SnapshotsTest, TriggeredOneHoldsEverythingApplied) {
  cluster.StartAll();
  const int32_t leader = cluster.Elect();
  Put(leader, 20);
  const SnapshotAnswer made = Trigger(leader);
  ASSERT_TRUE(made->is_ok()) << made->status();
  const v1::TriggerSnapshotResponse& response = **made->reply;
  EXPECT_EQ(Offset(response.end().offset()), core(leader).log_end_offset());
  EXPECT_EQ(response.state_hash(), fmt::format("{:016x}", cluster.at(leader).StateHash()));
  EXPECT_GT(response.size_bytes(), 200);
  ASSERT_EQ(core(leader).snapshots().size(), 1u);
  EXPECT_GT(core(leader).snapshots()[0].chunk_count, 1);
  EXPECT_EQ(core(leader).log_start_offset(), Offset(0)) << "one snapshot moves nothing";
  // Nothing new: the same one again.
  const SnapshotAnswer again = Trigger(leader);
  EXPECT_EQ((**again->reply).end().offset(), response.end().offset());
  EXPECT_EQ(core(leader).snapshots().size(), 1u);
}

// reliability invariant 18: equal states give equal bytes.
TEST_F(SnapshotsTest, AllNodesMakeTheSameBytes) {
  cluster.StartAll();
  Put(cluster.Elect(), 20);
  cluster.RunUntil([&] { return AllEqual(); });
  for (int32_t id = 1; id <= 3; ++id) {
    ASSERT_TRUE(Trigger(id)->is_ok());
    EXPECT_EQ(core(id).snapshots()[0], core(1).snapshots()[0]);
  }
}

TEST_F(SnapshotsTest, OneIsMadeAfterSoManyBytesOfLogAndByEveryNode) {
  cluster.base_config.snapshots.max_log_bytes = 1000;
  cluster.StartAll();
  Put(cluster.Elect(), 30);
  cluster.RunUntil([&] {
    return !core(1).snapshots().empty() && !core(2).snapshots().empty() &&
           !core(3).snapshots().empty();
  });
}

TEST_F(SnapshotsTest, OneIsMadeAfterSoMuchTimeIfAnythingWasWritten) {
  cluster.base_config.snapshots.max_interval = seconds(60);
  cluster.StartAll();
  const int32_t leader = cluster.Elect();
  Put(leader, 1);
  cluster.RunFor(seconds(50));
  EXPECT_TRUE(core(leader).snapshots().empty());
  cluster.RunFor(seconds(20));
  EXPECT_EQ(core(leader).snapshots().size(), 1u);
  cluster.RunFor(seconds(200));
  EXPECT_EQ(core(leader).snapshots().size(), 1u) << "nothing was written since";
}

// What others have committed may not be on the own disk yet: no snapshot of it can be made, and
// until its writes are done there is nothing to wake up for.
TEST_F(SnapshotsTest, OneThatIsDueWaitsForTheOwnDisk) {
  cluster.base_config.snapshots.max_interval = seconds(60);
  cluster.StartAll();
  const int32_t leader = cluster.Elect();
  TestController& machine = cluster.at(leader);
  machine.disk_is_slow = true;
  Put(leader, 1);
  cluster.now.now += seconds(61);
  machine.node().HandleTimer(cluster.now);
  machine.node().Execute(cluster.now);
  EXPECT_TRUE(core(leader).snapshots().empty());
  EXPECT_GT(machine.node().NextDeadline(), cluster.now.now);
  machine.disk_is_slow = false;
  cluster.Settle();
  EXPECT_EQ(core(leader).snapshots().size(), 1u);
}

struct ImmediateHost : NodeHost {
  void Post(std::function<void(Now)> task) override { task(Now{}); }
  void OnStorageFailure(const absl::Status&) override {}
};

struct CountingOwner : SnapshotOwner {
  void StepRaft(Now, raft::Event) override {}
  void OnImageLoaded(Now, std::shared_ptr<const MetadataImage>, uint64_t) override {}
  void OnStorageError(const absl::Status&) override { ++errors; }

  int errors = 0;
};

// etcd 18055: what was installed meanwhile has replaced the one that is read, which then is gone.
TEST_F(SnapshotsTest, ReadingOnInAReplacedOneIsNoError) {
  cluster.StartAll();
  cluster.Settle();
  MemoryStorage& storage = cluster.at(1).storage();
  ImmediateHost host;
  CountingOwner owner;
  Snapshots snapshots({}, {storage, host, core(1), owner});
  SnapshotManifest manifest;
  manifest.chunk_count = 1;
  manifest.id = {Offset(5), Epoch(1)};
  snapshots.Load(manifest);
  manifest.id = {Offset(9), Epoch(1)};
  snapshots.Load(manifest);

  ASSERT_TRUE(storage.CompleteNextRead());
  EXPECT_EQ(owner.errors, 0);
  EXPECT_TRUE(snapshots.is_loading());
  ASSERT_TRUE(storage.CompleteNextRead());
  EXPECT_EQ(owner.errors, 1) << "but the newest must be there";
}

// consensus §3.7: by size, and never with fewer than one.
TEST_F(SnapshotsTest, RetentionMovesTheLogStartToASnapshotThatIsKept) {
  cluster.base_config.snapshots.max_log_bytes = 1000;
  cluster.base_config.snapshots.retention_bytes = 5000;
  cluster.StartAll();
  const int32_t leader = cluster.Elect();
  Put(leader, 200);
  cluster.RunUntil([&] { return core(leader).log_start_offset() > Offset(100); });
  ASSERT_FALSE(core(leader).snapshots().empty());
  EXPECT_EQ(core(leader).snapshots().front().id.offset, core(leader).log_start_offset());
  EXPECT_LE(core(leader).snapshots().size(), 8u);
  EXPECT_EQ(cluster.disk(leader).start().end_offset, core(leader).log_start_offset());
  EXPECT_EQ(cluster.disk(leader).snapshots().size(), core(leader).snapshots().size());
}

TEST_F(SnapshotsTest, AgeEndsTheLifeOfAllButTheNewest) {
  cluster.base_config.snapshots.retention_age = seconds(100);
  cluster.StartAll();
  const int32_t leader = cluster.Elect();
  for (int i = 0; i < 3; ++i) {
    Put(leader, 1);
    ASSERT_TRUE(Trigger(leader)->is_ok());
  }
  EXPECT_EQ(core(leader).snapshots().size(), 3u);
  cluster.now.wall_ms += 101'000;
  Put(leader, 1);
  ASSERT_TRUE(Trigger(leader)->is_ok());
  EXPECT_EQ(core(leader).snapshots().size(), 1u);
}

TEST_F(SnapshotsTest, RestartGoesOnFromTheSnapshotAndTheLogBehindIt) {
  cluster.StartAll();
  const int32_t leader = cluster.Elect();
  Put(leader, 20);
  cluster.RunUntil([&] { return AllEqual(); });
  for (int32_t id = 1; id <= 3; ++id) {
    ASSERT_TRUE(Trigger(id)->is_ok());
  }
  Put(leader, 5);
  cluster.RunUntil([&] { return AllEqual(); });
  const uint64_t hash = cluster.at(1).StateHash();
  for (int32_t id = 1; id <= 3; ++id) {
    cluster.Kill(id);
  }
  cluster.StartAll();
  cluster.Elect();
  cluster.RunUntil([&] { return AllEqual(); });
  EXPECT_EQ(cluster.at(1).StateHash(), hash);
  EXPECT_EQ(cluster.at(1).jumps, 1) << "subscribers begin with the snapshot's image";
}

// After a restart the snapshot's image is committed, but it is not known what came after it.
TEST_F(SnapshotsTest, LocalReadsWaitUntilTheLeaderIsHeardThoughASnapshotIsLoaded) {
  cluster.StartAll();
  const int32_t leader = cluster.Elect();
  Put(leader, 3);
  ASSERT_TRUE(Trigger(leader)->is_ok());
  for (int32_t id = 1; id <= 3; ++id) {
    cluster.Kill(id);
  }
  cluster.Start(leader);
  cluster.Settle();
  EXPECT_EQ(cluster.Query(leader, GetRequest("key-1", /*local=*/true))->reason(),
            ErrorReason::kLeaderNotAvailable);
}

TEST_F(SnapshotsTest, NodeThatWasDownTooLongComesBackThroughASnapshot) {
  cluster.base_config.snapshots.max_log_bytes = 1000;
  cluster.base_config.snapshots.retention_bytes = 3000;
  const auto [leader, late] = StartAndLoseOne();
  Put(leader, 200);
  ASSERT_GT(core(leader).log_start_offset(), Offset(50));
  cluster.Start(late);
  cluster.RunUntil([&] { return AllEqual(); });
  EXPECT_GT(core(late).log_start_offset(), Offset(50));
  EXPECT_GE(cluster.at(late).jumps, 1);
  Put(leader, 3);
  cluster.RunUntil([&] { return AllEqual(); });
  EXPECT_TRUE(cluster.at(late).failures.empty());
}

// Each chunk takes the replica longer than the leader takes to make another snapshot: were the one
// that it copies removed for a newer one, it would begin anew for ever.
TEST_F(SnapshotsTest, OneThatAReplicaCopiesIsKeptUntilItHasIt) {
  const auto [leader, late] = StartWithASlowCopy();
  size_t most = 0;
  for (int i = 0; i < 100 && core(late).log_start_offset() == Offset(0); ++i) {
    Put(leader, 10);
    most = std::max(most, core(leader).snapshots().size());
    cluster.RunFor(milliseconds(100));
    cluster.at(late).storage().CompleteNextSnapshotStep();
    cluster.at(late).storage().CompleteNextWrite();
    cluster.Settle();
  }
  EXPECT_GT(core(late).log_start_offset(), Offset(0)) << "the copy never ended";
  EXPECT_LE(most, 3u) << "no more are made while the oldest can't go";
  cluster.at(late).disk_is_slow = false;
  cluster.RunUntil([&] { return AllEqual(); });
}

// A replica that asks for the same piece again and again holds nothing up.
TEST_F(SnapshotsTest, OneIsNotKeptForAReplicaThatDoesNotGetOn) {
  const auto [leader, late] = StartWithASlowCopy();
  cluster.RunFor(seconds(1));
  ASSERT_TRUE(core(leader).oldest_snapshot_lease(cluster.now.now).has_value());
  const Offset start = core(leader).log_start_offset();
  Put(leader, 30);
  EXPECT_EQ(core(leader).log_start_offset(), start);
  cluster.Kill(late);
  cluster.RunUntil([&] { return core(leader).log_start_offset() > start; });
  EXPECT_LE(core(leader).snapshots().size(), 2u);
}

// reliability.md §6.4: no damaged piece is served. The image is whole, so a new snapshot takes its
// place as soon as there is one to make.
TEST_F(SnapshotsTest, DamagedOneIsNotServedButReplaced) {
  cluster.base_config.snapshots.max_kept = 1;
  const auto [leader, late] = StartAndLoseOne();
  for (int i = 0; i < 2; ++i) {
    Put(leader, 20);
    ASSERT_TRUE(Trigger(leader)->is_ok());
  }
  const SnapshotId damaged = core(leader).snapshots().back().id;
  ASSERT_EQ(core(leader).log_start_offset(), damaged.offset);
  cluster.disk(leader).FlipChunk(damaged, 1);
  cluster.Start(late);
  cluster.RunFor(seconds(5));
  EXPECT_EQ(core(late).log_start_offset(), Offset(0));
  EXPECT_EQ(cluster.at(leader).damaged, std::vector<SnapshotId>{damaged});

  Put(leader, 1);
  cluster.RunUntil([&] { return AllEqual(); });
  EXPECT_GT(core(leader).log_start_offset(), damaged.offset);
  EXPECT_EQ(cluster.disk(leader).FindSnapshot(damaged), nullptr);
  EXPECT_TRUE(cluster.at(leader).failures.empty());
}

// reliability R37, §3.6: the crash may come at any step; afterwards it is the old or the new state.
TEST_F(SnapshotsTest, CrashAtAnyStepOfAnInstallLeavesOneWholeState) {
  cluster.base_config.snapshots.max_log_bytes = 1000;
  cluster.base_config.snapshots.retention_bytes = 3000;
  const auto [leader, late] = StartAndLoseOne();
  Put(leader, 100);
  for (int steps = 0; steps < 60; steps += 3) {
    cluster.Start(late);
    cluster.at(late).disk_is_slow = true;
    for (int step = 0; step < steps; ++step) {
      // Completions one at a time, so that the crash falls between any two.
      cluster.FireNextTimer();
      MemoryStorage& disk = cluster.at(late).storage();
      if (!disk.CompleteNextRead() && !disk.CompleteNextSnapshotStep()) {
        disk.CompleteNextWrite();
      }
      cluster.Settle();
    }
    cluster.Kill(late);
    const Offset start = cluster.disk(late).start().end_offset;
    EXPECT_TRUE(start == Offset(0) || !cluster.disk(late).snapshots().empty()) << steps;
  }
  cluster.Start(late);
  cluster.RunUntil([&] { return AllEqual(); });
  EXPECT_GT(core(late).log_start_offset(), Offset(50));
}

TEST_F(SnapshotsTest, WhoWaitsForOneIsToldThatTheNodeStops) {
  cluster.StartAll();
  const int32_t leader = cluster.Elect();
  Put(leader, 1);
  TestController& machine = cluster.at(leader);
  machine.disk_is_slow = true;
  const SnapshotAnswer answer = Trigger(leader);
  ASSERT_TRUE(answer->is_waiting());
  machine.node().BeginShutdown(cluster.now);
  machine.node().Execute(cluster.now);
  EXPECT_EQ(answer->times, 1);
  EXPECT_EQ(answer->reason(), ErrorReason::kShuttingDown);
}

TEST_F(SnapshotsTest, RefusesWhileItIsStopping) {
  cluster.StartAll();
  const int32_t leader = cluster.Elect();
  cluster.at(leader).node().BeginShutdown(cluster.now);
  EXPECT_EQ(Trigger(leader)->reason(), ErrorReason::kShuttingDown);
}

}  // namespace
}  // namespace kvorum
