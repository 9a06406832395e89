// Power loss for real: each controller's data directory is a file system of its own, ext4 or xfs,
// whose power is cut under write load. Sound order, which the kernel's shutdown demands: freeze the
// process, cut, kill, remount, restart. (Cutting under a running process gives false alarms: an
// fdatasync in flight may return OK and be lost.)

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>

#include "tests/integration/loop_mount.h"
#include "tests/integration/torture.h"

namespace kvorum::testing {
namespace {

constexpr int kControllers = 3;
constexpr int kRounds = 100;
constexpr int kRoundsPerCheck = 10;  // what is lost stays lost: no key is written twice

// Until every thread of `pid` has stopped: a signal is only on its way when kill() returns.
bool AwaitStopped(pid_t pid) {
  return Eventually([&] {
    const std::string tasks = fmt::format("/proc/{}/task", pid);
    for (const auto& task : std::filesystem::directory_iterator(tasks)) {
      if (ReadFile(task.path().string() + "/status").find("State:\tT") == std::string::npos) {
        return false;
      }
    }
    return true;
  });
}

class PowerLossTortureTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::optional<std::string> why = WhyNoLoopMounts()) {
      GTEST_SKIP() << *why;
    }
    ClusterOptions options;
    // Snapshots and moves of the log's start, so that the power is cut in the middle of them too.
    options.run_flags = {"--snapshot-max-log-bytes", "65536", "--log-retention-bytes", "262144"};
    for (int i = 0; i < kControllers; ++i) {
      disks_.push_back(std::make_unique<LoopMount>(
          i % 2 == 0 ? "ext4" : "xfs", fmt::format("{}/disk-{}", directory_.path(), i)));
      options.data_dirs.push_back(disks_.back()->path() + "/data");
    }
    cluster_ = std::make_unique<Cluster>(options);
    cluster_->StartAll();
  }

  void CutPowerOf(const std::vector<int>& victims) {
    for (const int i : victims) {
      cluster_->process(i).Signal(SIGSTOP);
    }
    for (const int i : victims) {
      ASSERT_TRUE(AwaitStopped(cluster_->process(i).pid()));
    }
    for (const int i : victims) {
      disks_[static_cast<size_t>(i)]->CutPower();
    }
    for (const int i : victims) {
      cluster_->Kill(i);
      disks_[static_cast<size_t>(i)]->Remount();
    }
  }

  // It answers, and its disk holds what it had promised: no power loss may cost a voter.
  void StartWhole(int index) {
    cluster_->Start(index);
    AwaitWhole(index);
  }

  void AwaitWhole(int index) {
    std::optional<v1::DescribeQuorumResponse> answer;
    ASSERT_TRUE(Eventually([&] {
      answer = cluster_->Describe(index);
      return answer.has_value() || !cluster_->process(index).is_running();
    }));
    ASSERT_TRUE(answer.has_value()) << cluster_->ReadLog(index);
    ASSERT_FALSE(answer->quarantined()) << cluster_->ReadLog(index);
  }

  TemporaryDirectory directory_{"kvorum-power-loss"};
  std::vector<std::unique_ptr<LoopMount>> disks_;
  std::unique_ptr<Cluster> cluster_;
};

TEST_F(PowerLossTortureTest, NoAcknowledgedWriteIsLost) {
  Random random = TortureRandom();
  const int rounds = TortureRounds(kRounds);
  ASSERT_GE(cluster_->WaitForLeader(), 0);
  WriteLoad load(*cluster_, 2, "load/");
  std::vector<int> rounds_with(kControllers + 1);
  for (int round = 1; round <= rounds; ++round) {
    ASSERT_TRUE(load.AwaitMore(random.Between(1, 60))) << "round " << round;
    // One, a majority, or all at once; the order is of whom the cluster hears first afterwards.
    std::vector<int> victims = {0, 1, 2};
    for (size_t i = victims.size() - 1; i > 0; --i) {
      std::swap(victims[i], victims[random.Below(i + 1)]);
    }
    victims.resize(1 + random.Below(kControllers));
    ++rounds_with[victims.size()];
    ASSERT_NO_FATAL_FAILURE(CutPowerOf(victims)) << "round " << round;
    for (const int i : victims) {
      ASSERT_NO_FATAL_FAILURE(StartWhole(i)) << "round " << round;
    }
    if (round % kRoundsPerCheck == 0) {
      ExpectNothingLost(*cluster_, load);
    }
  }
  ASSERT_TRUE(load.AwaitMore(20));
  load.Stop();
  ASSERT_TRUE(AwaitConvergence(*cluster_).has_value());
  ExpectHolds(ListAll(*cluster_->MakeClient()), load, "load/");
  fmt::print(
      "{} power losses of one controller, {} of two, {} of all: {} writes acknowledged, "
      "{} of unknown fate\n",
      rounds_with[1], rounds_with[2], rounds_with[3], load.acknowledged_count(),
      load.unknown().size());
}

TEST_F(PowerLossTortureTest, AReadOnlyDiskEndsTheStartWithASentence) {
  ASSERT_GE(cluster_->WaitForLeader(), 0);
  ASSERT_NO_FATAL_FAILURE(AwaitWhole(0));
  EXPECT_EQ(cluster_->Stop(0), 0) << cluster_->ReadLog(0);
  const std::string& disk = disks_[0]->path();
  ASSERT_EQ(RunCommand({"mount", "-o", "remount,ro", disk}).exit_code, 0);
  cluster_->Start(0);
  const int exit_code = cluster_->process(0).Wait();
  EXPECT_TRUE(exit_code == 71 || exit_code == 72) << exit_code;
  EXPECT_TRUE(Contains(cluster_->ReadLog(0), "read-only")) << cluster_->ReadLog(0);
  ASSERT_EQ(RunCommand({"mount", "-o", "remount,rw", disk}).exit_code, 0);
  StartWhole(0);
}

}  // namespace
}  // namespace kvorum::testing
