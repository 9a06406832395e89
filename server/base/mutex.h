#pragma once

#include <condition_variable>
#include <mutex>

// std::mutex with clang's thread-safety annotations (checked by the tidy preset). absl::Mutex is
// not used: its Debian build is not instrumented, and TSan then reports races that are none.
#if defined(__clang__)
#define KVORUM_TSA(x) __attribute__((x))
#else
#define KVORUM_TSA(x)
#endif
#undef GUARDED_BY  // Abseil's headers may have defined the same
#define GUARDED_BY(x) KVORUM_TSA(guarded_by(x))
#define REQUIRES_LOCK(x) KVORUM_TSA(exclusive_locks_required(x))
#define EXCLUDES_LOCK(x) KVORUM_TSA(locks_excluded(x))

namespace kvorum {

class KVORUM_TSA(capability("mutex")) Mutex {
 public:
  void Lock() KVORUM_TSA(acquire_capability()) { mutex_.lock(); }
  void Unlock() KVORUM_TSA(release_capability()) { mutex_.unlock(); }

 private:
  friend class CondVar;
  std::mutex mutex_;
};

class KVORUM_TSA(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) KVORUM_TSA(acquire_capability(mutex)) : mutex_(mutex) {
    mutex_.Lock();
  }
  ~MutexLock() KVORUM_TSA(release_capability()) { mutex_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

class CondVar {
 public:
  void Wait(Mutex& mutex) REQUIRES_LOCK(mutex) {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    condition_.wait(lock);
    lock.release();
  }
  // Returns false on time-out.
  template <typename Clock, typename D>
  bool WaitUntil(Mutex& mutex, std::chrono::time_point<Clock, D> deadline) REQUIRES_LOCK(mutex) {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    const bool in_time = condition_.wait_until(lock, deadline) == std::cv_status::no_timeout;
    lock.release();
    return in_time;
  }
  void NotifyOne() { condition_.notify_one(); }
  void NotifyAll() { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

}  // namespace kvorum
