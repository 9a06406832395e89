#include "tests/sim/disk_damage.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include "server/base/check.h"
#include "server/base/crc32c.h"
#include "storage/memory/memory_storage.h"
#include "tests/sim/event_log.h"

namespace kvorum::sim {
namespace {

bool HasOtherVote(const MemoryDisk& a, const MemoryDisk& b) {
  const QuorumState one = a.quorum_state().value_or(QuorumState());
  const QuorumState other = b.quorum_state().value_or(QuorumState());
  return one.epoch != other.epoch || one.voted_key != other.voted_key;
}

bool IsGuardUpToDate(const MemoryDisk& disk) {
  GuardState guard = *disk.guard();
  SetVote(disk.quorum_state().value_or(QuorumState()), guard);
  SetLogEnd(disk.end(), guard);
  guard.latest_snapshot.reset();
  if (!disk.snapshots().empty()) {
    guard.latest_snapshot = disk.manifests().back().id;
  }
  return guard == *disk.guard();
}

}  // namespace

bool DiskDamage::Strike() {
  switch (random_.Below(8)) {
    case 0:
    case 1:
      return StrikeRefused();
    case 2:
      return StrikeChunk();
    case 3:
      if (bad_chunk_.has_value()) {
        return false;  // put back, it would be bad for ever
      }
      MakeBackup();
      return true;
    default:
      return StrikeForgotten();
  }
}

// Of the last batch nothing is changed: a log that only lacks its end is a sound log of an earlier
// time, and that is another kind of damage.
void DiskDamage::ChangeOneBatch() {
  auto& batches = disk_.mutable_batches();
  auto victim = batches.begin();
  std::advance(victim, static_cast<int64_t>(random_.Below(batches.size() - 1)));
  switch (random_.Below(3)) {
    case 0:
      batches.erase(victim);
      break;
    case 1: {
      std::string payload = *victim->second.payload;
      payload[random_.Below(payload.size())] ^= 1;
      victim->second.payload = std::make_shared<const std::string>(std::move(payload));
      break;
    }
    default:
      std::swap(victim->second, std::next(victim)->second);
      break;
  }
}

bool DiskDamage::StrikeRefused() {
  const MemoryDisk whole = disk_;
  const uint64_t kind = random_.Below(6);
  if (kind == 0) {
    disk_.LoseGuard();
  } else if (kind == 1 && disk_.start().end_offset > Offset(0)) {
    for (const SnapshotManifest& manifest : disk_.manifests()) {
      if (manifest.id.offset >= disk_.start().end_offset) {
        disk_.LoseSnapshot(manifest.id);
      }
    }
  } else if (disk_.batches().size() < 2) {
    return false;
  } else if (kind == 2) {
    disk_.mutable_quorum_state().reset();
  } else {
    ChangeOneBatch();
  }
  const absl::StatusOr<RecoveredState> recovered = MemoryStorage(disk_).Recover();
  KVORUM_CHECK(!recovered.ok(), "invariant 39 Quarantine: damage of {}'s disk goes unnoticed",
               node_);
  world_.log.Line("damage of {} is refused: {}", node_, Text(recovered.status()));
  world_.log.Hit(Mark::kDamageRefused);
  disk_ = whole;
  return true;
}

// False: there is nothing of that kind to forget.
bool DiskDamage::Forget() {
  switch (random_.Below(5)) {
    case 0:
      if (!backup_.has_value()) {
        return false;
      }
      disk_.RollBack(*backup_);
      world_.log.Hit(Mark::kDiskRolledBack);
      return true;
    case 1:
      disk_.RollBack(MemoryDisk(disk_.cluster_id()));
      world_.log.Hit(Mark::kDatabaseLost);
      return true;
    case 2:
      if (disk_.snapshots().empty()) {
        return false;
      }
      disk_.LoseSnapshot(disk_.manifests().back().id);
      world_.log.Hit(Mark::kSnapshotLost);
      return true;
    case 3:
      disk_.LoseGuardSlot();
      world_.log.Hit(Mark::kGuardSlotLost);
      return true;
    default:
      if (disk_.batches().empty()) {
        return false;
      }
      disk_.LoseSuffix(1 + random_.Below(std::min<size_t>(disk_.batches().size(), 20)));
      world_.log.Hit(Mark::kLogSuffixLost);
      return true;
  }
}

bool DiskDamage::StrikeForgotten() {
  // Behind the guard is only what nobody was told of.
  if (!world_.atlas.MayForget(node_) || bad_chunk_.has_value() || !IsGuardUpToDate(disk_)) {
    return false;
  }
  const MemoryDisk before = disk_;
  if (!Forget()) {
    return false;
  }
  const MemoryDisk after = disk_;
  const absl::StatusOr<RecoveredState> recovered = MemoryStorage(disk_).Recover();
  if (!recovered.ok()) {
    // What is left does not fit together: the log begins behind the snapshot that is missing.
    world_.log.Hit(Mark::kDamageRefused);
    disk_ = before;
    return true;
  }
  const bool is_less = after.end_offset() < before.end_offset() || HasOtherVote(after, before) ||
                       after.snapshots().size() < before.snapshots().size();
  KVORUM_CHECK(!is_less || recovered->quarantine.has_value(),
               "invariant 39 Quarantine: {} does not notice what its disk has forgotten", node_);
  if (recovered->quarantine.has_value()) {
    world_.log.Line("disk of {} has forgotten: {}", node_, recovered->quarantine->reason);
    world_.log.Hit(Mark::kQuarantineEntered);
    world_.atlas.OnForgot(node_, before);
  }
  return true;
}

bool DiskDamage::StrikeChunk() {
  if (disk_.snapshots().empty() || bad_chunk_.has_value()) {
    return false;
  }
  auto it = disk_.snapshots().begin();
  std::advance(it, static_cast<int64_t>(random_.Below(disk_.snapshots().size())));
  const MemorySnapshot& snapshot = it->second;
  if (snapshot.chunks.empty()) {
    return false;
  }
  bad_chunk_ = {.id = snapshot.manifest.id, .index = random_.Below(snapshot.chunks.size())};
  has_had_bad_chunk_ = true;
  disk_.FlipChunk(bad_chunk_->id, bad_chunk_->index);
  world_.log.Line("chunk {} of snapshot {} of {} is damaged", bad_chunk_->index, bad_chunk_->id,
                  node_);
  world_.log.Hit(Mark::kChunkDamaged);
  return true;
}

void DiskDamage::MendChunk() {
  if (!bad_chunk_.has_value()) {
    return;
  }
  const BadChunk bad = *std::exchange(bad_chunk_, std::nullopt);
  const MemorySnapshot* snapshot = disk_.FindSnapshot(bad.id);
  const bool is_bad = snapshot != nullptr && bad.index < snapshot->chunks.size() &&
                      Crc32c(snapshot->chunks[bad.index]) != snapshot->chunk_crcs[bad.index];
  if (is_bad) {
    disk_.FlipChunk(bad.id, bad.index);
  }
}

}  // namespace kvorum::sim
