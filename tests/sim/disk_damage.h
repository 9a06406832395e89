#pragma once

#include <optional>

#include "server/base/random.h"
#include "storage/memory/memory_disk.h"
#include "tests/sim/world.h"

namespace kvorum::sim {

// What can happen to the bytes of one machine's disk while nobody looks, and what must come of it:
// damage that leaves the votes or the log in doubt is refused at start, and then an operator puts
// the bytes back; what the disk has forgotten as a whole puts the replica under quarantine, and it
// stays forgotten; the rest is harmless, or noticed when it is read. Owned by its SimController.
class DiskDamage {
 public:
  DiskDamage(World& world, NodeId node, MemoryDisk& disk, Random random)
      : world_(world), node_(node), disk_(disk), random_(random) {}

  // One kind of damage. REQUIRES: the machine is down. False: there was nothing to damage.
  bool Strike();

  // A chunk of a snapshot goes bad while a process runs on this disk, which may be asked for it, or
  // may come to need it at its next start.
  bool StrikeChunk();

  // As an operator makes a copy of the directory, which may be put back one day. REQUIRES: down.
  void MakeBackup() { backup_ = disk_; }

  // The process found a chunk that was damaged, or the time of faults is over: the bytes are put
  // back.
  void MendChunk();
  // There is another disk now.
  void Reset() {
    backup_.reset();
    bad_chunk_.reset();
  }
  bool has_had_bad_chunk() const { return has_had_bad_chunk_; }

 private:
  bool StrikeRefused();
  bool StrikeForgotten();
  void ChangeOneBatch();
  bool Forget();

  World& world_;
  NodeId node_;
  MemoryDisk& disk_;
  Random random_;
  std::optional<MemoryDisk> backup_;
  struct BadChunk {
    SnapshotId id;
    size_t index = 0;
  };
  std::optional<BadChunk> bad_chunk_;
  bool has_had_bad_chunk_ = false;
};

}  // namespace kvorum::sim
