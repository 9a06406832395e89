#pragma once

#include <map>
#include <optional>
#include <vector>

#include "server/publish/committed_update.h"
#include "tests/sim/world.h"

namespace kvorum::sim {

// What counts as committed: fills the ghost log. Invariants 10 CommitWriteOnce, 11 QuorumDurable,
// 12 OwnEpochFirst, 13 HwmMonotone, 20 ApplyInOrderOnce (the feed), 23 AckDurable (a majority keeps
// what is committed), 36 NonVotersDontCount (the high watermark). Owned by Checks.
class CommitChecker {
 public:
  explicit CommitChecker(World& world) : world_(world) {}

  void OnStart(const ProcessId& id);
  // Takes note of the high watermark as it is now.
  void Sync(const SimProcess& process);
  void OnTurn(const SimProcess& process);
  // The image of the commits that were fed, or of a snapshot.
  void OnImageFed(const SimProcess& process, const MetadataImage& image);
  void OnCommitFed(const SimProcess& process, const publish::CommittedUpdate& update);
  void Sweep() const;

 private:
  struct Progress {
    std::optional<Offset> high_watermark;
    std::optional<Epoch> led_epoch;  // was leader of it at the end of the turn before
    std::optional<Offset> fed_end;
  };

  // False: can't be told yet.
  bool OnAdvanced(const SimProcess& process, Offset high_watermark);
  // `end`, which is where a batch ends at `high_watermark`, is that of the committed log.
  bool IsCommitted(const std::optional<BatchEnd>& end, Offset high_watermark) const;
  void CheckLeaderMayAdvance(const SimProcess& process, Offset high_watermark) const;
  // Of one of these sets, at least.
  void CheckQuorumHas(const BatchEnd& end, const std::vector<raft::VoterSet>& sets) const;
  size_t HoldersOf(const BatchEnd& end, const raft::VoterSet& voters) const;
  bool Holds(const MemoryDisk& disk, const BatchEnd& end) const;

  World& world_;
  std::map<NodeId, Progress> progress_;  // of the process that runs now
};

}  // namespace kvorum::sim
