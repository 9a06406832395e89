#include "tests/sim/checkers/commit_checker.h"

#include "server/base/check.h"
#include "server/raft/raft_state.h"
#include "tests/sim/sim_process.h"

namespace kvorum::sim {

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

bool CommitChecker::OnAdvanced(const SimProcess& process, Offset high_watermark) {
  const LogMirror& log = process.storage().mirror();
  const std::optional<BatchEnd> end = log.EndAt(high_watermark);
  if (!end.has_value() && process.is_in_turn() && high_watermark <= world_.ghost.end_offset()) {
    return false;  // a follower that has not yet submitted what it fetched; it will in this turn
  }
  KVORUM_CHECK(end.has_value(),
               "invariant 10 CommitWriteOnce: {} has no batch that ends at its "
               "high watermark {}",
               process.id(), high_watermark);
  if (process.node().core().is_leader()) {
    CheckQuorumHas(*end);
  }
  if (high_watermark <= world_.ghost.end_offset()) {
    const GhostBatch* committed = world_.ghost.EndingAt(high_watermark);
    KVORUM_CHECK(high_watermark == world_.ghost.genesis().end_offset ||
                     (committed != nullptr && committed->batch.chain_hash == end->chain_hash),
                 "invariant 10 CommitWriteOnce: {} thinks other content is committed below {}",
                 process.id(), high_watermark);
    return true;
  }
  CheckQuorumHas(*end);
  for (size_t i = log.FirstAbove(world_.ghost.end_offset());
       i < log.batches().size() && log.batches()[i].end_offset() <= high_watermark; ++i) {
    world_.ghost.Append(log.batches()[i], process.node().core().epoch());
  }
  world_.log.Mix(end->chain_hash);
  return true;
}

// Equal chain hashes at an offset mean equal logs below it, so one place speaks for the whole log.
void CommitChecker::CheckQuorumHas(const BatchEnd& end) const {
  size_t holders = 0;
  for (const auto& [id, machine] : world_.controllers) {
    if (machine->is_voter()) {
      const std::optional<BatchEnd> durable = EndAt(machine->disk(), end.end_offset);
      holders += durable.has_value() && durable->chain_hash == end.chain_hash ? 1 : 0;
    }
  }
  KVORUM_CHECK(holders >= world_.voters.majority(),
               "invariant 11 QuorumDurable: {}/{} counts as committed, on {} disks of voters",
               end.end_offset, end.epoch, holders);
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

void CommitChecker::Sweep() const { CheckQuorumHas(world_.ghost.end()); }

}  // namespace kvorum::sim
