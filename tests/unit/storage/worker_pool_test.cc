#include "storage/rocksdb/worker_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

namespace kvorum {
namespace {

TEST(WorkerPoolTest, RunsTasksBesideEachOther) {
  WorkerPool pool(2);
  std::promise<void> first;
  std::promise<void> second;
  // The first ends only once the second has run.
  pool.Submit([&](const absl::Status& go) {
    EXPECT_TRUE(go.ok());
    second.get_future().wait();
    first.set_value();
  });
  pool.Submit([&](const absl::Status&) { second.set_value(); });
  first.get_future().wait();
}

TEST(WorkerPoolTest, StopCancelsWhatWaitsAndWhatComesLater) {
  WorkerPool pool(1);
  std::promise<void> entered;
  std::promise<void> release;
  std::atomic<int> called = 0;
  std::atomic<int> cancelled = 0;
  pool.Submit([&](const absl::Status&) {
    entered.set_value();
    release.get_future().wait();
  });
  entered.get_future().wait();
  const auto count = [&](const absl::Status& go) {
    ++called;
    cancelled += absl::IsCancelled(go) ? 1 : 0;
  };
  pool.Submit(count);
  std::thread stopper([&] { pool.Stop(); });
  // Submit() after Stop() has begun cancels at once; before it, Stop() does.
  pool.Submit(count);
  release.set_value();
  stopper.join();
  pool.Submit(count);
  EXPECT_EQ(called, 3);  // none is forgotten
  EXPECT_GE(cancelled, 1);
}

TEST(WorkerPoolTest, RefusesMoreThanItsQueueHolds) {
  std::atomic<int> ran = 0;
  std::atomic<int> refused = 0;
  {
    WorkerPool pool(1);
    std::promise<void> entered;
    std::promise<void> release;
    pool.Submit([&](const absl::Status&) {
      entered.set_value();
      release.get_future().wait();
    });
    entered.get_future().wait();
    std::promise<void> last;
    for (size_t i = 0; i < WorkerPool::kMaxQueuedTasks; ++i) {
      pool.Submit([&](const absl::Status& go) { ran += go.ok() ? 1 : 0; });
    }
    pool.Submit([&](const absl::Status& go) {
      refused += absl::IsResourceExhausted(go) ? 1 : 0;
      last.set_value();
    });
    release.set_value();
    last.get_future().wait();
  }
  EXPECT_EQ(ran, static_cast<int>(WorkerPool::kMaxQueuedTasks));
  EXPECT_EQ(refused, 1);
}

}  // namespace
}  // namespace kvorum
