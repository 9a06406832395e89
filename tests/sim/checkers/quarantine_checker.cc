#include "tests/sim/checkers/quarantine_checker.h"

#include "server/base/check.h"
#include "storage/log_verifier.h"
#include "tests/sim/sim_process.h"

namespace kvorum::sim {
namespace {

bool IsQuarantined(const MemoryDisk& disk) {
  return disk.guard().has_value() && disk.guard()->quarantine.has_value();
}

}  // namespace

BatchEnd QuarantineChecker::CommittedOn(const MemoryDisk& disk) const {
  BatchEnd end = disk.start();
  for (const auto& [offset, batch] : disk.batches()) {
    const GhostBatch* committed = world_.ghost.EndingAt(batch.end_offset());
    if (committed == nullptr || committed->batch.chain_hash != batch.chain_hash) {
      break;
    }
    end = EndOf(batch);
  }
  return end;
}

void QuarantineChecker::OnTurn(const SimProcess& process) const {
  const raft::RaftCore& core = process.node().core();
  const MemoryDisk* before = world_.atlas.Before(process.id().node);
  if (before == nullptr) {
    KVORUM_CHECK(!core.is_quarantined(), "invariant 39 Quarantine: {} has forgotten nothing",
                 process.id());
    return;
  }
  if (core.is_quarantined()) {
    return;
  }
  const BatchEnd promised = CommittedOn(*before);
  const std::optional<BatchEnd> held = process.storage().mirror().EndAt(promised.end_offset);
  const bool is_in_snapshot = process.storage().mirror().start().end_offset >= promised.end_offset;
  KVORUM_CHECK(is_in_snapshot || (held.has_value() && held->chain_hash == promised.chain_hash),
               "invariant 39 Quarantine: {} is a voter again without what is committed below {}, "
               "which it had",
               process.id(), promised.end_offset);
}

void QuarantineChecker::OnDurable(const SimController& machine) {
  if (world_.atlas.has_forgotten(machine.id()) && !IsQuarantined(machine.disk())) {
    world_.log.Line("node {} has everything again", machine.id());
    world_.atlas.OnRecovered(machine.id());
  }
}

void QuarantineChecker::OnRequestSent(const SimProcess& process,
                                      const raft::SendRequest& request) const {
  const bool is_quarantined = IsQuarantined(process.storage().disk());
  KVORUM_CHECK(!is_quarantined || !std::holds_alternative<raft::VoteRequest>(request.request),
               "invariant 39 Quarantine: {} campaigns", process.id());
  const auto* fetch = std::get_if<raft::FetchRequest>(&request.request);
  KVORUM_CHECK(fetch == nullptr || !is_quarantined || fetch->is_quarantined,
               "invariant 39 Quarantine: {} acknowledges {} in its fetch", process.id(),
               fetch->fetch_offset);
}

void QuarantineChecker::OnResponseSent(const SimProcess& process, const raft::RaftRequest&,
                                       const raft::RaftResponse& response) const {
  const auto* vote = std::get_if<raft::VoteResponse>(&response);
  KVORUM_CHECK(vote == nullptr || !vote->vote_granted || !IsQuarantined(process.storage().disk()),
               "invariant 39 Quarantine: {} grants a vote", process.id());
}

void QuarantineChecker::OnTrace(const SimProcess& process, const raft::RaftTrace& trace) const {
  const bool is_refusal = trace.kind == raft::RaftTraceKind::kVoteRejected ||
                          trace.kind == raft::RaftTraceKind::kPreVoteRejected;
  if (is_refusal && process.node().core().is_quarantined()) {
    world_.log.Hit(Mark::kVoteRefusedInQuarantine);
  }
}

}  // namespace kvorum::sim
