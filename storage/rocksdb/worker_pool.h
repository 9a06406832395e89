#pragma once

#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "server/base/mutex.h"

namespace kvorum {

// A few threads for disk work that must not delay the commit thread: reads of the log's cold part,
// snapshots. Owned by RocksDbStorage. Tasks begin in order, end in any.
class WorkerPool {
 public:
  // Called with OK to do the work, or with the reason why it is not done: ResourceExhausted (too
  // many wait) or Cancelled (the pool stops). On a worker, or inside Stop() or Submit() after it.
  using Task = std::function<void(absl::Status)>;

  static constexpr size_t kMaxQueuedTasks = 4096;

  explicit WorkerPool(int threads);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // Any thread; never blocks.
  void Submit(Task task) EXCLUDES_LOCK(mutex_);

  // Waits for running tasks, cancels the waiting ones. Idempotent; one thread.
  void Stop() EXCLUDES_LOCK(mutex_);

 private:
  struct Entry {
    Task task;
    absl::Status refusal;
  };

  void Run() EXCLUDES_LOCK(mutex_);

  Mutex mutex_;
  CondVar wake_;
  std::deque<Entry> queue_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace kvorum
