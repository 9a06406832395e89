#include "tests/sim/checkers/stream_checker.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "server/base/check.h"
#include "server/metadata/metadata_delta.h"
#include "server/metadata/record_visit.h"
#include "tests/sim/checkers/checks.h"

namespace kvorum::sim {

StreamChecker::StreamChecker(World& world, int broker, NodeId server, State state)
    : StreamProtocol(world, fmt::format("broker {}", broker), server, std::move(state.position)),
      image_(std::move(state.image)) {}

void StreamChecker::OnReset(const v1::Reset& reset) {
  // What a broker has is committed, so nothing can have diverged.
  KVORUM_CHECK(reset.reason() == v1::Reset::REASON_COMPACTED &&
                   end_offset() < world().checks->HighestLogStart(server()),
               "invariant 32 StreamResume: {} at {} is reset: {}", who(), end_offset(),
               reset.message());
  world().log.Hit(Mark::kStreamResetByCompaction);
}

void StreamChecker::Replace(const Records& snapshot, const v1::Position& position) {
  const Offset offset(position.offset());
  MetadataDelta delta(*MetadataImage::Empty());
  for (const v1::MetadataRecord& record : snapshot) {
    delta.Replay(record, offset - 1);
  }
  image_ = delta.Apply({.end_offset = offset, .last_epoch = Epoch(position.epoch())});
}

void StreamChecker::Apply(const v1::Commit& commit) {
  const GhostBatch* truth = world().ghost.BeginningAt(Offset(commit.from()));
  KVORUM_CHECK(truth != nullptr && truth->batch.end_offset().value() == commit.to().offset(),
               "invariant 30 StreamAtomic: {}: commit from {} to {} is no batch", who(),
               commit.from(), commit.to().offset());
  // What is for controllers only stands behind the rest.
  const auto first_private = std::find_if(truth->records.begin(), truth->records.end(),
                                          [](const auto& record) { return IsPrivate(record); });
  KVORUM_CHECK(first_private - truth->records.begin() == commit.records_size(),
               "invariant 29 StreamGapless: {}: {} records from {} on, {} are committed", who(),
               commit.records_size(), commit.from(), first_private - truth->records.begin());
  MetadataDelta delta(*image_);
  Offset offset(commit.from());
  for (const v1::MetadataRecord& record : commit.records()) {
    delta.Replay(record, offset);
    ++offset;
  }
  image_ = delta.Apply(
      {.end_offset = Offset(commit.to().offset()), .last_epoch = Epoch(commit.to().epoch())});
}

void StreamChecker::CheckState() {
  const std::shared_ptr<const MetadataImage> truth = TruthAt(position()->offset());
  // Subscribers do not see the replies that controllers keep.
  KVORUM_CHECK(image_->StateHash() == truth->StateHash() - truth->requests().state_hash,
               "invariant 21 StateHashAgree: {} differs from the committed state at {}", who(),
               end_offset());
}

}  // namespace kvorum::sim
