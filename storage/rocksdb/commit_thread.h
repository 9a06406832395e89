#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "server/base/mutex.h"
#include "storage/storage.h"

namespace kvorum {

// A snapshot and the serial under which its chunks are stored.
struct StoredSnapshot {
  SnapshotManifest manifest;
  int64_t serial = 0;
};

// One thing to be made durable: a write of the loop, or that a snapshot begins or ceases to exist.
struct CommitRequest {
  StorageWrite write;
  std::optional<StoredSnapshot> freeze = std::nullopt;
  std::optional<SnapshotId> remove = std::nullopt;
  Storage::WriteDone done;
  absl::Status refusal = absl::OkStatus();  // set by the writer: this one alone changed nothing
};

struct CommitLimits {
  // Of one merged batch: how long a single fsync may grow, and the first write waits for it.
  size_t max_group_bytes = 8 << 20;
  size_t max_group_writes = 8192;
  // Of everything waiting. The loop's own back-pressure must act far below; at the limit the write
  // fails, and with it every later one, as after a failed fsync.
  size_t max_queued_bytes = 512 << 20;
  size_t max_queued_writes = 1 << 18;
};

// Group commit: while one fsync runs, writes gather; the next one takes them all. Owned by
// RocksDbStorage; one thread, which runs the writer and every `done`, in the order of Submit().
class CommitThread {
 public:
  // Makes all requests of the group durable, in order and atomically, or none of them for sure.
  using GroupWriter = std::function<absl::Status(std::vector<CommitRequest>&)>;
  // Told once, before the first failed `done`.
  using OnError = std::function<void(absl::Status)>;

  // What may be done between two groups, when nobody waits for the last one any more.
  using AfterGroup = std::function<absl::Status()>;

  struct Callbacks {
    GroupWriter write;
    AfterGroup after_group;  // an error stops the thread's work like one of `write`
    OnError on_error;
  };

  CommitThread(const CommitLimits& limits, Callbacks callbacks);
  ~CommitThread();
  CommitThread(const CommitThread&) = delete;
  CommitThread& operator=(const CommitThread&) = delete;

  // Any thread; never blocks.
  void Submit(CommitRequest request) EXCLUDES_LOCK(mutex_);

  // Completes everything submitted, then ends the thread. Nothing may be submitted after it.
  void Stop() EXCLUDES_LOCK(mutex_);

 private:
  struct Entry {
    CommitRequest request;
    size_t bytes = 0;
    bool refused =
        false;  // the queue was full; its write is dropped, its place in the order is not
  };

  void Run() EXCLUDES_LOCK(mutex_);
  // Fills group_ from the front of the queue. False if the thread must end.
  bool TakeGroup() EXCLUDES_LOCK(mutex_);
  void Fail(const absl::Status& status);

  const CommitLimits limits_;
  const Callbacks callbacks_;

  Mutex mutex_;
  CondVar wake_;
  std::deque<Entry> queue_ GUARDED_BY(mutex_);
  size_t queued_bytes_ GUARDED_BY(mutex_) = 0;
  bool stopping_ GUARDED_BY(mutex_) = false;

  // Of the commit thread.
  std::vector<CommitRequest> group_;
  bool group_refused_ = false;
  absl::Status failure_;  // once set, for ever

  std::thread thread_;
};

}  // namespace kvorum
