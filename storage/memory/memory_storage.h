#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "storage/memory/memory_disk.h"
#include "storage/storage.h"

namespace kvorum {

// One incarnation's view of a MemoryDisk, for tests and the simulator. Nothing completes by itself:
// operations wait in three queues (what must be synced; reads; snapshots that are made or received)
// until the owner completes them, so a test decides how slow the disk is, what overtakes what, and
// what a crash loses. A snapshot goes through two: its chunks, then a write, the row that freezes
// it. Owned by the test, destroyed before its disk; one thread. `done` runs inside Complete*().
class MemoryStorage : public Storage {
 public:
  enum class Queue { kWrites, kReads, kSnapshots };

  explicit MemoryStorage(MemoryDisk& disk) : disk_(disk) {}
  MemoryStorage(const MemoryStorage&) = delete;
  MemoryStorage& operator=(const MemoryStorage&) = delete;

  absl::StatusOr<RecoveredState> Recover() override;
  void Submit(StorageWrite write, WriteDone done) override;
  void Read(const LogRange& range, ReadDone done) override;
  void WriteSnapshot(SnapshotManifest manifest, ChunkSource next_chunk, SnapshotDone done) override;
  void WriteSnapshotChunk(const SnapshotId& id, int64_t index, std::string chunk,
                          WriteDone done) override;
  void FreezeSnapshot(const SnapshotManifest& manifest, WriteDone done) override;
  void DeleteSnapshot(const SnapshotId& id, WriteDone done) override;
  void ReadSnapshotChunk(const SnapshotId& id, int64_t index, ChunkDone done) override;

  // Called whenever something is queued: the simulator then schedules one completion of that queue.
  void SetOnQueued(std::function<void(Queue)> on_queued) { on_queued_ = std::move(on_queued); }

  // Makes the oldest queued write durable (or fails it) and calls its done. False if none waits.
  bool CompleteNextWrite();
  // Runs the oldest queued read. False if none waits.
  bool CompleteNextRead() { return RunNext(reads_); }
  // Runs the oldest queued step of a snapshot that is made or received. False if none waits.
  bool CompleteNextSnapshotStep() { return RunNext(snapshot_steps_); }
  // One of these.
  bool CompleteNext(Queue queue);
  // Completes everything, writes first, including what the callbacks queue meanwhile.
  void CompleteAll();

  size_t pending_writes() const { return pending(Queue::kWrites); }
  size_t pending_reads() const { return pending(Queue::kReads); }
  size_t pending(Queue queue) const;

  // The next write to complete fails with `status`, and every later one too, as after a failed
  // fsync. Whether a failed write is on the disk is open until Crash().
  void FailNextWrite(absl::Status status) { failure_ = std::move(status); }

  // The process dies: no callback runs any more. Of the writes not completed with OK the oldest
  // `survivors` have reached the disk, the rest is lost, and so are the chunks of snapshots that
  // were not frozen. This object may only be destroyed then.
  void Crash(size_t survivors = 0);

 private:
  using Change = std::function<absl::Status(MemoryDisk&)>;
  struct PendingWrite {
    Change change;
    bool is_of_log = false;  // Submit(): a refusal ends everything
    WriteDone done;
  };

  using Tasks = std::deque<std::function<void()>>;

  static bool RunNext(Tasks& tasks);
  void Queued(Queue queue);
  void EnqueueRead(std::function<void()> task);
  void EnqueueSnapshotStep(std::function<void()> task);
  void EnqueueWrite(PendingWrite write);
  void MakeSnapshot(SnapshotManifest manifest, const ChunkSource& next_chunk, SnapshotDone done);
  absl::Status AddReceivedChunk(const SnapshotId& id, int64_t index, std::string chunk);
  void FreezeReceived(const SnapshotManifest& manifest, WriteDone done);
  absl::StatusOr<std::vector<RecordBatch>> ReadNow(const LogRange& range) const;
  absl::StatusOr<std::string> ReadChunkNow(const SnapshotId& id, int64_t index) const;

  MemoryDisk& disk_;
  std::function<void(Queue)> on_queued_;
  std::deque<PendingWrite> writes_;
  Tasks reads_;
  Tasks snapshot_steps_;
  std::optional<MemorySnapshot> received_;  // not frozen
  std::vector<Change> failed_;              // in order; a crash may still find them on the disk
  absl::Status failure_;
  bool crashed_ = false;
};

}  // namespace kvorum
