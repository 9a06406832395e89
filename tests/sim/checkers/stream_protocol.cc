#include "tests/sim/checkers/stream_protocol.h"

#include <algorithm>

#include "server/base/check.h"
#include "tests/sim/sim_controller.h"

namespace kvorum::sim {

void StreamProtocol::OnUpdate(const v1::MetadataUpdate& update) {
  KVORUM_CHECK(!is_over_, "invariant 28 StreamOrderedUnique: {}: update after GoAway", who_);
  KVORUM_CHECK(greeted_ || update.has_hello() || update.has_go_away(),
               "invariant 28 StreamOrderedUnique: {}: stream without Hello", who_);
  KVORUM_CHECK(next_part_ == 0 || update.has_commit() || update.has_go_away(),
               "invariant 30 StreamAtomic: {}: something between parts of a commit", who_);
  KVORUM_CHECK(!expects_reset_ || update.has_reset(),
               "invariant 32 StreamResume: {}: a snapshot replaces its state without Reset", who_);
  switch (update.update_case()) {
    case v1::MetadataUpdate::kHello:
      return HandleHello(update.hello());
    case v1::MetadataUpdate::kSnapshotChunk:
      return HandleSnapshotChunk(update.snapshot_chunk());
    case v1::MetadataUpdate::kSnapshotEnd:
      return HandleSnapshotEnd(update.snapshot_end());
    case v1::MetadataUpdate::kCommit:
      return HandleCommit(update.commit());
    case v1::MetadataUpdate::kBookmark:
      return HandleBookmark(update.bookmark());
    case v1::MetadataUpdate::kReset:
      return HandleReset(update.reset());
    case v1::MetadataUpdate::kGoAway:
      return HandleGoAway(update.go_away());
    case v1::MetadataUpdate::UPDATE_NOT_SET:
      break;
  }
  KVORUM_CHECK(false, "{}: update without content", who_);
}

void StreamProtocol::HandleGoAway(const v1::GoAway& go_away) {
  world_.log.Hit(Mark::kStreamGoAway);
  is_over_ = true;
  if (go_away.hint().empty()) {
    return;
  }
  const std::optional<NodeId> node = SimController::ParseClientEndpoint(go_away.hint());
  const auto machine = node.has_value() ? world_.controllers.find(*node) : world_.controllers.end();
  KVORUM_CHECK(machine != world_.controllers.end() && *node != server_ &&
                   machine->second->client_endpoint() == go_away.hint(),
               "invariant 32 StreamResume: {}: node {} sends it to {}", who_, server_,
               go_away.hint());
  world_.log.Hit(Mark::kGoAwayHint);
}

void StreamProtocol::CheckCommitted(const v1::Position& position, const char* what) const {
  KVORUM_CHECK(position.generation() == world_.generation, "{}: {} of generation {}", who_, what,
               position.generation());
  const std::shared_ptr<const MetadataImage> truth = TruthAt(position.offset());
  KVORUM_CHECK(truth != nullptr,
               "invariant 14 NoUncommittedExposure: {}: {} at {}, where no committed batch ends",
               who_, what, position.offset());
  KVORUM_CHECK(truth->provenance().last_epoch.value() == position.epoch(),
               "invariant 14 NoUncommittedExposure: {}: {} at {} has epoch {}", who_, what,
               position.offset(), position.epoch());
}

void StreamProtocol::BeginSnapshot() {
  in_snapshot_ = true;
  snapshot_.clear();
}

void StreamProtocol::HandleHello(const v1::Hello& hello) {
  CheckCommitted(hello.start(), "Hello");
  if (hello.snapshot_follows()) {
    expects_reset_ = position_.has_value();
    BeginSnapshot();
  } else {
    KVORUM_CHECK(position_.has_value(), "invariant 32 StreamResume: {} has nothing to resume from",
                 who_);
    KVORUM_CHECK(hello.start().offset() == position_->offset() &&
                     hello.start().epoch() == position_->epoch(),
                 "invariant 32 StreamResume: {} has {} and is resumed from {}", who_,
                 position_->offset(), hello.start().offset());
    world_.log.Hit(Mark::kStreamResumed);
  }
  greeted_ = true;
  OnGreeted(hello);
}

void StreamProtocol::HandleReset(const v1::Reset& reset) {
  OnReset(reset);
  expects_reset_ = false;
  BeginSnapshot();
}

void StreamProtocol::HandleSnapshotChunk(const v1::SnapshotChunk& chunk) {
  KVORUM_CHECK(in_snapshot_, "{}: SnapshotChunk outside a snapshot", who_);
  snapshot_.insert(snapshot_.end(), chunk.records().begin(), chunk.records().end());
}

void StreamProtocol::HandleSnapshotEnd(const v1::SnapshotEnd& end) {
  KVORUM_CHECK(in_snapshot_, "{}: SnapshotEnd outside a snapshot", who_);
  CheckCommitted(end.position(), "SnapshotEnd");
  KVORUM_CHECK(!position_.has_value() || end.position().offset() >= position_->offset(),
               "invariant 32 StreamResume: {} has {}, its snapshot is of {}", who_,
               position_->offset(), end.position().offset());
  Replace(snapshot_, end.position());
  position_ = end.position();
  snapshot_.clear();
  in_snapshot_ = false;
  world_.log.Hit(Mark::kStreamSnapshot);
  CheckState();
}

void StreamProtocol::HandleCommit(const v1::Commit& commit) {
  KVORUM_CHECK(!in_snapshot_, "{}: Commit inside a snapshot", who_);
  KVORUM_CHECK(commit.from() == position_->offset(),
               "invariant 29 StreamGapless: {} has {}, the next commit begins at {}", who_,
               position_->offset(), commit.from());
  KVORUM_CHECK(commit.to().offset() > commit.from(),
               "invariant 28 StreamOrderedUnique: {}: commit from {} to {}", who_, commit.from(),
               commit.to().offset());
  const uint32_t part_count = std::max<uint32_t>(commit.part_count(), 1);
  KVORUM_CHECK(commit.part() == next_part_ && commit.part() < part_count,
               "invariant 30 StreamAtomic: {}: part {} of {}, expected {}", who_, commit.part(),
               part_count, next_part_);
  commit_.MergeFrom(commit);
  if (++next_part_ < part_count) {
    return;
  }
  if (part_count > 1) {
    world_.log.Hit(Mark::kCommitInParts);
  }
  CheckCommitted(commit.to(), "Commit");
  Apply(commit_);
  position_ = commit.to();
  commit_.Clear();
  next_part_ = 0;
  CheckState();
}

void StreamProtocol::HandleBookmark(const v1::Bookmark& bookmark) {
  KVORUM_CHECK(!in_snapshot_ && bookmark.position().offset() == position_->offset() &&
                   bookmark.position().epoch() == position_->epoch(),
               "invariant 31 StreamBookmark: {} has {}, the bookmark says {}", who_,
               position_->offset(), bookmark.position().offset());
  KVORUM_CHECK(bookmark.high_watermark() <= world_.ghost.end_offset().value(),
               "invariant 14 NoUncommittedExposure: {}: bookmark with high watermark {}", who_,
               bookmark.high_watermark());
  world_.log.Hit(Mark::kStreamBookmark);
  ++bookmarks_;
  OnBookmarkSeen();
}

}  // namespace kvorum::sim
