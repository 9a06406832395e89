#include "storage/rocksdb/commit_thread.h"

#include <fmt/format.h>

#include <utility>

#include "server/base/check.h"

namespace kvorum {
namespace {

constexpr size_t kRowOverheadBytes = 64;  // key, sequence and protection of a row, about

size_t BytesOf(const StorageWrite& write) {
  size_t bytes = kRowOverheadBytes;
  for (const RecordBatch& batch : write.append) {
    bytes += batch.encoded_size() + kRowOverheadBytes;
  }
  return bytes;
}

// True for what looks up rows, which must be in the database, or snapshots, which must be known.
bool LooksBack(const CommitRequest& request) {
  return request.write.truncate_to.has_value() || request.write.install.has_value() ||
         request.write.log_start.has_value() || request.freeze.has_value() ||
         request.remove.has_value();
}

}  // namespace

CommitThread::CommitThread(const CommitLimits& limits, Callbacks callbacks)
    : limits_(limits), callbacks_(std::move(callbacks)) {
  thread_ = std::thread([this] { Run(); });
}

CommitThread::~CommitThread() { Stop(); }

void CommitThread::Submit(CommitRequest request) {
  Entry entry{.request = std::move(request)};
  entry.bytes = BytesOf(entry.request.write);
  MutexLock lock(mutex_);
  KVORUM_CHECK(!stopping_, "write submitted to a stopped storage");
  if (queue_.size() >= limits_.max_queued_writes ||
      queued_bytes_ + entry.bytes > limits_.max_queued_bytes) {
    entry.refused = true;
    entry.request.write = StorageWrite();
    entry.bytes = 0;
  }
  queued_bytes_ += entry.bytes;
  queue_.push_back(std::move(entry));
  if (queue_.size() == 1) {
    wake_.NotifyOne();  // with more in the queue the thread is awake or has been told
  }
}

void CommitThread::Stop() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    wake_.NotifyOne();
  }
  if (thread_.joinable()) {
    thread_.join();
  }
}

bool CommitThread::TakeGroup() {
  group_.clear();
  group_refused_ = false;
  MutexLock lock(mutex_);
  while (queue_.empty() && !stopping_) {
    wake_.Wait(mutex_);
  }
  size_t bytes = 0;
  while (!queue_.empty() && group_.size() < limits_.max_group_writes) {
    Entry& next = queue_.front();
    // A refused write must not take its predecessors with it.
    const bool begins_group = LooksBack(next.request) || next.refused;
    if (!group_.empty() && (begins_group || bytes + next.bytes > limits_.max_group_bytes)) {
      break;
    }
    bytes += next.bytes;
    queued_bytes_ -= next.bytes;
    group_refused_ = group_refused_ || next.refused;
    group_.push_back(std::move(next.request));
    queue_.pop_front();
  }
  return !group_.empty();
}

void CommitThread::Fail(const absl::Status& status) {
  failure_ = status;
  callbacks_.on_error(status);
}

void CommitThread::Run() {
  while (TakeGroup()) {
    if (failure_.ok()) {
      const absl::Status status =
          group_refused_ ? absl::ResourceExhaustedError(fmt::format(
                               "more than {} writes or {} bytes were waiting for the disk",
                               limits_.max_queued_writes, limits_.max_queued_bytes))
                         : callbacks_.write(group_);
      if (!status.ok()) {
        Fail(status);
      }
    }
    for (CommitRequest& request : group_) {
      request.done(failure_.ok() ? request.refusal : failure_);
      request.done = nullptr;
    }
    if (failure_.ok()) {
      if (const absl::Status status = callbacks_.after_group(); !status.ok()) {
        Fail(status);
      }
    }
  }
}

}  // namespace kvorum
