#include "tests/sim/sim_storage.h"

#include <algorithm>
#include <string>
#include <utility>

#include "server/base/check.h"
#include "tests/sim/checkers/checks.h"
#include "tests/sim/sim_process.h"

namespace kvorum::sim {
namespace {

// Of a disk that is not stalled: what is read when the faults end must end soon, too.
constexpr Duration kLongestSlowRead = std::chrono::seconds(1);

}  // namespace

SimStorage::SimStorage(World& world, ProcessId owner, MemoryDisk& disk, const DiskFaults& faults,
                       Random random)
    : world_(world),
      owner_(owner),
      disk_(disk),
      faults_(faults),
      random_(random),
      memory_(disk),
      mirror_(disk, world.bootstrap_voters) {
  memory_.SetOnQueued([this](MemoryStorage::Queue queue) { StartNext(queue); });
}

absl::StatusOr<RecoveredState> SimStorage::Recover() { return memory_.Recover(); }

void SimStorage::Submit(StorageWrite write, WriteDone done) {
  SimProcess* process = world_.FindProcess(owner_);
  KVORUM_CHECK(process != nullptr, "write of a process that is gone");
  if (world_.options.reencode_batches) {
    std::for_each(write.append.begin(), write.append.end(),
                  [this](const RecordBatch& batch) { CheckCodec(batch); });
  }
  world_.checks->OnSubmit(*process, write);
  if (write.install.has_value()) {
    mirror_.Install(*write.install);
  }
  if (write.truncate_to.has_value()) {
    mirror_.TruncateTo(*write.truncate_to);
  }
  for (const RecordBatch& batch : write.append) {
    mirror_.Append(batch);
  }
  memory_.Submit(std::move(write), std::move(done));
}

void SimStorage::FailNextWrite() {
  fails_writes_ = has_had_fault_ = true;
  memory_.FailNextWrite(absl::DataLossError("simulated: fsync failed"));
}

void SimStorage::Read(const LogRange& range, ReadDone done) {
  if (fail_next_read_) {
    fail_next_read_ = false;
    world_.log.Hit(Mark::kReadFailed);
    memory_.Read(range, [done = std::move(done)](absl::StatusOr<std::vector<RecordBatch>>) {
      done(absl::DataLossError("simulated: read failed"));
    });
    return;
  }
  memory_.Read(range, std::move(done));
}

void SimStorage::WriteSnapshot(SnapshotManifest manifest, ChunkSource next_chunk,
                               SnapshotDone done) {
  if (const SimProcess* process = world_.FindProcess(owner_)) {
    world_.checks->OnSnapshotBegun(*process, manifest);
  }
  memory_.WriteSnapshot(std::move(manifest), std::move(next_chunk), std::move(done));
}

void SimStorage::WriteSnapshotChunk(const SnapshotId& id, int64_t index, std::string chunk,
                                    WriteDone done) {
  memory_.WriteSnapshotChunk(id, index, std::move(chunk), std::move(done));
}

void SimStorage::FreezeSnapshot(const SnapshotManifest& manifest, WriteDone done) {
  world_.log.Hit(Mark::kSnapshotCopied);
  memory_.FreezeSnapshot(manifest, std::move(done));
}

void SimStorage::DeleteSnapshot(const SnapshotId& id, WriteDone done) {
  memory_.DeleteSnapshot(id, std::move(done));
}

void SimStorage::ReadSnapshotChunk(const SnapshotId& id, int64_t index, ChunkDone done) {
  ++chunk_reads_;
  memory_.ReadSnapshotChunk(id, index,
                            [this, done = std::move(done)](absl::StatusOr<std::string> chunk) {
                              --chunk_reads_;
                              done(std::move(chunk));
                            });
}

void SimStorage::GoOnReading() { StartNext(MemoryStorage::Queue::kReads); }

// A disk does one thing after the other. What waits meanwhile shares the next fsync, as the commit
// thread merges it.
void SimStorage::StartNext(MemoryStorage::Queue queue) {
  const size_t pending = memory_.pending(queue);
  if (queue == MemoryStorage::Queue::kReads && faults_.reads_stall) {
    return;
  }
  if (pending == 0 || std::exchange(is_busy_[queue], true)) {
    return;
  }
  const size_t count = random_.OneIn(1, 2) ? pending : 1;
  Duration delay = DrawBetween(random_, faults_.min_delay, faults_.max_delay);
  if (queue == MemoryStorage::Queue::kReads) {
    delay = std::max(delay, std::min(delay * faults_.read_slowness, kLongestSlowRead));
  }
  world_.queue.After(delay, [&world = world_, owner = owner_, queue, count] {
    if (SimProcess* process = world.FindProcess(owner)) {
      process->storage().Complete(queue, count);
    }
  });
}

void SimStorage::Complete(MemoryStorage::Queue queue, size_t count) {
  world_.log.MixNow();
  for (size_t i = 0; i < count; ++i) {
    memory_.CompleteNext(queue);
  }
  is_busy_[queue] = false;
  world_.checks->OnDurable(*world_.controllers.at(owner_.node));
  StartNext(queue);
}

void SimStorage::Crash() {
  const size_t pending = memory_.pending_writes();
  const auto survivors = static_cast<size_t>(random_.Below(pending + 2));
  if (survivors < pending) {
    world_.log.Hit(Mark::kCrashLostWrites);
  }
  const std::optional<GuardState> guard = disk_.guard();
  memory_.Crash(survivors);
  // The guard is a file of its own, written after what it speaks of.
  if (guard.has_value() && guard != disk_.guard() && random_.OneIn(1, 2) && IsKept(*guard)) {
    world_.log.Hit(Mark::kGuardBehind);
    disk_.WriteGuard(*guard);
  }
}

bool SimStorage::IsKept(const GuardState& guard) const {
  const std::optional<BatchEnd> end = EndAt(disk_, guard.log_end);
  const std::vector<SnapshotManifest> snapshots = disk_.manifests();
  return end.has_value() && end->chain_hash == guard.chain_hash &&
         (!guard.latest_snapshot.has_value() ||
          (!snapshots.empty() && snapshots.back().id.offset >= guard.latest_snapshot->offset));
}

void SimStorage::CompleteEverything() {
  while (memory_.CompleteNextWrite()) {
  }
  memory_.Crash();
}

void SimStorage::CheckCodec(const RecordBatch& batch) const {
  const std::string frame = EncodeBatch(batch);
  std::string_view rest = frame;
  const absl::StatusOr<RecordBatch> decoded = DecodeBatch(rest);
  KVORUM_CHECK(decoded.ok(), "own batch at {}: {}", batch.base_offset, decoded.status().ToString());
  KVORUM_CHECK(rest.empty() && EncodeBatch(*decoded) == frame,
               "batch at {} changes when it is encoded", batch.base_offset);
}

}  // namespace kvorum::sim
