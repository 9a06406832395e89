#pragma once

#include <deque>
#include <optional>
#include <variant>

#include "server/base/ids.h"
#include "server/base/time.h"
#include "server/raft/effects.h"
#include "storage/types/storage_write.h"

namespace kvorum::raft {

// Writes that are not synced yet: what each makes durable, and the messages that wait for it.
// Owned by RaftState; loop thread only. Completion is by id, never by offset, so one for a
// truncated tail cannot be credited to its replacement (etcd's async append ABA).
class PendingWrites {
 public:
  // Registers the next write; `log_end` is the log's end with it. Ids begin at 1.
  WriteId Add(Offset log_end, TimePoint now = {});

  // The log now ends at `end`: no earlier write makes anything above it durable.
  void TruncateTo(Offset end);

  // The log was replaced and now begins and ends at `end`: that is all that any earlier write makes
  // durable.
  void ResetTo(Offset end);

  // `id` and all before it are synced. Returns the new durable end; nullopt if nothing was new.
  // REQUIRES: `id` was given out.
  std::optional<Offset> Complete(WriteId id);

  WriteId last() const { return last_given_; }
  bool IsDone(WriteId id) const { return id <= last_done_; }
  bool empty() const { return writes_.empty(); }
  size_t size() const { return writes_.size(); }
  // When the oldest of them was submitted; kNever: none waits.
  TimePoint oldest() const { return writes_.empty() ? kNever : writes_.front().submitted; }

  // Keeps a message until `id` is done. REQUIRES: ids of calls never decrease.
  void Hold(WriteId id, std::variant<SendRequest, SendReply> message);
  // Moves the messages that wait no more to `effects`, in order.
  void Release(Effects& effects);
  // Forgets held requests (their sender's role is over). Replies stay: each is owed.
  void DropHeldRequests();
  // Turns held fetch answers that carry batches into refusals: the log may change under them.
  void RefuseHeldReads();
  bool has_held_messages() const { return !held_.empty(); }

 private:
  struct Write {
    WriteId id;
    Offset log_end;
    TimePoint submitted;
  };
  struct Held {
    WriteId after;
    std::variant<SendRequest, SendReply> message;
  };

  WriteId last_given_;
  WriteId last_done_;
  std::deque<Write> writes_;  // in id order
  std::deque<Held> held_;     // `after` never decreases
};

// A fetch answer that promised batches of a log this node no longer leads becomes a refusal.
void RefuseRead(SendReply& reply);

}  // namespace kvorum::raft
