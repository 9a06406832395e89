#include "client/stream_assembler.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

namespace kvorum::client {
namespace {

std::string Text(const v1::Position& position) {
  return fmt::format("offset {} epoch {}", position.offset(), position.epoch());
}

}  // namespace

void StreamAssembler::OnStreamStart() {
  state_ = State::kAwaitHello;
  hello_.Clear();
  may_go_back_ = false;
  next_part_ = 0;
  pending_ = CommittedRecords();
  problem_.clear();
  go_away_hint_.clear();
}

StreamAssembler::Verdict StreamAssembler::OnUpdate(v1::MetadataUpdate& update) {
  using Case = v1::MetadataUpdate;
  if (state_ == State::kAwaitHello && update.update_case() != Case::kHello &&
      update.update_case() != Case::kGoAway) {
    return Malformed("stream did not begin with Hello");
  }
  switch (update.update_case()) {
    case Case::kHello:
      return OnHello(update.hello());
    case Case::kReset:
      return OnReset(update.reset());
    case Case::kSnapshotChunk:
      return OnSnapshotChunk(update.snapshot_chunk());
    case Case::kSnapshotEnd:
      return OnSnapshotEnd(update.snapshot_end());
    case Case::kCommit:
      return OnCommit(*update.mutable_commit());
    case Case::kBookmark:
      return OnBookmark(update.bookmark());
    case Case::kGoAway:
      problem_ = fmt::format("server said GoAway: {}", update.go_away().message());
      go_away_hint_ = update.go_away().hint();
      return Verdict::kRestart;
    case Case::UPDATE_NOT_SET:
      return Malformed("update of a kind that this client does not know");
  }
  return Malformed("update of a kind that this client does not know");
}

StreamAssembler::Verdict StreamAssembler::OnHello(const v1::Hello& hello) {
  if (state_ != State::kAwaitHello) {
    return Malformed("second Hello on one stream");
  }
  hello_ = hello;
  if (hello.snapshot_follows()) {
    state_ = State::kAwaitReset;
    return Verdict::kGoOn;
  }
  if (!position_.has_value()) {
    return Malformed("Hello promises no snapshot to a subscriber that has nothing");
  }
  if (hello.start().offset() != position_->offset() ||
      hello.start().generation() != position_->generation()) {
    return Malformed(fmt::format("stream starts at {}, not at the requested {}",
                                 Text(hello.start()), Text(*position_)));
  }
  state_ = State::kLive;
  return Verdict::kGoOn;
}

StreamAssembler::Verdict StreamAssembler::OnReset(const v1::Reset& reset) {
  ++counters_.resets;
  may_go_back_ = reset.reason() == v1::Reset::REASON_DIVERGED ||
                 reset.reason() == v1::Reset::REASON_GENERATION;
  state_ = State::kAwaitReset;
  next_part_ = 0;
  listener_.OnReset(reset);
  return Verdict::kGoOn;
}

StreamAssembler::Verdict StreamAssembler::OnSnapshotChunk(const v1::SnapshotChunk& chunk) {
  if (state_ == State::kLive) {
    return Malformed("snapshot chunk without Reset in a live stream");
  }
  if (state_ == State::kAwaitReset) {
    listener_.OnSnapshotBegin();
    state_ = State::kSnapshot;
  }
  if (const std::optional<ApplyError> error = listener_.OnSnapshotRecords(chunk.records())) {
    return Refused(*error);
  }
  return Verdict::kGoOn;
}

StreamAssembler::Verdict StreamAssembler::OnSnapshotEnd(const v1::SnapshotEnd& end) {
  if (state_ == State::kLive) {
    return Malformed("snapshot end without a snapshot");
  }
  if (position_.has_value() && !may_go_back_ &&
      end.position().generation() == position_->generation() &&
      end.position().offset() < position_->offset()) {
    return Duplicate(fmt::format("snapshot at {} is older than what was applied, {}",
                                 Text(end.position()), Text(*position_)));
  }
  if (state_ == State::kAwaitReset) {
    listener_.OnSnapshotBegin();  // the state is empty
  }
  ++counters_.snapshots;
  listener_.OnSnapshotEnd(end.position());
  position_ = end.position();
  filter_id_ = hello_.filter_id();
  may_go_back_ = false;
  state_ = State::kLive;
  return Verdict::kGoOn;
}

StreamAssembler::Verdict StreamAssembler::CheckCommitStart(const v1::Commit& commit) {
  if (commit.part() != 0) {
    return Malformed(fmt::format("commit at {} begins with part {}", commit.from(), commit.part()));
  }
  if (commit.to().offset() < commit.from()) {
    return Malformed(
        fmt::format("commit from {} to {} goes backwards", commit.from(), commit.to().offset()));
  }
  if (commit.from() < position_->offset() || commit.to().epoch() < position_->epoch()) {
    return Duplicate(fmt::format("commit from {} to {} repeats what was applied, {}", commit.from(),
                                 Text(commit.to()), Text(*position_)));
  }
  if (commit.to().generation() != position_->generation()) {
    return Malformed(fmt::format("commit at {} is of another generation", commit.from()));
  }
  if (commit.from() > position_->offset()) {
    ++counters_.gaps;
    problem_ = fmt::format("offsets {} to {} of epoch {} are missing", position_->offset(),
                           commit.from() - 1, commit.to().epoch());
    return Verdict::kResync;
  }
  pending_.from = commit.from();
  pending_.to = commit.to();
  pending_.records.Clear();
  pending_.offsets.clear();
  pending_.left_scope.Clear();
  part_count_ = std::max<uint32_t>(commit.part_count(), 1);
  return Verdict::kGoOn;
}

StreamAssembler::Verdict StreamAssembler::OnCommit(v1::Commit& commit) {
  if (state_ != State::kLive) {
    return Malformed("commit inside a snapshot");
  }
  if (next_part_ == 0) {
    const Verdict verdict = CheckCommitStart(commit);
    if (verdict != Verdict::kGoOn) {
      return verdict;
    }
  } else if (commit.part() != next_part_ || commit.from() != pending_.from ||
             commit.to().offset() != pending_.to.offset()) {
    return Malformed(fmt::format("part {} of commit {} expected, got part {} of commit {}",
                                 next_part_, pending_.from, commit.part(), commit.from()));
  }
  if (pending_.records.size() + commit.records_size() > kMaxRecordsPerCommit) {
    return Malformed(
        fmt::format("commit at {} has more than {} records", commit.from(), kMaxRecordsPerCommit));
  }
  if (!commit.offsets().empty() && commit.offsets_size() != commit.records_size()) {
    return Malformed(fmt::format("commit at {} has {} records and {} offsets", commit.from(),
                                 commit.records_size(), commit.offsets_size()));
  }
  for (v1::MetadataRecord& record : *commit.mutable_records()) {
    pending_.records.Add(std::move(record));
  }
  pending_.offsets.insert(pending_.offsets.end(), commit.offsets().begin(), commit.offsets().end());
  for (v1::LeftScope& left : *commit.mutable_left_scope()) {
    pending_.left_scope.Add(std::move(left));
  }
  if (++next_part_ < part_count_) {
    return Verdict::kGoOn;
  }
  next_part_ = 0;
  if (const std::optional<ApplyError> error = listener_.OnCommit(pending_)) {
    return Refused(*error);
  }
  ++counters_.commits;
  position_ = pending_.to;
  pending_.records.Clear();
  return Verdict::kGoOn;
}

StreamAssembler::Verdict StreamAssembler::OnBookmark(const v1::Bookmark& bookmark) {
  if (state_ != State::kLive) {
    return Verdict::kGoOn;  // a sign of life during a long snapshot
  }
  if (next_part_ != 0) {
    return Malformed(fmt::format("bookmark between the parts of commit {}", pending_.from));
  }
  if (bookmark.position().generation() != position_->generation()) {
    return Malformed("bookmark of another generation");
  }
  if (bookmark.position().offset() < position_->offset()) {
    return Duplicate(fmt::format("bookmark {} is behind what was applied, {}",
                                 Text(bookmark.position()), Text(*position_)));
  }
  if (bookmark.position().offset() > position_->offset()) {
    ++counters_.gaps;
    problem_ = fmt::format("bookmark {} is ahead of what was delivered, {}",
                           Text(bookmark.position()), Text(*position_));
    return Verdict::kResync;
  }
  listener_.OnBookmark(bookmark);
  return Verdict::kGoOn;
}

StreamAssembler::Verdict StreamAssembler::Malformed(std::string problem) {
  ++counters_.malformed;
  problem_ = std::move(problem);
  return Verdict::kRestart;
}

StreamAssembler::Verdict StreamAssembler::Duplicate(std::string problem) {
  ++counters_.duplicates;
  problem_ = std::move(problem);
  return Verdict::kRestart;
}

StreamAssembler::Verdict StreamAssembler::Refused(const ApplyError& error) {
  problem_ = error.offset < 0
                 ? fmt::format("cannot apply the snapshot: {}", error.message)
                 : fmt::format("cannot apply the record at {}: {}", error.offset, error.message);
  return Verdict::kRefused;
}

}  // namespace kvorum::client
