#include "storage/rocksdb/worker_pool.h"

#include <fmt/format.h>

#include <utility>

namespace kvorum {

WorkerPool::WorkerPool(int threads) {
  for (int i = 0; i < threads; ++i) {
    threads_.emplace_back([this] { Run(); });
  }
}

WorkerPool::~WorkerPool() { Stop(); }

void WorkerPool::Submit(Task task) {
  {
    MutexLock lock(mutex_);
    if (!stopping_) {
      Entry entry{.task = std::move(task), .refusal = absl::OkStatus()};
      if (queue_.size() >= kMaxQueuedTasks) {
        entry.refusal = absl::ResourceExhaustedError(
            fmt::format("{} disk tasks are waiting, no more are taken", queue_.size()));
      }
      queue_.push_back(std::move(entry));
      wake_.NotifyOne();
      return;
    }
  }
  task(absl::CancelledError("the storage is stopping"));
}

void WorkerPool::Stop() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    wake_.NotifyAll();
  }
  for (std::thread& thread : threads_) {
    thread.join();
  }
  threads_.clear();
  std::deque<Entry> cancelled;
  {
    MutexLock lock(mutex_);
    cancelled.swap(queue_);
  }
  for (Entry& entry : cancelled) {
    entry.task(absl::CancelledError("the storage is stopping"));
  }
}

void WorkerPool::Run() {
  while (true) {
    Entry entry;
    {
      MutexLock lock(mutex_);
      while (queue_.empty() && !stopping_) {
        wake_.Wait(mutex_);
      }
      if (stopping_) {
        return;
      }
      entry = std::move(queue_.front());
      queue_.pop_front();
    }
    entry.task(entry.refusal);
  }
}

}  // namespace kvorum
