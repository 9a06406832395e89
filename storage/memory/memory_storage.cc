#include "storage/memory/memory_storage.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "server/base/check.h"
#include "server/base/crc32c.h"
#include "server/base/errors.h"
#include "server/base/mutants.h"
#include "server/base/status_macros.h"
#include "storage/log_verifier.h"
#include "storage/snapshot_rules.h"

namespace kvorum {

absl::StatusOr<RecoveredState> MemoryStorage::Recover() {
  if (!disk_.guard().has_value()) {
    return absl::FailedPreconditionError(
        "the guard is lost, and with it what this replica has voted");
  }
  LogVerifier verifier(disk_.start());
  for (const auto& [offset, batch] : disk_.batches()) {
    KVORUM_RETURN_IF_ERROR(verifier.AddBatch(offset, batch));
  }
  KVORUM_ASSIGN_OR_RETURN(RecoveredState state,
                          std::move(verifier).Finish(disk_.quorum_state(), disk_.manifests()));
  const QuorumState on_disk = state.quorum_state;
  GuardState guard = *disk_.guard();
  Reconcile(state, guard);
  disk_.WriteGuard(std::move(guard));
  if (state.quorum_state != on_disk) {
    disk_.mutable_quorum_state() = state.quorum_state;
  }
  return state;
}

void MemoryStorage::Queued(Queue queue) {
  KVORUM_CHECK(!crashed_, "storage used after its crash");
  if (on_queued_) {
    on_queued_(queue);
  }
}

void MemoryStorage::EnqueueRead(std::function<void()> task) {
  reads_.push_back(std::move(task));
  Queued(Queue::kReads);
}

void MemoryStorage::EnqueueSnapshotStep(std::function<void()> task) {
  snapshot_steps_.push_back(std::move(task));
  Queued(Queue::kSnapshots);
}

void MemoryStorage::EnqueueWrite(PendingWrite write) {
  writes_.push_back(std::move(write));
  Queued(Queue::kWrites);
}

void MemoryStorage::Submit(StorageWrite write, WriteDone done) {
  EnqueueWrite(
      {.change = [write = std::move(write)](MemoryDisk& disk) { return disk.Apply(write); },
       .is_of_log = true,
       .done = std::move(done)});
}

void MemoryStorage::Read(const LogRange& range, ReadDone done) {
  EnqueueRead([this, range, done = std::move(done)] { done(ReadNow(range)); });
}

void MemoryStorage::WriteSnapshot(SnapshotManifest manifest, ChunkSource next_chunk,
                                  SnapshotDone done) {
  EnqueueSnapshotStep([this, manifest = std::move(manifest), next_chunk = std::move(next_chunk),
                       done = std::move(done)] { MakeSnapshot(manifest, next_chunk, done); });
}

void MemoryStorage::MakeSnapshot(SnapshotManifest manifest, const ChunkSource& next_chunk,
                                 SnapshotDone done) {
  manifest.chunk_count = 0;
  manifest.size_bytes = 0;
  manifest.digest = 0;
  const SnapshotId id = manifest.id;
  MemorySnapshot snapshot;
  snapshot.manifest = std::move(manifest);
  while (std::optional<std::string> chunk = next_chunk()) {
    KVORUM_CHECK(chunk->size() <= kMaxSnapshotChunkBytes, "snapshot chunk of {} bytes",
                 chunk->size());
    snapshot.Add(*std::move(chunk));
  }
  EnqueueWrite({.change = [snapshot = std::move(snapshot)](
                              MemoryDisk& disk) { return disk.Freeze(snapshot); },
                .is_of_log = false,
                .done =
                    [this, id, done = std::move(done)](const absl::Status& status) {
                      if (status.ok()) {
                        done(disk_.FindSnapshot(id)->manifest);
                      } else {
                        done(status);
                      }
                    }});
}

void MemoryStorage::WriteSnapshotChunk(const SnapshotId& id, int64_t index, std::string chunk,
                                       WriteDone done) {
  EnqueueSnapshotStep([this, id, index, chunk = std::move(chunk), done = std::move(done)] {
    done(AddReceivedChunk(id, index, chunk));
  });
}

absl::Status MemoryStorage::AddReceivedChunk(const SnapshotId& id, int64_t index,
                                             std::string chunk) {
  ReceivedSoFar so_far;
  if (received_.has_value()) {
    so_far = {.id = received_->manifest.id, .chunk_count = received_->manifest.chunk_count};
  }
  KVORUM_RETURN_IF_ERROR(CheckReceivedChunk(so_far, id, index, chunk));
  if (index == 0) {
    received_.emplace();
    received_->manifest.id = id;
  }
  received_->Add(std::move(chunk));
  return absl::OkStatus();
}

void MemoryStorage::FreezeSnapshot(const SnapshotManifest& manifest, WriteDone done) {
  EnqueueSnapshotStep([this, manifest, done = std::move(done)] { FreezeReceived(manifest, done); });
}

void MemoryStorage::FreezeReceived(const SnapshotManifest& manifest, WriteDone done) {
  if (!received_.has_value()) {
    received_.emplace();  // one without chunks
    received_->manifest.id = manifest.id;
  }
  MemorySnapshot snapshot = *std::exchange(received_, std::nullopt);
  if (disk_.FindSnapshot(manifest.id) == nullptr) {
    SnapshotManifest stored = manifest;
    stored.id = snapshot.manifest.id;
    stored.chunk_count = snapshot.manifest.chunk_count;
    stored.size_bytes = snapshot.manifest.size_bytes;
    stored.digest = snapshot.manifest.digest;
    if (absl::Status status = CheckReceived(stored, manifest); !status.ok()) {
      done(status);
      return;
    }
  }
  snapshot.manifest = manifest;
  EnqueueWrite({.change = [snapshot = std::move(snapshot)](
                              MemoryDisk& disk) { return disk.Freeze(snapshot); },
                .is_of_log = false,
                .done = std::move(done)});
}

void MemoryStorage::DeleteSnapshot(const SnapshotId& id, WriteDone done) {
  EnqueueWrite({.change = [id](MemoryDisk& disk) { return disk.DeleteSnapshot(id); },
                .is_of_log = false,
                .done = std::move(done)});
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
  const MemorySnapshot* snapshot = disk_.FindSnapshot(id);
  if (snapshot == nullptr) {
    return NoSuchSnapshot(id);
  }
  const std::vector<std::string>& chunks = snapshot->chunks;
  if (index < 0 || index >= static_cast<int64_t>(chunks.size())) {
    return absl::OutOfRangeError(fmt::format("snapshot {} has {} chunks, number {} was asked for",
                                             id, chunks.size(), index));
  }
  const auto place = static_cast<size_t>(index);
  if (Crc32c(chunks[place]) != snapshot->chunk_crcs[place] && !KVORUM_MUTANT(R48b)) {
    return MakeError(ErrorReason::kCorruptLog,
                     fmt::format("chunk {} of snapshot {}: CRC does not match", index, id));
  }
  return chunks[place];
}

bool MemoryStorage::CompleteNextWrite() {
  if (writes_.empty()) {
    return false;
  }
  PendingWrite next = std::move(writes_.front());
  writes_.pop_front();
  absl::Status status = failure_;
  if (failure_.ok()) {
    status = next.change(disk_);
    failure_ = next.is_of_log ? status : failure_;
  } else {
    failed_.push_back(std::move(next.change));
  }
  next.done(status);
  return true;
}

bool MemoryStorage::RunNext(Tasks& tasks) {
  if (tasks.empty()) {
    return false;
  }
  const std::function<void()> next = std::move(tasks.front());
  tasks.pop_front();
  next();
  return true;
}

bool MemoryStorage::CompleteNext(Queue queue) {
  switch (queue) {
    case Queue::kWrites:
      return CompleteNextWrite();
    case Queue::kReads:
      return CompleteNextRead();
    case Queue::kSnapshots:
      return CompleteNextSnapshotStep();
  }
  return false;
}

size_t MemoryStorage::pending(Queue queue) const {
  switch (queue) {
    case Queue::kWrites:
      return writes_.size();
    case Queue::kReads:
      return reads_.size();
    case Queue::kSnapshots:
      return snapshot_steps_.size();
  }
  return 0;
}

void MemoryStorage::CompleteAll() {
  while (CompleteNextWrite() || CompleteNextRead() || CompleteNextSnapshotStep()) {
  }
}

void MemoryStorage::Crash(size_t survivors) {
  for (PendingWrite& pending : writes_) {
    failed_.push_back(std::move(pending.change));
  }
  for (size_t i = 0; i < std::min(survivors, failed_.size()); ++i) {
    failed_[i](disk_).IgnoreError();  // one that is refused leaves nothing
  }
  failed_.clear();
  writes_.clear();
  reads_.clear();
  snapshot_steps_.clear();
  crashed_ = true;
}

}  // namespace kvorum
