#include "tests/sim/checkers/log_checker.h"

#include "server/base/check.h"
#include "storage/log_verifier.h"
#include "tests/sim/sim_process.h"

namespace kvorum::sim {

void LogChecker::OnSubmit(const SimProcess& process, const StorageWrite& write) {
  KVORUM_CHECK(!process.has_failed(), "invariant 38 FailStop: {} writes after a storage failure",
               process.id());
  if (write.truncate_to.has_value()) {
    CheckTruncation(process, *write.truncate_to);
  }
  CheckAppend(process, write);
}

void LogChecker::CheckTruncation(const SimProcess& process, Offset to) const {
  const raft::RaftCore& core = process.node().core();
  KVORUM_CHECK(!core.is_leader(), "invariant 8 LeaderAppendOnly: leader {} truncates to {}",
               process.id(), to);
  KVORUM_CHECK(!core.high_watermark().has_value() || to >= *core.high_watermark(),
               "invariant 15 NoTruncateCommitted: {} truncates to {}, below its high watermark {}",
               process.id(), to, *core.high_watermark());
  const LogMirror& log = process.storage().mirror();
  for (size_t i = log.FirstAbove(to); i < log.batches().size(); ++i) {
    const RecordBatch& batch = log.batches()[i];
    const GhostBatch* committed = world_.ghost.EndingAt(batch.end_offset());
    KVORUM_CHECK(committed == nullptr || committed->batch.chain_hash != batch.chain_hash,
                 "invariant 15 NoTruncateCommitted: {} removes the committed batch at {}",
                 process.id(), batch.base_offset);
  }
  if (log.end().end_offset > to && to < world_.ghost.end_offset()) {
    world_.log.Hit(Mark::kTruncatedCommittedElsewhere);
  }
}

void LogChecker::CheckAppend(const SimProcess& process, const StorageWrite& write) const {
  const LogMirror& log = process.storage().mirror();
  BatchEnd end = write.install.has_value() ? EndOf(*write.install) : log.end();
  if (write.truncate_to.has_value()) {
    const std::optional<BatchEnd> cut = log.EndAt(std::min(*write.truncate_to, end.end_offset));
    KVORUM_CHECK(cut.has_value(), "invariant 7 Contiguity: {} truncates to {}, inside a batch",
                 process.id(), *write.truncate_to);
    end = *cut;
  }
  for (const RecordBatch& batch : write.append) {
    const absl::Status status = CheckContinues(end, batch);
    KVORUM_CHECK(status.ok(), "invariant 7 Contiguity: {}: {}", process.id(), status.ToString());
    end = EndOf(batch);
  }
}

// A batch that neither left its leader nor reached its disk never existed: a lone voter may lose it
// with its whole epoch, and lead that epoch again.
void LogChecker::OnDurable(const SimController& machine) {
  const std::map<Offset, RecordBatch>& batches = machine.disk().batches();
  if (!batches.empty()) {
    NoteChain(machine.id(), batches.rbegin()->second);
  }
}

void LogChecker::NoteChain(NodeId node, const RecordBatch& batch) {
  const auto [first, is_new] =
      chains_.emplace(std::pair(batch.end_offset(), batch.epoch), batch.chain_hash);
  KVORUM_CHECK(is_new || first->second == batch.chain_hash,
               "invariant 6 LogMatching: node {} has other content at {}/{} than another", node,
               batch.end_offset(), batch.epoch);
}

void LogChecker::OnRequestSent(const SimProcess& process, const raft::SendRequest& request) {
  const auto* fetch = std::get_if<raft::FetchRequest>(&request.request);
  if (fetch == nullptr) {
    return;
  }
  const std::optional<BatchEnd> durable = EndAt(process.storage().disk(), fetch->fetch_offset);
  KVORUM_CHECK(durable.has_value() && durable->chain_hash == fetch->last_chain_hash &&
                   durable->epoch == fetch->last_fetched_epoch,
               "invariant 11 QuorumDurable: {} acknowledges {}/{}, which is not on its disk",
               process.id(), fetch->fetch_offset, fetch->last_fetched_epoch);
}

// Otherwise a leader that crashes could win its epoch again and issue its offsets twice.
void LogChecker::OnResponseSent(const SimProcess& process, const raft::RaftResponse& response) {
  const auto* fetch = std::get_if<raft::FetchResponse>(&response);
  if (fetch == nullptr || fetch->batches.empty()) {
    return;
  }
  const std::optional<QuorumState>& durable = process.storage().disk().quorum_state();
  for (const RecordBatch& batch : fetch->batches) {
    NoteChain(process.id().node, batch);
    if (batch.epoch == process.node().core().epoch() && process.node().core().is_leader()) {
      KVORUM_CHECK(durable.has_value() &&
                       (durable->epoch > batch.epoch ||
                        (durable->epoch == batch.epoch && durable->leader_id == process.id().node)),
                   "invariant 5 NoEpochReuse: {} sends a batch of epoch {} before its leadership "
                   "is durable",
                   process.id(), batch.epoch);
    }
  }
}

void LogChecker::OnTrace(const SimProcess& process, const raft::RaftTrace& trace) {
  KVORUM_CHECK(trace.kind != raft::RaftTraceKind::kTruncated || !process.node().core().is_leader(),
               "invariant 8 LeaderAppendOnly: leader {} truncated its log", process.id());
}

void LogChecker::Sweep() {
  for (const auto& [id, machine] : world_.controllers) {
    BatchEnd end = machine->disk().start();
    const GhostBatch* removed = world_.ghost.EndingAt(end.end_offset);
    KVORUM_CHECK(
        end == world_.ghost.genesis() || (removed != nullptr && EndOf(removed->batch) == end),
        "invariant 7 Contiguity: the log of {} begins at {}/{}, where no committed batch ends", id,
        end.end_offset, end.epoch);
    for (const auto& [offset, batch] : machine->disk().batches()) {
      const absl::Status status = CheckContinues(end, batch);
      KVORUM_CHECK(status.ok(), "invariant 7 Contiguity: disk of {}: {}", id, status.ToString());
      NoteChain(id, batch);
      end = EndOf(batch);
    }
  }
}

}  // namespace kvorum::sim
