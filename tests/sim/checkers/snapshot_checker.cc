#include "tests/sim/checkers/snapshot_checker.h"

#include <algorithm>

#include "server/base/check.h"
#include "server/metadata/image_writer.h"
#include "storage/snapshot_rules.h"
#include "tests/sim/sim_process.h"

namespace kvorum::sim {

void SnapshotChecker::OnSnapshotBegun(const SimProcess& process,
                                      const SnapshotManifest& manifest) const {
  const raft::RaftCore& core = process.node().core();
  KVORUM_CHECK(manifest.id.offset <= core.high_watermark().value_or(Offset(0)),
               "invariant 17 SnapshotId: {} makes {}, its high watermark is {}", process.id(),
               manifest.id, core.high_watermark().value_or(Offset(0)));
  const std::optional<BatchEnd> end = EndAt(process.storage().disk(), manifest.id.offset);
  KVORUM_CHECK(
      end.has_value() && end->epoch == manifest.id.epoch && end->chain_hash == manifest.chain_hash,
      "invariant 17 SnapshotId: {} makes {}, where its disk has no such batch end", process.id(),
      manifest.id);
}

const SnapshotChecker::Expected& SnapshotChecker::ExpectedAt(Offset offset) {
  const auto found = expected_.find(offset);
  if (found != expected_.end()) {
    return found->second;
  }
  const GhostBatch* last = world_.ghost.EndingAt(offset);
  KVORUM_CHECK(last != nullptr,
               "invariant 17 SnapshotId: a snapshot at {}, where no committed "
               "batch ends",
               offset);
  Expected& expected = expected_[offset];
  SnapshotManifest& manifest = expected.manifest;
  manifest.id = {.offset = offset, .epoch = last->batch.epoch};
  manifest.chain_hash = last->batch.chain_hash;
  manifest.last_append_time_ms = last->batch.append_time_ms;
  manifest.state_hash = last->image->StateHash();
  manifest.voters = world_.ghost.VotersPayloadAt(offset);
  ImageChunker chunker(last->image, Audience::kControllers, world_.options.snapshots.chunk_bytes);
  while (std::optional<std::string> chunk = chunker.Next()) {
    CountChunk(*chunk, manifest);
    expected.chunks.push_back(*std::move(chunk));
  }
  return expected;
}

void SnapshotChecker::CheckManifest(NodeId node, const SnapshotManifest& manifest) {
  const SnapshotManifest& truth = ExpectedAt(manifest.id.offset).manifest;
  KVORUM_CHECK(manifest.id == truth.id && manifest.chain_hash == truth.chain_hash,
               "invariant 17 SnapshotId: node {} has {}, committed there is {}", node, manifest.id,
               truth.id);
  KVORUM_CHECK(manifest == truth,
               "invariant 18 SnapshotContent: node {} has another snapshot {} than its log gives: "
               "{} chunks, digest {:016x}, state {:016x}, voters of {} bytes instead of {}, "
               "{:016x}, {:016x}, {}",
               node, manifest.id, manifest.chunk_count, manifest.digest, manifest.state_hash,
               manifest.voters.size(), truth.chunk_count, truth.digest, truth.state_hash,
               truth.voters.size());
}

void SnapshotChecker::OnSubmit(const SimProcess& process, const StorageWrite& write) {
  if (write.install.has_value()) {
    KVORUM_CHECK(!process.node().core().is_leader(),
                 "invariant 19 LeaderNoSnapshotLoad: leader {} installs {}", process.id(),
                 write.install->id);
    CheckManifest(process.id().node, *write.install);
  }
  Offset& highest = highest_start_[process.id().node];
  highest = std::max({highest, write.install.value_or(SnapshotManifest()).id.offset,
                      write.log_start.value_or(Offset(0))});
  if (!write.log_start.has_value()) {
    return;
  }
  const std::vector<SnapshotManifest> durable = process.storage().disk().manifests();
  KVORUM_CHECK(
      std::any_of(durable.begin(), durable.end(),
                  [&](const SnapshotManifest& m) { return m.id.offset == write.log_start; }),
      "invariant 16 SnapshotAtStart: {} removes its log below {} without a durable "
      "snapshot there",
      process.id(), *write.log_start);
}

void SnapshotChecker::OnDurable(const SimController& machine) {
  const MemoryDisk& disk = machine.disk();
  const Offset start = disk.start().end_offset;
  Offset& highest = highest_start_[machine.id()];
  highest = std::max(highest, start);
  bool covers_start = start == Offset(0);
  for (const auto& [key, snapshot] : disk.snapshots()) {
    if (checked_.emplace(machine.id(), key.first, key.second).second) {
      CheckManifest(machine.id(), snapshot.manifest);
      KVORUM_CHECK(snapshot.chunks == ExpectedAt(snapshot.manifest.id.offset).chunks,
                   "invariant 18 SnapshotContent: node {} has other bytes in {}", machine.id(),
                   snapshot.manifest.id);
    }
    covers_start = covers_start || snapshot.manifest.id.offset >= start;
  }
  KVORUM_CHECK(covers_start,
               "invariant 16 SnapshotAtStart: the log of node {} begins at {}, no snapshot holds "
               "what is below",
               machine.id(), start);
}

void SnapshotChecker::OnResponseSent(const SimProcess& process,
                                     const raft::RaftResponse& response) {
  const auto* answer = std::get_if<raft::FetchSnapshotResponse>(&response);
  if (answer == nullptr || answer->header.error != raft::RaftError::kNone) {
    return;
  }
  CheckManifest(process.id().node, answer->manifest);
  const std::vector<std::string>& chunks = ExpectedAt(answer->manifest.id.offset).chunks;
  const auto place = static_cast<size_t>(answer->position);
  KVORUM_CHECK(place < chunks.size() ? answer->chunk == chunks[place] : answer->chunk.empty(),
               "invariant 18 SnapshotContent: {} sends other bytes as chunk {} of {}", process.id(),
               answer->position, answer->manifest.id);
}

void SnapshotChecker::OnImageLoaded(const SimProcess& process, const MetadataImage& image) const {
  KVORUM_CHECK(!process.node().active_controller().is_active(),
               "invariant 19 LeaderNoSnapshotLoad: the active controller {} loads a snapshot at {}",
               process.id(), image.provenance().end_offset);
}

Offset SnapshotChecker::highest_start(NodeId node) const {
  const auto it = highest_start_.find(node);
  return it == highest_start_.end() ? Offset(0) : it->second;
}

void SnapshotChecker::Sweep() {
  for (const auto& [id, machine] : world_.controllers) {
    OnDurable(*machine);
  }
}

}  // namespace kvorum::sim
