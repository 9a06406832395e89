#include "server/runtime/event_loop.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <future>
#include <thread>
#include <vector>

#include "server/runtime/clock.h"

namespace kvorum {
namespace {

// Records what the loop does with it; read after Stop.
class FakeDriver : public LoopDriver {
 public:
  TimePoint NextDeadline() const override { return deadline; }
  void OnTimer(Now) override {
    ++timers;
    deadline = kNever;
    if (on_timer) {
      on_timer();
    }
    timer_fired.set_value();
  }
  void OnTurnEnd(Now) override { ++turns; }
  bool TakesClientTasks() const override { return takes_client_tasks; }

  TimePoint deadline = kNever;
  bool takes_client_tasks = true;
  int timers = 0;
  int turns = 0;
  std::promise<void> timer_fired;
  std::function<void()> on_timer;
};

TEST(EventLoopTest, RunsWhatWasPostedBeforeStartInOneTurn) {
  FakeDriver driver;
  EventLoop loop("test", {});
  std::vector<int> ran;
  loop.TryPost(Lane::kClient, [&](Now) { ran.push_back(3); });
  loop.Post([&](Now) { ran.push_back(1); });
  loop.Post([&](Now) {
    ran.push_back(2);
    EXPECT_EQ(driver.turns, 0);
  });
  loop.Start(driver);
  loop.Stop();
  EXPECT_EQ(ran, (std::vector<int>{1, 2, 3}));
  EXPECT_GE(driver.turns, 1);
}

TEST(EventLoopTest, FiresTheTimerWhenItIsDue) {
  FakeDriver driver;
  driver.deadline = ReadClock().now + std::chrono::milliseconds(5);
  EventLoop loop("test", {});
  loop.Start(driver);
  driver.timer_fired.get_future().wait();
  loop.Stop();
  EXPECT_EQ(driver.timers, 1);
}

// With the controller's excuse for its own stalls (BrokerLifecycleTest) this is why no overload
// fences a healthy broker (KAFKA-15019).
TEST(EventLoopTest, HeartbeatsThatCameWhileTheLoopWasBusyRunBeforeATimerThatBecameDue) {
  FakeDriver driver;
  EventLoop loop("test", {});
  int heartbeats = 0;
  std::promise<int> heartbeats_before_timer;
  std::promise<void> busy;
  std::promise<void> go_on;
  loop.TryPost(Lane::kClient, [&](Now) {
    busy.set_value();
    go_on.get_future().wait();
  });
  loop.Start(driver);
  busy.get_future().wait();
  for (int i = 0; i < 100; ++i) {
    loop.TryPost(Lane::kUrgent, [&](Now) {
      if (++heartbeats == 1) {
        driver.deadline = ReadClock().now;  // it passed while the loop was busy
        driver.on_timer = [&] { heartbeats_before_timer.set_value(heartbeats); };
      }
    });
  }
  go_on.set_value();
  EXPECT_EQ(heartbeats_before_timer.get_future().get(), 100);
  loop.Stop();
}

TEST(EventLoopTest, StopRunsEverythingThatWasAccepted) {
  FakeDriver driver;
  EventLoop loop("test", {});
  constexpr int kTasks = static_cast<int>(EventLoop::kMaxClientTasksPerTurn) * 3;
  int ran = 0;
  for (int i = 0; i < kTasks; ++i) {
    ASSERT_EQ(loop.TryPost(Lane::kClient, [&](Now) { ++ran; }), PostResult::kAccepted);
  }
  loop.Start(driver);
  loop.Stop();
  EXPECT_EQ(ran, kTasks);
  EXPECT_EQ(loop.TryPost(Lane::kUrgent, [](Now) {}), PostResult::kClosed);
}

TEST(EventLoopTest, UrgentTasksRunBetweenPortionsOfALongClientLane) {
  FakeDriver driver;
  EventLoop loop("test", {});
  constexpr int kPortion = static_cast<int>(EventLoop::kMaxClientTasksPerTurn);
  int clients = 0;
  std::promise<int> clients_before_urgent;
  for (int i = 0; i < kPortion * 2; ++i) {
    loop.TryPost(Lane::kClient, [&](Now) {
      if (clients++ == 0) {
        loop.Post([&](Now) { clients_before_urgent.set_value(clients); });
      }
    });
  }
  loop.Start(driver);
  EXPECT_EQ(clients_before_urgent.get_future().get(), kPortion);
  loop.Stop();
  EXPECT_EQ(clients, kPortion * 2);
}

TEST(EventLoopTest, ClientTasksWaitWhileTheDriverTakesNone) {
  FakeDriver driver;
  driver.takes_client_tasks = false;
  EventLoop loop("test", {});
  std::vector<int> ran;
  std::promise<void> first;
  loop.TryPost(Lane::kClient, [&](Now) { ran.push_back(2); });
  loop.Post([&](Now) {
    ran.push_back(1);
    first.set_value();
  });
  loop.Start(driver);
  first.get_future().wait();
  loop.Post([&](Now) {
    EXPECT_EQ(ran, std::vector<int>{1});
    driver.takes_client_tasks = true;
  });
  loop.Stop();
  EXPECT_EQ(ran, (std::vector<int>{1, 2}));
}

TEST(EventLoopTest, StopsTakingClientTasksInTheMiddleOfATurn) {
  FakeDriver driver;
  EventLoop loop("test", {});
  std::vector<int> ran;
  std::promise<size_t> ran_before_urgent;
  for (int i = 0; i < 3; ++i) {
    loop.TryPost(Lane::kClient, [&, i](Now) {
      ran.push_back(i);
      if (i == 0) {
        driver.takes_client_tasks = false;
        loop.Post([&](Now) {
          ran_before_urgent.set_value(ran.size());
          driver.takes_client_tasks = true;
        });
      }
    });
  }
  loop.Start(driver);
  EXPECT_EQ(ran_before_urgent.get_future().get(), 1u);
  loop.Stop();
  EXPECT_EQ(ran, (std::vector<int>{0, 1, 2}));
}

TEST(EventLoopTest, TasksOfOneTurnSeeOneTime) {
  FakeDriver driver;
  EventLoop loop("test", {});
  std::vector<TimePoint> times;
  for (int i = 0; i < 3; ++i) {
    loop.Post([&](Now now) { times.push_back(now.now); });
  }
  loop.Start(driver);
  loop.Stop();
  ASSERT_EQ(times.size(), 3u);
  EXPECT_EQ(times[0], times[2]);
}

TEST(EventLoopTest, ACallerRunsTheTurnWhileTheLoopSleeps) {
  FakeDriver driver;
  EventLoop loop("test", {});
  loop.Start(driver);
  // The loop goes to sleep soon after its first turn; from then on the caller's thread runs.
  const std::thread::id caller = std::this_thread::get_id();
  std::thread::id ran_on;
  while (ran_on != caller) {
    std::promise<void> ran;
    ASSERT_EQ(loop.RunOrTryPost(Lane::kClient,
                                [&](Now) {
                                  ran_on = std::this_thread::get_id();
                                  ran.set_value();
                                }),
              PostResult::kAccepted);
    ran.get_future().wait();
  }
  loop.Stop();
  EXPECT_EQ(loop.RunOrTryPost(Lane::kClient, [](Now) {}), PostResult::kClosed);
}

TEST(EventLoopTest, TurnsOfCallersAndOfTheLoopNeverOverlap) {
  FakeDriver driver;
  EventLoop loop("test", {});
  loop.Start(driver);
  constexpr int kThreads = 4;
  constexpr int kTasks = 5000;
  int ran = 0;  // not atomic: overlapping turns would lose counts
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kTasks; ++i) {
        if (t % 2 == 0) {
          loop.RunOrPost([&](Now) { ++ran; });
        } else {
          loop.Post([&](Now) { ++ran; });
        }
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  loop.Stop();
  EXPECT_EQ(ran, kThreads * kTasks);
}

TEST(EventLoopTest, ATimerSetInACallersTurnWakesTheLoop) {
  FakeDriver driver;
  EventLoop loop("test", {});
  loop.Start(driver);
  loop.RunOrPost([&](Now now) { driver.deadline = now.now + std::chrono::milliseconds(5); });
  driver.timer_fired.get_future().wait();
  loop.Stop();
  EXPECT_EQ(driver.timers, 1);
}

TEST(EventLoopTest, APostInsideACallersTurnRunsAfterIt) {
  FakeDriver driver;
  EventLoop loop("test", {});
  loop.Start(driver);
  std::promise<void> second;
  loop.RunOrPost([&](Now) { loop.RunOrPost([&](Now) { second.set_value(); }); });
  second.get_future().wait();
  loop.Stop();
}

TEST(ClockTest, DeadlineFarAwayIsNone) {
  EXPECT_EQ(DeadlineFromSystemTime(std::chrono::system_clock::time_point::max()), kNever);
}

TEST(ClockTest, DeadlineKeepsTheRemainingTime) {
  const TimePoint before = ReadClock().now;
  const TimePoint deadline =
      DeadlineFromSystemTime(std::chrono::system_clock::now() + std::chrono::seconds(60));
  EXPECT_GT(deadline, before + std::chrono::seconds(55));
  EXPECT_LT(deadline, before + std::chrono::seconds(65));
}

}  // namespace
}  // namespace kvorum
