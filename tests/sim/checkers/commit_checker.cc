#include "tests/sim/checkers/commit_checker.h"

#include <algorithm>

#include "server/base/check.h"
#include "server/raft/raft_state.h"
#include "tests/sim/checkers/checks.h"
#include "tests/sim/sim_process.h"

namespace kvorum::sim {
namespace {

// By which the high watermark may have been reckoned in this turn: the newest voter set, and those
// before it back to the one that is committed.
std::vector<raft::VoterSet> SetsInForce(const SimProcess& process, Offset high_watermark) {
  std::vector<raft::VoterSet> sets = {process.node().core().voters()};
  const auto& known = process.storage().mirror().voter_sets();
  for (auto it = known.rbegin(); it != known.rend(); ++it) {
    sets.push_back(it->second);
    if (it->first < high_watermark) {
      break;
    }
  }
  return sets;
}

}  // namespace

void CommitChecker::OnStart(const ProcessId& id) { progress_[id.node] = {}; }

void CommitChecker::Sync(const SimProcess& process) {
  Progress& progress = progress_[process.id().node];
  const raft::RaftCore& core = process.node().core();
  const std::optional<Offset> high_watermark = core.high_watermark();
  if (high_watermark != progress.high_watermark) {
    // A new leader does not know its high watermark until a record of its epoch is committed.
    const bool is_forgotten = !high_watermark.has_value();
    KVORUM_CHECK(!is_forgotten || core.is_leader(),
                 "invariant 13 HwmMonotone: {} forgot its high watermark", process.id());
    if (!is_forgotten) {
      KVORUM_CHECK(
          !progress.high_watermark.has_value() || *high_watermark > *progress.high_watermark,
          "invariant 13 HwmMonotone: {} went from {} to {}", process.id(), *progress.high_watermark,
          *high_watermark);
      if (core.is_leader() && progress.led_epoch == core.epoch()) {
        CheckLeaderMayAdvance(process, *high_watermark);
      }
      if (OnAdvanced(process, *high_watermark)) {
        progress.high_watermark = high_watermark;
      }
    }
  }
}

void CommitChecker::OnTurn(const SimProcess& process) {
  Sync(process);
  const raft::RaftCore& core = process.node().core();
  progress_[process.id().node].led_epoch =
      core.is_leader() ? std::optional(core.epoch()) : std::nullopt;
}

void CommitChecker::CheckLeaderMayAdvance(const SimProcess& process, Offset high_watermark) const {
  const auto* leader = std::get_if<raft::Leader>(&process.node().core().state().role);
  KVORUM_CHECK(leader != nullptr && high_watermark > leader->epoch_start_offset,
               "invariant 12 OwnEpochFirst: {} advances to {}", process.id(), high_watermark);
}

bool CommitChecker::IsCommitted(const std::optional<BatchEnd>& end, Offset high_watermark) const {
  const GhostBatch* committed = world_.ghost.EndingAt(high_watermark);
  return high_watermark == world_.ghost.genesis().end_offset ||
         (end.has_value() && committed != nullptr &&
          committed->batch.chain_hash == end->chain_hash);
}

bool CommitChecker::OnAdvanced(const SimProcess& process, Offset high_watermark) {
  const LogMirror& log = process.storage().mirror();
  const std::optional<BatchEnd> end = log.EndAt(high_watermark);
  if (process.is_in_turn() && high_watermark <= world_.ghost.end_offset() &&
      !IsCommitted(end, high_watermark)) {
    // A follower that has not yet submitted what it fetched, or the snapshot that replaces what it
    // had there. It will in this turn, at whose end it is looked at again.
    return false;
  }
  KVORUM_CHECK(end.has_value(),
               "invariant 10 CommitWriteOnce: {} has no batch that ends at its "
               "high watermark {}",
               process.id(), high_watermark);
  const raft::RaftCore& core = process.node().core();
  if (core.is_leader()) {
    CheckQuorumHas(*end, SetsInForce(process, high_watermark));
  }
  if (high_watermark <= world_.ghost.end_offset()) {
    KVORUM_CHECK(IsCommitted(end, high_watermark),
                 "invariant 10 CommitWriteOnce: {} thinks other content is committed below {}",
                 process.id(), high_watermark);
    return true;
  }
  CheckQuorumHas(*end, SetsInForce(process, high_watermark));
  for (size_t i = log.FirstAbove(world_.ghost.end_offset());
       i < log.batches().size() && log.batches()[i].end_offset() <= high_watermark; ++i) {
    world_.ghost.Append(log.batches()[i], core.epoch());
  }
  world_.log.Mix(end->chain_hash);
  return true;
}

// Equal chain hashes at an offset mean equal logs below it, so one place speaks for the whole log.
size_t CommitChecker::HoldersOf(const BatchEnd& end, const raft::VoterSet& voters) const {
  size_t holders = 0;
  for (const auto& [id, voter] : voters.voters()) {
    // What a disk has forgotten it will have again before its replica votes; what it gets meanwhile
    // does not count.
    const MemoryDisk* disk = world_.atlas.PromisedBy(voter.key);
    holders += disk != nullptr && Holds(*disk, end) ? 1 : 0;
  }
  return holders;
}

void CommitChecker::CheckQuorumHas(const BatchEnd& end,
                                   const std::vector<raft::VoterSet>& sets) const {
  const bool is_held = std::any_of(sets.begin(), sets.end(), [&](const raft::VoterSet& voters) {
    return HoldersOf(end, voters) >= voters.majority();
  });
  KVORUM_CHECK(is_held,
               "invariant 11 QuorumDurable: {}/{} counts as committed, on {} disks of {} voters",
               end.end_offset, end.epoch, HoldersOf(end, sets.front()), sets.front().size());
}

// Below the start of its log it has a snapshot, of what is committed (16 SnapshotAtStart, 17).
bool CommitChecker::Holds(const MemoryDisk& disk, const BatchEnd& end) const {
  if (end.end_offset < disk.start().end_offset) {
    return true;
  }
  const std::optional<BatchEnd> durable = EndAt(disk, end.end_offset);
  return durable.has_value() && durable->chain_hash == end.chain_hash;
}

void CommitChecker::OnImageFed(const SimProcess& process, const MetadataImage& image) {
  Progress& progress = progress_[process.id().node];
  const Offset end = image.provenance().end_offset;
  if (progress.fed_end == end) {
    return;
  }
  KVORUM_CHECK(!progress.fed_end.has_value() || end > *progress.fed_end,
               "invariant 20 ApplyInOrderOnce: {} goes back from {} to a snapshot at {}",
               process.id(), *progress.fed_end, end);
  world_.checks->OnImageLoaded(process, image);
  progress.fed_end = end;
}

void CommitChecker::OnCommitFed(const SimProcess& process, const publish::CommittedUpdate& update) {
  Progress& progress = progress_[process.id().node];
  KVORUM_CHECK(!progress.fed_end.has_value() || *progress.fed_end == update.from,
               "invariant 20 ApplyInOrderOnce: {} publishes {} after {}", process.id(), update.from,
               *progress.fed_end);
  KVORUM_CHECK(progress.fed_end.has_value() || update.from == Offset{0},
               "invariant 20 ApplyInOrderOnce: {} begins to publish at {}", process.id(),
               update.from);
  progress.fed_end = update.to;
  Sync(process);
  const GhostBatch* committed = world_.ghost.BeginningAt(update.from);
  KVORUM_CHECK(
      committed != nullptr,
      "invariant 20 ApplyInOrderOnce: {} publishes from {}, where no committed batch begins",
      process.id(), update.from);
  KVORUM_CHECK(
      committed->batch.end_offset() == update.to && committed->batch.epoch == update.epoch &&
          committed->batch.is_control == (update.payload == nullptr) &&
          (update.payload == nullptr || *update.payload == *committed->batch.payload),
      "invariant 20 ApplyInOrderOnce: {} publishes other content at {}", process.id(), update.from);
}

void CommitChecker::Sweep() const {
  CheckQuorumHas(world_.ghost.end(), world_.atlas.AppendedVoters());
}

}  // namespace kvorum::sim
