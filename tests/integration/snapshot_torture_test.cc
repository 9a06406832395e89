// kill -9 while snapshots are made, sent and installed, under write load.

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "tests/integration/torture.h"

namespace kvorum::testing {
namespace {

constexpr int kRounds = 50;
constexpr int kPreloadedEntries = 200;
constexpr size_t kPreloadedBytes = 20'000;  // each: a snapshot takes a while, and many chunks

ClusterOptions SmallLogs() {
  ClusterOptions options = QuietOptions();
  options.run_flags.insert(options.run_flags.end(), {"--snapshot-max-log-bytes", "65536",
                                                     "--log-retention-bytes", "131072"});
  return options;
}

int64_t LogStart(const Cluster& cluster, int index) {
  const auto answer = cluster.Describe(index);
  return answer.has_value() ? answer->log_start_offset() : -1;
}

int64_t LogEnd(const Cluster& cluster, int index) {
  const auto answer = cluster.Describe(index);
  return answer.has_value() ? answer->log_end_offset() : -1;
}

class SnapshotTortureTest : public ::testing::Test {
 protected:
  void SetUp() override {
    cluster_.StartAll();
    const auto client = cluster_.MakeClient();
    for (int i = 0; i < kPreloadedEntries; ++i) {
      ASSERT_TRUE(client
                      ->PutEntry(MakePut(fmt::format("preloaded/{:04}", i),
                                         std::string(kPreloadedBytes, 'v')))
                      .ok());
    }
  }

  // A moment that nothing in the cluster chooses.
  void AwaitRandomMoment() { ASSERT_TRUE(load_->AwaitMore(random_.Between(1, 400))); }

  void KillAndRestart(const std::vector<int>& victims) {
    for (const int i : victims) {
      cluster_.Kill(i);
    }
    for (const int i : victims) {
      cluster_.Start(i);
    }
  }

  // Down until the others have no log left that it could go on with; then killed again while it
  // takes a snapshot.
  void KillDuringInstall(int victim) {
    const int64_t end = LogEnd(cluster_, victim);
    cluster_.Kill(victim);
    ASSERT_TRUE(Eventually([&] {
      return LogStart(cluster_, (victim + 1) % 3) > end &&
             LogStart(cluster_, (victim + 2) % 3) > end;
    }));
    cluster_.Start(victim);
    AwaitRandomMoment();
    KillAndRestart({victim});
    ASSERT_TRUE(Eventually([&] { return LogStart(cluster_, victim) > end; }))
        << cluster_.ReadLog(victim);
    ++installs_;
  }

  int installs_ = 0;  // that were interrupted
  Random random_ = TortureRandom();
  Cluster cluster_{SmallLogs()};
  std::unique_ptr<WriteLoad> load_;
};

TEST_F(SnapshotTortureTest, AllNodesEndWithTheSameState) {
  const int rounds = TortureRounds(kRounds);
  load_ = std::make_unique<WriteLoad>(cluster_, 2, "load/");
  for (int round = 0; round < rounds; ++round) {
    SCOPED_TRACE(fmt::format("round {}", round));
    ASSERT_NO_FATAL_FAILURE(AwaitRandomMoment());
    const int victim = static_cast<int>(random_.Below(3));
    switch (random_.Below(4)) {
      case 0:
        KillAndRestart({0, 1, 2});
        break;
      case 1:
        KillAndRestart({victim});
        break;
      default:
        ASSERT_NO_FATAL_FAILURE(KillDuringInstall(victim));
        break;
    }
  }
  ASSERT_TRUE(load_->AwaitMore(20));
  load_->Stop();
  ASSERT_TRUE(AwaitConvergence(cluster_).has_value());
  Entries entries = ListAll(*cluster_.MakeClient());
  EXPECT_EQ(std::erase_if(entries,
                          [](const auto& entry) { return entry.first.starts_with("preloaded/"); }),
            static_cast<size_t>(kPreloadedEntries));
  ExpectHolds(entries, *load_, "load/");
  fmt::print("{} rounds, {} kills during an install: {} writes acknowledged, {} of unknown fate\n",
             rounds, installs_, load_->acknowledged_count(), load_->unknown().size());
  // Not every one says so: one that was killed between the two syncs of an install ends it when it
  // starts.
  EXPECT_TRUE(installs_ == 0 ||
              Contains(cluster_.ReadLog(0) + cluster_.ReadLog(1) + cluster_.ReadLog(2),
                       "snapshot_installed"));
  // What is on the disks, replayed from the beginning, is what the nodes say.
  for (int i = 0; i < cluster_.size(); ++i) {
    EXPECT_EQ(cluster_.Stop(i), 0) << cluster_.ReadLog(i);
    const CommandResult verified =
        RunCommand({Cluster::BinaryPath("kvorumd"), "verify", "--data-dir", cluster_.data_dir(i)});
    EXPECT_EQ(verified.exit_code, 0) << verified.output;
  }
}

}  // namespace
}  // namespace kvorum::testing
