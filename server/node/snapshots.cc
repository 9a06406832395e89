#include "server/node/snapshots.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "server/base/check.h"
#include "server/base/errors.h"
#include "server/base/mutants.h"
#include "server/metadata/image_writer.h"
#include "server/metadata/record_codec.h"

namespace kvorum {

struct Snapshots::Loading {
  explicit Loading(SnapshotManifest from)
      : manifest(std::move(from)), delta(*MetadataImage::Empty()) {}

  SnapshotManifest manifest;
  int64_t next_chunk = 0;
  MetadataDelta delta;
};

// --- loading ---

void Snapshots::Load(const SnapshotManifest& manifest) {
  if (loading_ != nullptr && loading_->manifest.id == manifest.id) {
    return;
  }
  loading_ = std::make_shared<Loading>(manifest);
  ReadNextChunk(loading_);
}

void Snapshots::ReadNextChunk(const std::shared_ptr<Loading>& loading) {
  if (loading->next_chunk >= loading->manifest.chunk_count) {
    ports_.host.Post([this, loading](Now now) { FinishLoading(now, loading); });
    return;
  }
  ports_.storage.ReadSnapshotChunk(
      loading->manifest.id, loading->next_chunk,
      [this, loading](absl::StatusOr<std::string> chunk) {
        ports_.host.Post([this, loading, chunk = std::move(chunk)](Now now) mutable {
          OnChunk(now, loading, std::move(chunk));
        });
      });
}

void Snapshots::OnChunk(Now now, const std::shared_ptr<Loading>& loading,
                        absl::StatusOr<std::string> chunk) {
  if (loading != loading_ && !KVORUM_MUTANT(R10)) {
    return;  // a newer one replaced it
  }
  if (!chunk.ok()) {
    ports_.owner.OnStorageError(chunk.status());
    return;
  }
  auto records = DecodeRecords(*chunk);
  if (GetErrorReason(records.status()) == ErrorReason::kUnsupportedVersion) {
    StopAtUnsupportedRecord(fmt::format("snapshot {} chunk {}: {}", loading->manifest.id,
                                        loading->next_chunk, records.status().ToString()));
  }
  if (!records.ok()) {
    ports_.owner.OnStorageError(MakeError(
        ErrorReason::kCorruptLog, fmt::format("snapshot {} chunk {}: {}", loading->manifest.id,
                                              loading->next_chunk, records.status().ToString())));
    return;
  }
  for (v1::MetadataRecord& record : *records) {
    loading->delta.Replay(std::move(record), loading->manifest.id.offset - 1);
  }
  ++loading->next_chunk;
  if (loading->next_chunk < loading->manifest.chunk_count) {
    ReadNextChunk(loading);
  } else {
    FinishLoading(now, loading);
  }
}

void Snapshots::FinishLoading(Now now, const std::shared_ptr<Loading>& loading) {
  if (loading != loading_) {
    return;
  }
  loading_.reset();
  const SnapshotManifest& manifest = loading->manifest;
  std::shared_ptr<const MetadataImage> image =
      loading->delta.Apply({manifest.id.offset, manifest.id.epoch, manifest.last_append_time_ms});
  if (image->StateHash() != manifest.state_hash) {
    ports_.owner.OnStorageError(MakeError(
        ErrorReason::kCorruptLog,
        fmt::format("snapshot {} gives a state of hash {:016x}, it was made from one of {:016x}",
                    manifest.id, image->StateHash(), manifest.state_hash)));
    return;
  }
  last_made_ = now.now;
  snapshot_bytes_ = applied_bytes_;
  ports_.owner.OnImageLoaded(now, std::move(image), manifest.chain_hash);
}

// --- making ---

Offset Snapshots::newest_end() const {
  const auto& snapshots = ports_.core.snapshots();
  return snapshots.empty() ? Offset(0) : snapshots.back().id.offset;
}

TimePoint Snapshots::DueAt() const {
  const bool is_waiting =
      !is_making_ && !is_held_up_ && !is_loading() && applied_bytes_ > snapshot_bytes_;
  return is_waiting && last_made_ != kNever ? last_made_ + config_.max_interval : kNever;
}

TimePoint Snapshots::NextDeadline() const { return std::min(DueAt(), lease_end_); }

void Snapshots::MaybeMake(Now now, const std::shared_ptr<const MetadataImage>& image,
                          uint64_t chain_hash) {
  const int64_t bytes = applied_bytes_ - snapshot_bytes_;
  if (last_made_ == kNever && bytes > 0) {
    last_made_ = now.now;
  }
  if (now.now >= lease_end_) {
    MoveLogStart(now);
  }
  is_held_up_ = false;
  const bool is_due =
      bytes >= config_.max_log_bytes || (bytes > 0 && now.now >= DueAt()) || is_newest_damaged();
  // While the oldest can't go because it is copied, there is no room for another.
  const bool is_full = lease_end_ != kNever && !is_newest_damaged() &&
                       ports_.core.snapshots().size() >= config_.max_kept;
  if (is_due && !is_making_ && !is_full) {
    Start(now, image, chain_hash);
  }
  is_held_up_ = is_due && !is_making_;
}

void Snapshots::OnDamaged(const SnapshotId& id) {
  damaged_end_ = std::max(damaged_end_.value_or(id.offset), id.offset);
  lease_end_ = TimePoint();  // look at once what can go
}

bool Snapshots::is_newest_damaged() const { return damaged_end_ >= newest_end(); }

void Snapshots::Make(Now now, const std::shared_ptr<const MetadataImage>& image,
                     uint64_t chain_hash, Done done) {
  const auto& snapshots = ports_.core.snapshots();
  if (!snapshots.empty() && snapshots.back().id.offset >= image->provenance().end_offset) {
    done(snapshots.back());
    return;
  }
  if (snapshots.size() + 1 >= kMaxFrozenSnapshots) {
    done(MakeError(ErrorReason::kClassShed,
                   fmt::format("this controller keeps {} snapshots because a replica copies {}; "
                               "try again when it has it",
                               snapshots.size(), snapshots.front().id)));
    return;
  }
  if (!is_making_) {
    Start(now, image, chain_hash);
  }
  if (is_making_) {
    waiting_.push_back(std::move(done));
  } else {
    done(MakeError(ErrorReason::kLeaderNotAvailable,
                   "this controller has nothing committed that is also durable on its own disk; "
                   "try again shortly"));
  }
}

void Snapshots::Start(Now now, const std::shared_ptr<const MetadataImage>& image,
                      uint64_t chain_hash) {
  const OffsetAndEpoch end = image->provenance().position();
  // A majority without this node may commit before its own disk has it: a snapshot above the log's
  // durable end could not be gone on from after a crash.
  if (is_loading() || end.offset <= newest_end() || end.offset > ports_.core.durable_end_offset()) {
    return;
  }
  is_making_ = true;
  last_made_ = now.now;
  SnapshotManifest manifest = ports_.core.MakeManifest(end, chain_hash);
  manifest.last_append_time_ms = image->provenance().append_time_ms;
  manifest.state_hash = image->StateHash();
  if (KVORUM_MUTANT(R08)) {
    ports_.owner.StepRaft(now, raft::MoveLogStart{end.offset});
  }
  if (KVORUM_MUTANT(R09)) {
    manifest.id.offset = manifest.id.offset - 1;
  }
  const auto chunker =
      std::make_shared<ImageChunker>(image, Audience::kControllers, config_.chunk_bytes);
  ports_.storage.WriteSnapshot(
      std::move(manifest), [chunker] { return chunker->Next(); },
      [this, bytes = applied_bytes_](absl::StatusOr<SnapshotManifest> made) {
        ports_.host.Post(
            [this, bytes, made = std::move(made)](Now later) { OnMade(later, bytes, made); });
      });
}

void Snapshots::OnMade(Now now, int64_t applied_bytes, absl::StatusOr<SnapshotManifest> made) {
  is_making_ = false;
  if (!made.ok()) {
    ports_.owner.OnStorageError(made.status());
    return;
  }
  snapshot_bytes_ = std::max(snapshot_bytes_, applied_bytes);
  bytes_below_[made->id.offset] = applied_bytes;
  ports_.owner.StepRaft(now, raft::SnapshotTaken{*made});
  for (const Done& done : std::exchange(waiting_, {})) {
    done(made);
  }
  MoveLogStart(now);
}

void Snapshots::FailWaiting(const absl::Status& status) {
  for (const Done& done : std::exchange(waiting_, {})) {
    done(status);
  }
}

int64_t Snapshots::LogBytesSince(Offset offset) const {
  // What was there before this process began is not counted: too much is kept, never too little.
  const auto it = bytes_below_.find(offset);
  return applied_bytes_ - (it == bytes_below_.end() ? 0 : it->second);
}

void Snapshots::MoveLogStart(Now now) {
  lease_end_ = kNever;
  const std::vector<SnapshotManifest>& snapshots = ports_.core.snapshots();
  if (snapshots.empty() || is_newest_damaged()) {
    return;  // those before it may be good
  }
  const size_t kept_from = FirstKept(now, snapshots);
  if (kept_from == 0 || KVORUM_MUTANT(RetentionNever)) {
    return;
  }
  const Offset start = snapshots[kept_from].id.offset;
  if (damaged_end_ < start) {
    damaged_end_.reset();
  }
  bytes_below_.erase(bytes_below_.begin(), bytes_below_.lower_bound(start));
  ports_.owner.StepRaft(now, raft::MoveLogStart{start});
}

size_t Snapshots::FirstKept(Now now, const std::vector<SnapshotManifest>& snapshots) {
  int64_t bytes = 0;
  for (const SnapshotManifest& snapshot : snapshots) {
    bytes += snapshot.size_bytes;
  }
  const int64_t oldest_ms =
      now.wall_ms -
      std::chrono::duration_cast<std::chrono::milliseconds>(config_.retention_age).count();
  const std::optional<raft::SnapshotLease> lease = ports_.core.oldest_snapshot_lease(now.now);
  size_t first = 0;
  // consensus.md §3.7: never without a snapshot, and the log begins where the oldest one ends.
  for (; snapshots.size() - first >= 2; ++first) {
    const SnapshotManifest& oldest = snapshots[first];
    const int64_t log_bytes =
        LogBytesSince(first == 0 ? ports_.core.log_start_offset() : oldest.id.offset);
    const bool fits = snapshots.size() - first <= config_.max_kept &&
                      bytes + log_bytes <= config_.retention_bytes &&
                      oldest.last_append_time_ms >= oldest_ms;
    bytes -= oldest.size_bytes;
    if (damaged_end_ >= oldest.id.offset) {
      continue;
    }
    if (fits) {
      break;
    }
    if (lease.has_value() && oldest.id.offset >= lease->id.offset && !KVORUM_MUTANT(LeaseIgnored)) {
      lease_end_ = lease->until;
      break;
    }
  }
  return first;
}

}  // namespace kvorum
