#pragma once

#include <map>
#include <string>

#include "server/base/random.h"
#include "storage/memory/memory_storage.h"
#include "storage/storage.h"
#include "tests/sim/checkers/log_mirror.h"
#include "tests/sim/world.h"

namespace kvorum::sim {

// The disk of one process on the virtual clock: a MemoryStorage whose operations complete late, in
// order per queue, or fail when the nemesis says so. Shows every write to the checkers, before and
// after it is durable. Owned by the process.
class SimStorage : public Storage {
 public:
  SimStorage(World& world, ProcessId owner, MemoryDisk& disk, const DiskFaults& faults,
             Random random);

  absl::StatusOr<RecoveredState> Recover() override;
  void Submit(StorageWrite write, WriteDone done) override;
  void Read(const LogRange& range, ReadDone done) override;
  void WriteSnapshot(SnapshotManifest manifest, ChunkSource next_chunk, SnapshotDone done) override;
  void WriteSnapshotChunk(const SnapshotId& id, int64_t index, std::string chunk,
                          WriteDone done) override;
  void FreezeSnapshot(const SnapshotManifest& manifest, WriteDone done) override;
  void DeleteSnapshot(const SnapshotId& id, WriteDone done) override;
  void ReadSnapshotChunk(const SnapshotId& id, int64_t index, ChunkDone done) override;

  // What the process has submitted so far, durable or not.
  const LogMirror& mirror() const { return mirror_; }
  const MemoryDisk& disk() const { return disk_; }

  // Chunks are being read: by who loads a snapshot, or for who copies one.
  int chunk_reads() const { return chunk_reads_; }
  // The machine's reads no longer stall.
  void GoOnReading();

  void FailNextWrite();
  void FailNextRead() { fail_next_read_ = has_had_fault_ = true; }
  // A failure that was ordered may still be to come.
  bool is_doomed() const { return fail_next_read_ || fails_writes_; }
  bool has_had_fault() const { return has_had_fault_; }
  // The process dies; a random part of what was not synced survives.
  void Crash();
  // An orderly exit has waited for its writes.
  void CompleteEverything();

 private:
  void StartNext(MemoryStorage::Queue queue);
  void Complete(MemoryStorage::Queue queue, size_t count);
  // True: nothing it promises was given up since.
  bool IsKept(const GuardState& guard) const;
  void CheckCodec(const RecordBatch& batch) const;

  World& world_;
  ProcessId owner_;
  MemoryDisk& disk_;
  const DiskFaults& faults_;  // the machine's, changed by the nemesis
  Random random_;
  MemoryStorage memory_;
  LogMirror mirror_;
  std::map<MemoryStorage::Queue, bool> is_busy_;
  int chunk_reads_ = 0;
  bool fail_next_read_ = false;
  bool fails_writes_ = false;
  bool has_had_fault_ = false;
};

}  // namespace kvorum::sim
