#include "storage/memory/memory_storage.h"

#include <fmt/format.h>

#include <utility>

#include "server/base/check.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "storage/log_verifier.h"

namespace kvorum {

absl::StatusOr<RecoveredState> MemoryStorage::Recover() {
  LogVerifier verifier(disk_.cluster_id());
  for (const auto& [offset, batch] : disk_.batches()) {
    KVORUM_RETURN_IF_ERROR(verifier.AddBatch(offset, batch));
  }
  return std::move(verifier).Finish(disk_.quorum_state(), disk_.latest_snapshot());
}

void MemoryStorage::Queued(Queue queue) {
  KVORUM_CHECK(!crashed_, "storage used after its crash");
  if (on_queued_) {
    on_queued_(queue);
  }
}

void MemoryStorage::Submit(StorageWrite write, WriteDone done) {
  writes_.push_back({.write = std::move(write), .done = std::move(done)});
  Queued(Queue::kWrites);
}

void MemoryStorage::EnqueueRead(std::function<void()> task) {
  reads_.push_back(std::move(task));
  Queued(Queue::kReads);
}

void MemoryStorage::Read(const LogRange& range, ReadDone done) {
  EnqueueRead([this, range, done = std::move(done)] { done(ReadNow(range)); });
}

void MemoryStorage::WriteSnapshot(const SnapshotId& id, ChunkSource next_chunk, WriteDone done) {
  EnqueueRead([this, id, next_chunk = std::move(next_chunk), done = std::move(done)] {
    std::vector<std::string> chunks;
    while (std::optional<std::string> chunk = next_chunk()) {
      KVORUM_CHECK(chunk->size() <= kMaxSnapshotChunkBytes, "snapshot chunk of {} bytes",
                   chunk->size());
      chunks.push_back(*std::move(chunk));
    }
    disk_.AddSnapshot(id, std::move(chunks));
    done(absl::OkStatus());
  });
}

void MemoryStorage::ReadSnapshotChunk(const SnapshotId& id, int64_t index, ChunkDone done) {
  EnqueueRead([this, id, index, done = std::move(done)] { done(ReadChunkNow(id, index)); });
}

absl::StatusOr<std::vector<RecordBatch>> MemoryStorage::ReadNow(const LogRange& range) const {
  auto it = disk_.batches().find(range.from);
  if (it == disk_.batches().end()) {
    return absl::NotFoundError(fmt::format("no batch begins at offset {}", range.from));
  }
  std::vector<RecordBatch> batches;
  size_t bytes = 0;
  for (; it != disk_.batches().end() && it->first < range.to; ++it) {
    bytes += it->second.encoded_size();
    if (!batches.empty() && bytes > range.max_bytes) {
      break;
    }
    batches.push_back(it->second);
  }
  return batches;
}

absl::StatusOr<std::string> MemoryStorage::ReadChunkNow(const SnapshotId& id, int64_t index) const {
  const auto it = disk_.snapshots().find({id.offset, id.epoch});
  if (it == disk_.snapshots().end()) {
    return MakeError(ErrorReason::kSnapshotNotFound, fmt::format("no snapshot {}", id));
  }
  const std::vector<std::string>& chunks = it->second;
  if (index < 0 || index >= static_cast<int64_t>(chunks.size())) {
    return absl::OutOfRangeError(fmt::format("snapshot {} has {} chunks, number {} was asked for",
                                             id, chunks.size(), index));
  }
  return chunks[static_cast<size_t>(index)];
}

bool MemoryStorage::CompleteNextWrite() {
  if (writes_.empty()) {
    return false;
  }
  PendingWrite next = std::move(writes_.front());
  writes_.pop_front();
  if (failure_.ok()) {
    disk_.Apply(next.write);
  } else {
    failed_.push_back(std::move(next.write));
  }
  next.done(failure_);
  return true;
}

bool MemoryStorage::CompleteNextRead() {
  if (reads_.empty()) {
    return false;
  }
  const std::function<void()> next = std::move(reads_.front());
  reads_.pop_front();
  next();
  return true;
}

void MemoryStorage::CompleteAll() {
  while (CompleteNextWrite() || CompleteNextRead()) {
  }
}

void MemoryStorage::Crash(size_t survivors) {
  for (const StorageWrite& write : failed_) {
    if (survivors > 0) {
      disk_.Apply(write);
      --survivors;
    }
  }
  for (const PendingWrite& pending : writes_) {
    if (survivors > 0) {
      disk_.Apply(pending.write);
      --survivors;
    }
  }
  failed_.clear();
  writes_.clear();
  reads_.clear();
  crashed_ = true;
}

}  // namespace kvorum
