#include "tests/sim/checkers/filtered_stream_checker.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "server/base/check.h"
#include "tests/sim/checkers/checks.h"

namespace kvorum::sim {
namespace {

// Of an image with more partitions than that, all is compared after one of so many commits only.
constexpr size_t kLargeImage = 2000;
constexpr uint64_t kLargeImageInterval = 64;

}  // namespace

FilteredStreamChecker::FilteredStreamChecker(World& world, std::string who, NodeId server,
                                             Held held, Scope scope)
    : StreamProtocol(world, std::move(who), server, held.position),
      scope_(std::move(scope)),
      held_(std::move(held)) {}

FilteredStreamChecker::Held FilteredStreamChecker::held() const {
  Held held = held_;
  held.position = position();
  return held;
}

void FilteredStreamChecker::OnGreeted(const v1::Hello& hello) {
  filter_id_ = hello.filter_id();
  KVORUM_CHECK((filter_id_ == 0) == scope_.is_everything(),
               "invariant 32 StreamResume: {}: the filter {} is called {}", who(), scope_.ToText(),
               filter_id_);
  KVORUM_CHECK(
      hello.snapshot_follows() || !HasOfAnother(),
      "invariant 32 StreamResume: {}: what was made with the filter {} is gone on with: {}", who(),
      held_.scope, scope_.ToText());
  KVORUM_CHECK(!position().has_value() || HasOfAnother() || filter_id_ == held_.filter_id,
               "invariant 32 StreamResume: {}: the filter {} is called {}, and elsewhere {}", who(),
               scope_.ToText(), filter_id_, held_.filter_id);
  if (!hello.snapshot_follows() && !scope_.is_everything()) {
    world().log.Hit(Mark::kFilteredResumed);
  }
}

void FilteredStreamChecker::OnReset(const v1::Reset& reset) {
  if (HasOfAnother()) {
    KVORUM_CHECK(reset.reason() == v1::Reset::REASON_FILTER,
                 "invariant 32 StreamResume: {} has another filter and is reset: {}", who(),
                 reset.ShortDebugString());
    world().log.Hit(Mark::kFilterChanged);
    return;
  }
  // Of everything the log can be read; of a filter, only what is in the ring.
  KVORUM_CHECK(
      reset.reason() == v1::Reset::REASON_COMPACTED &&
          (!scope_.is_everything() || end_offset() < world().checks->HighestLogStart(server())),
      "invariant 32 StreamResume: {} at {} is reset: {}", who(), end_offset(),
      reset.ShortDebugString());
  world().log.Hit(Mark::kFilteredFellOff);
}

void FilteredStreamChecker::Replace(const Records& snapshot, const v1::Position&) {
  held_.things = Things();
  for (const v1::MetadataRecord& record : snapshot) {
    held_.things.Apply(record, who());
  }
  KVORUM_CHECK(held_.things.size() == snapshot.size(),
               "invariant 29 StreamGapless: {}: a snapshot of {} records makes {} things", who(),
               snapshot.size(), held_.things.size());
  held_.scope = scope_.ToText();
  held_.filter_id = filter_id_;
}

void FilteredStreamChecker::CheckOffsets(const v1::Commit& commit) const {
  const auto& offsets = commit.offsets();
  KVORUM_CHECK(
      offsets.size() == commit.records_size() && std::is_sorted(offsets.begin(), offsets.end()) &&
          (offsets.empty() ||
           (offsets[0] >= commit.from() && offsets[offsets.size() - 1] < commit.to().offset())),
      "invariant 28 StreamOrderedUnique: {}: offsets of {}", who(), commit.ShortDebugString());
}

// It is committed there, or it has come into the scope with its commit.
void FilteredStreamChecker::CheckIsOfLog(const v1::MetadataRecord& record, Offset offset,
                                         const GhostBatch& batch) const {
  const auto index = static_cast<size_t>(offset - batch.batch.base_offset);
  if (index < batch.records.size() &&
      batch.records[index].SerializeAsString() == record.SerializeAsString()) {
    return;
  }
  const bool may_enter = record.has_topic() || record.has_partition() || record.has_config();
  KVORUM_CHECK(scope_.is_by_host() && may_enter && offset + 1 == batch.batch.end_offset(),
               "invariant 14 NoUncommittedExposure: {}: not in the log at {}: {}", who(), offset,
               record.ShortDebugString());
  world().log.Hit(Mark::kScopeEntered);
}

void FilteredStreamChecker::CheckTold(const v1::Commit& commit) const {
  const GhostLog& ghost = world().ghost;
  const GhostBatch* batch = ghost.BeginningAt(Offset(commit.from()));
  for (int i = 0; i < commit.records_size(); ++i) {
    const Offset offset(commit.offsets(i));
    while (batch->batch.end_offset() <= offset) {
      batch = ghost.BeginningAt(batch->batch.end_offset());
    }
    const v1::MetadataRecord& record = commit.records(i);
    CheckIsOfLog(record, offset, *batch);
    KVORUM_CHECK(scope_.WantsKindOf(record),
                 "invariant 29 StreamGapless: {} did not ask for {} with {}", who(),
                 record.ShortDebugString(), scope_.ToText());
  }
}

void FilteredStreamChecker::CheckLeft(const v1::Commit& commit) const {
  const std::shared_ptr<const MetadataImage> before = TruthAt(commit.from());
  const std::shared_ptr<const MetadataImage> after = TruthAt(commit.to().offset());
  for (const v1::LeftScope& left : commit.left_scope()) {
    const Uuid id = *Uuid::FromBytes(left.topic_id());
    const bool is_whole = !left.has_partition_index();
    v1::MetadataRecord removal;
    is_whole ? static_cast<void>(removal.mutable_remove_topic())
             : static_cast<void>(removal.mutable_partition());
    const bool was_there = is_whole ? scope_.HasTopic(*before, id)
                                    : scope_.HasPartition(*before, id, left.partition_index());
    const bool is_there = is_whole ? scope_.HasTopic(*after, id)
                                   : scope_.HasPartition(*after, id, left.partition_index());
    KVORUM_CHECK(scope_.is_by_host() && scope_.WantsKindOf(removal) && was_there && !is_there,
                 "invariant 29 StreamGapless: {} is told that its scope was left by {}", who(),
                 left.ShortDebugString());
    world().log.Hit(Mark::kScopeLeft);
  }
}

void FilteredStreamChecker::Apply(const v1::Commit& commit) {
  if (!scope_.is_everything()) {
    CheckOffsets(commit);
    CheckTold(commit);
    CheckLeft(commit);
    if (commit.records().empty() && commit.left_scope().empty()) {
      world().log.Hit(Mark::kFilteredNothing);
    }
  }
  for (const v1::LeftScope& left : commit.left_scope()) {
    held_.things.Forget(left);
  }
  for (const v1::MetadataRecord& record : commit.records()) {
    held_.things.Apply(record, who());
  }
  ++commits_;
}

void FilteredStreamChecker::CheckState() {
  const size_t partitions = TruthAt(position()->offset())->topics().partition_count;
  if (partitions <= kLargeImage || commits_ % kLargeImageInterval == 0) {
    CheckAll();
  }
}

void FilteredStreamChecker::CheckAll() const {
  const std::shared_ptr<const MetadataImage> truth = TruthAt(position()->offset());
  size_t count = 0;
  bool has_all = true;
  scope_.VisitIn(*truth, [&](const v1::MetadataRecord& record) {
    ++count;
    has_all = has_all && held_.things.Has(record);
  });
  KVORUM_CHECK(has_all && count == held_.things.size(),
               "invariant 29 StreamGapless: {} at {} does not have what {} lets through: {}", who(),
               end_offset(), scope_.ToText(),
               absl::CHexEscape(held_.things.DifferenceTo(scope_.In(*truth))));
}

}  // namespace kvorum::sim
