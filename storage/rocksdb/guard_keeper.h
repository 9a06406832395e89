#pragma once

#include <chrono>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "storage/guard_file.h"
#include "storage/rocksdb/commit_thread.h"

namespace kvorum {

// Behind this many records the guard's lower bound of the log follows, but not more often than
// kGuardMinInterval: under load a group may hold more than that, and each raise is an fsync.
inline constexpr int64_t kGuardMaxRecordsBehind = 1000;
inline constexpr std::chrono::milliseconds kGuardMinInterval{100};
inline constexpr std::chrono::milliseconds kGuardMaxInterval{1000};

// Keeps the guard file true to the log while it changes. Part of RocksDbStorage; of the commit
// thread once that runs.
class GuardKeeper {
 public:
  explicit GuardKeeper(std::unique_ptr<GuardFile> file) : file_(std::move(file)) {}

  const GuardState& state() const { return file_->state(); }

  // See kvorum::Reconcile(); durable when it returns.
  absl::Status Reconcile(RecoveredState& recovered);

  // Before a group is written: `lowest` is a boundary up to which the log stays what it is,
  // `removed` a snapshot that goes, `next` the newest of the others.
  absl::Status BeforeShorter(const BatchEnd& lowest);
  absl::Status BeforeRemoval(const SnapshotId& removed, const std::optional<SnapshotId>& next);

  // After a group was written: what it promised beside records must be in the guard before anybody
  // is told. `end`, `latest`: of what is durable now.
  struct Durable {
    std::optional<QuorumState> quorum_state;  // if the group changed it
    BatchEnd end;
    std::optional<SnapshotId> latest_snapshot;
    bool is_installed = false;
    bool leaves_quarantine = false;
  };
  absl::Status AfterWrite(const Durable& durable);

  // Raises the bound if it is far behind, or by all means.
  absl::Status Raise(bool now);

  // An orderly stop: raises it, in both slots.
  absl::Status Finish();

 private:
  std::unique_ptr<GuardFile> file_;
  Durable durable_;
  std::chrono::steady_clock::time_point raised_at_ = std::chrono::steady_clock::now();
};

}  // namespace kvorum
