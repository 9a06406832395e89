#include "server/controller/pending_replies.h"

#include <algorithm>
#include <utility>

#include "server/base/check.h"

namespace kvorum::controller {

void PendingReplies::Add(Offset end_offset, TimePoint deadline, Reply reply) {
  KVORUM_CHECK(replies_.empty() || replies_.back().end_offset <= end_offset,
               "reply at {} after one at {}", end_offset, replies_.back().end_offset);
  next_deadline_ = std::min(next_deadline_, deadline);
  replies_.push_back({end_offset, deadline, std::move(reply)});
}

void PendingReplies::CompleteUpTo(Offset applied) {
  while (!replies_.empty() && replies_.front().end_offset <= applied) {
    const Reply reply = std::move(replies_.front().reply);
    replies_.pop_front();
    if (reply) {
      reply(absl::OkStatus());
    }
  }
  if (replies_.empty()) {
    next_deadline_ = kNever;
  }
}

void PendingReplies::Expire(TimePoint now, const std::function<absl::Status(Offset)>& status_for) {
  if (now < next_deadline_) {
    return;
  }
  next_deadline_ = kNever;
  for (Waiting& waiting : replies_) {
    if (!waiting.reply) {
      continue;
    }
    if (waiting.deadline <= now) {
      std::exchange(waiting.reply, {})(status_for(waiting.end_offset));
    } else {
      next_deadline_ = std::min(next_deadline_, waiting.deadline);
    }
  }
}

void PendingReplies::FailAll(const std::function<absl::Status(Offset)>& status_for) {
  next_deadline_ = kNever;
  for (Waiting& waiting : std::exchange(replies_, {})) {
    if (waiting.reply) {
      waiting.reply(status_for(waiting.end_offset));
    }
  }
}

}  // namespace kvorum::controller
