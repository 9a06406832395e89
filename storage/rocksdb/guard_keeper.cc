#include "storage/rocksdb/guard_keeper.h"

#include "server/base/status_macros.h"
#include "storage/log_verifier.h"

namespace kvorum {

absl::Status GuardKeeper::Reconcile(RecoveredState& recovered) {
  GuardState guard = file_->state();
  kvorum::Reconcile(recovered, guard);
  durable_.end = EndOf(recovered);
  durable_.latest_snapshot = guard.latest_snapshot;
  KVORUM_RETURN_IF_ERROR(file_->Write(guard));
  return file_->Duplicate();
}

absl::Status GuardKeeper::BeforeShorter(const BatchEnd& lowest) {
  if (lowest.end_offset >= file_->state().log_end) {
    return absl::OkStatus();
  }
  GuardState guard = file_->state();
  SetLogEnd(lowest, guard);
  return file_->Write(guard);
}

absl::Status GuardKeeper::BeforeRemoval(const SnapshotId& removed,
                                        const std::optional<SnapshotId>& next) {
  GuardState guard = file_->state();
  if (guard.latest_snapshot == removed) {
    guard.latest_snapshot = next;
  }
  return file_->Write(guard);
}

absl::Status GuardKeeper::AfterWrite(const Durable& durable) {
  durable_ = durable;
  const bool changes_vote =
      durable.quorum_state.has_value() && ChangesVote(file_->state(), *durable.quorum_state);
  if (!changes_vote && !durable.is_installed && !durable.leaves_quarantine) {
    return absl::OkStatus();
  }
  GuardState guard = file_->state();
  if (changes_vote) {
    SetVote(*durable.quorum_state, guard);
  }
  if (durable.leaves_quarantine) {
    guard.quarantine.reset();
  }
  SetLogEnd(durable.end, guard);
  guard.latest_snapshot = durable.latest_snapshot;
  raised_at_ = std::chrono::steady_clock::now();
  return file_->Write(guard);
}

absl::Status GuardKeeper::Finish() {
  KVORUM_RETURN_IF_ERROR(Raise(/*now=*/true));
  return file_->Duplicate();
}

absl::Status GuardKeeper::Raise(bool now) {
  const int64_t behind = durable_.end.end_offset - file_->state().log_end;
  if (behind <= 0) {
    return absl::OkStatus();
  }
  const auto time = std::chrono::steady_clock::now();
  const auto interval = behind >= kGuardMaxRecordsBehind ? kGuardMinInterval : kGuardMaxInterval;
  if (!now && time - raised_at_ < interval) {
    return absl::OkStatus();
  }
  raised_at_ = time;
  GuardState guard = file_->state();
  SetLogEnd(durable_.end, guard);
  guard.latest_snapshot = durable_.latest_snapshot;
  return file_->Write(guard);
}

}  // namespace kvorum
