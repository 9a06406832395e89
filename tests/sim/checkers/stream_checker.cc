#include "tests/sim/checkers/stream_checker.h"

#include <algorithm>

#include "server/base/check.h"
#include "server/metadata/metadata_delta.h"
#include "server/metadata/record_visit.h"
#include "tests/sim/checkers/checks.h"

namespace kvorum::sim {

void StreamChecker::OnUpdate(const v1::MetadataUpdate& update) {
  KVORUM_CHECK(!is_over_, "invariant 28 StreamOrderedUnique: broker {}: update after GoAway",
               broker_);
  KVORUM_CHECK(greeted_ || update.has_hello() || update.has_go_away(),
               "invariant 28 StreamOrderedUnique: broker {}: stream without Hello", broker_);
  KVORUM_CHECK(next_part_ == 0 || update.has_commit() || update.has_go_away(),
               "invariant 30 StreamAtomic: broker {}: something between parts of a commit",
               broker_);
  KVORUM_CHECK(!expects_reset_ || update.has_reset(),
               "invariant 32 StreamResume: broker {}: a snapshot replaces its state without Reset",
               broker_);
  switch (update.update_case()) {
    case v1::MetadataUpdate::kHello:
      return OnHello(update.hello());
    case v1::MetadataUpdate::kSnapshotChunk:
      return OnSnapshotChunk(update.snapshot_chunk());
    case v1::MetadataUpdate::kSnapshotEnd:
      return OnSnapshotEnd(update.snapshot_end());
    case v1::MetadataUpdate::kCommit:
      return OnCommit(update.commit());
    case v1::MetadataUpdate::kBookmark:
      return OnBookmark(update.bookmark());
    case v1::MetadataUpdate::kReset:
      return OnReset(update.reset());
    case v1::MetadataUpdate::kGoAway:
      world_.log.Hit(Mark::kStreamGoAway);
      is_over_ = true;
      return;
    case v1::MetadataUpdate::UPDATE_NOT_SET:
      break;
  }
  KVORUM_CHECK(false, "broker {}: update without content", broker_);
}

void StreamChecker::CheckCommitted(const v1::Position& position, const char* what) const {
  KVORUM_CHECK(position.generation() == world_.generation, "broker {}: {} of generation {}",
               broker_, what, position.generation());
  const Offset offset(position.offset());
  const std::shared_ptr<const MetadataImage> truth = world_.ghost.ImageAt(offset);
  KVORUM_CHECK(truth != nullptr,
               "invariant 14 NoUncommittedExposure: broker {}: {} at {}, where no committed batch "
               "ends",
               broker_, what, offset);
  KVORUM_CHECK(truth->provenance().last_epoch.value() == position.epoch(),
               "invariant 14 NoUncommittedExposure: broker {}: {} at {} has epoch {}", broker_,
               what, offset, position.epoch());
}

void StreamChecker::OnHello(const v1::Hello& hello) {
  CheckCommitted(hello.start(), "Hello");
  const bool wants_snapshot = !state_.position.has_value();
  if (hello.snapshot_follows()) {
    expects_reset_ = !wants_snapshot;
    in_snapshot_ = true;
    snapshot_.clear();
  } else {
    KVORUM_CHECK(!wants_snapshot, "invariant 32 StreamResume: broker {} has nothing to resume from",
                 broker_);
    KVORUM_CHECK(hello.start().offset() == state_.position->offset() &&
                     hello.start().epoch() == state_.position->epoch(),
                 "invariant 32 StreamResume: broker {} has {} and is resumed from {}", broker_,
                 state_.position->offset(), hello.start().offset());
    world_.log.Hit(Mark::kStreamResumed);
  }
  greeted_ = true;
}

void StreamChecker::OnReset(const v1::Reset& reset) {
  // What a broker has is committed, so nothing can have diverged.
  const Offset position(state_.position.has_value() ? state_.position->offset() : 0);
  KVORUM_CHECK(reset.reason() == v1::Reset::REASON_COMPACTED &&
                   position < world_.checks->HighestLogStart(server_),
               "invariant 32 StreamResume: broker {} at {} is reset: {}", broker_, position,
               reset.message());
  world_.log.Hit(Mark::kStreamResetByCompaction);
  expects_reset_ = false;
  in_snapshot_ = true;
  snapshot_.clear();
}

void StreamChecker::OnSnapshotChunk(const v1::SnapshotChunk& chunk) {
  KVORUM_CHECK(in_snapshot_, "broker {}: SnapshotChunk outside a snapshot", broker_);
  snapshot_.insert(snapshot_.end(), chunk.records().begin(), chunk.records().end());
}

void StreamChecker::OnSnapshotEnd(const v1::SnapshotEnd& end) {
  KVORUM_CHECK(in_snapshot_, "broker {}: SnapshotEnd outside a snapshot", broker_);
  CheckCommitted(end.position(), "SnapshotEnd");
  KVORUM_CHECK(!state_.position.has_value() || end.position().offset() >= state_.position->offset(),
               "invariant 32 StreamResume: broker {} has {}, its snapshot is of {}", broker_,
               state_.position->offset(), end.position().offset());
  const Offset offset(end.position().offset());
  MetadataDelta delta(*MetadataImage::Empty());
  for (const v1::MetadataRecord& record : snapshot_) {
    delta.Replay(record, offset - 1);
  }
  state_.image = delta.Apply({.end_offset = offset, .last_epoch = Epoch(end.position().epoch())});
  state_.position = end.position();
  snapshot_.clear();
  in_snapshot_ = false;
  world_.log.Hit(Mark::kStreamSnapshot);
  CheckState();
}

void StreamChecker::OnCommit(const v1::Commit& commit) {
  KVORUM_CHECK(!in_snapshot_, "broker {}: Commit inside a snapshot", broker_);
  KVORUM_CHECK(commit.from() == state_.position->offset(),
               "invariant 29 StreamGapless: broker {} has {}, the next commit begins at {}",
               broker_, state_.position->offset(), commit.from());
  KVORUM_CHECK(commit.to().offset() > commit.from(),
               "invariant 28 StreamOrderedUnique: broker {}: commit from {} to {}", broker_,
               commit.from(), commit.to().offset());
  const uint32_t part_count = std::max<uint32_t>(commit.part_count(), 1);
  KVORUM_CHECK(commit.part() == next_part_ && commit.part() < part_count,
               "invariant 30 StreamAtomic: broker {}: part {} of {}, expected {}", broker_,
               commit.part(), part_count, next_part_);
  parts_.insert(parts_.end(), commit.records().begin(), commit.records().end());
  ++next_part_;
  if (next_part_ == part_count) {
    if (part_count > 1) {
      world_.log.Hit(Mark::kCommitInParts);
    }
    ApplyCommit(commit.to());
    next_part_ = 0;
    parts_.clear();
  }
}

void StreamChecker::ApplyCommit(const v1::Position& to) {
  CheckCommitted(to, "Commit");
  const GhostBatch* truth = world_.ghost.BeginningAt(Offset(state_.position->offset()));
  KVORUM_CHECK(truth != nullptr && truth->batch.end_offset().value() == to.offset(),
               "invariant 30 StreamAtomic: broker {}: commit from {} to {} is no batch", broker_,
               state_.position->offset(), to.offset());
  // What is for controllers only stands behind the rest.
  const auto first_private = std::find_if(truth->records.begin(), truth->records.end(),
                                          [](const auto& record) { return IsPrivate(record); });
  const auto committed = static_cast<size_t>(first_private - truth->records.begin());
  KVORUM_CHECK(committed == parts_.size(),
               "invariant 29 StreamGapless: broker {}: {} records from {} on, {} are committed",
               broker_, parts_.size(), state_.position->offset(), committed);
  MetadataDelta delta(*state_.image);
  Offset offset(state_.position->offset());
  for (const v1::MetadataRecord& record : parts_) {
    delta.Replay(record, offset);
    ++offset;
  }
  state_.image = delta.Apply({.end_offset = Offset(to.offset()), .last_epoch = Epoch(to.epoch())});
  state_.position = to;
  CheckState();
}

void StreamChecker::CheckState() const {
  const std::shared_ptr<const MetadataImage> truth =
      world_.ghost.ImageAt(Offset(state_.position->offset()));
  // Subscribers do not see the replies that controllers keep.
  KVORUM_CHECK(state_.image->StateHash() == truth->StateHash() - truth->requests().state_hash,
               "invariant 21 StateHashAgree: broker {} differs from the committed state at {}",
               broker_, state_.position->offset());
}

void StreamChecker::OnBookmark(const v1::Bookmark& bookmark) const {
  KVORUM_CHECK(!in_snapshot_ && bookmark.position().offset() == state_.position->offset() &&
                   bookmark.position().epoch() == state_.position->epoch(),
               "invariant 31 StreamBookmark: broker {} has {}, the bookmark says {}", broker_,
               state_.position->offset(), bookmark.position().offset());
  KVORUM_CHECK(bookmark.high_watermark() <= world_.ghost.end_offset().value(),
               "invariant 14 NoUncommittedExposure: broker {}: bookmark with high watermark {}",
               broker_, bookmark.high_watermark());
  world_.log.Hit(Mark::kStreamBookmark);
}

}  // namespace kvorum::sim
