#include "client/acknowledging_listener.h"

#include <utility>

namespace kvorum::client {

AcknowledgingListener::AcknowledgingListener(MetadataCache& cache, BrokerSession& session,
                                             std::function<void()> on_change)
    : cache_(cache), session_(session), on_change_(std::move(on_change)) {}

std::optional<ApplyError> AcknowledgingListener::OnSnapshotRecords(const Records& records) {
  return Refused(cache_.OnSnapshotRecords(records));
}

void AcknowledgingListener::OnSnapshotEnd(const v1::Position& position) {
  cache_.OnSnapshotEnd(position);
  OnApplied(position);
}

std::optional<ApplyError> AcknowledgingListener::OnCommit(const CommittedRecords& commit) {
  std::optional<ApplyError> error = Refused(cache_.OnCommit(commit));
  if (!error.has_value()) {
    OnApplied(commit.to);
  }
  return error;
}

std::optional<ApplyError> AcknowledgingListener::Refused(std::optional<ApplyError> error) {
  if (error.has_value()) {
    session_.SetRejected(error->offset, error->message);
  }
  return error;
}

void AcknowledgingListener::OnApplied(const v1::Position& position) {
  if (on_change_) {
    on_change_();
  }
  session_.SetApplied(position.offset());
}

}  // namespace kvorum::client
