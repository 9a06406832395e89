#pragma once

#include <deque>
#include <functional>

#include "absl/status/status.h"
#include "server/base/ids.h"
#include "server/base/time.h"

namespace kvorum::controller {

// Replies that wait for the log to be committed and applied up to an offset (cf. Kafka's
// DeferredEventQueue). Owned by ActiveController; loop thread only. Every reply fires exactly once.
class PendingReplies {
 public:
  // OK: committed. Else: the outcome is not known.
  using Reply = std::function<void(const absl::Status&)>;

  // REQUIRES: `end_offset` is not below that of the reply added before.
  void Add(Offset end_offset, TimePoint deadline, Reply reply);

  // Fires all that wait for `applied` or less.
  void CompleteUpTo(Offset applied);

  // Fires all whose deadline has passed with `status_for(end_offset)`.
  void Expire(TimePoint now, const std::function<absl::Status(Offset)>& status_for);

  // Fires all that are left with `status_for(end_offset)`.
  void FailAll(const std::function<absl::Status(Offset)>& status_for);

  // No earlier than this does Expire have anything to do.
  TimePoint NextDeadline() const { return next_deadline_; }
  size_t size() const { return replies_.size(); }
  bool empty() const { return replies_.empty(); }

 private:
  struct Waiting {
    Offset end_offset;
    TimePoint deadline;
    Reply reply;  // empty: expired
  };

  std::deque<Waiting> replies_;
  TimePoint next_deadline_ = kNever;
};

}  // namespace kvorum::controller
