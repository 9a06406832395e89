#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "server/base/time.h"
#include "server/raft/events.h"
#include "server/raft/messages.h"

namespace kvorum::raft {

// A fetch that found nothing new, kept until something is (Kafka's fetch purgatory).
struct WaitingFetch {
  RequestToken token;
  ReplicaKey replica;
  Offset fetch_offset;
  std::optional<Offset> high_watermark;  // the requester's
  uint32_t max_bytes = 0;
  uint64_t round = 0;
  TimePoint deadline;  // answered then, whatever there is
};

// Parked fetches, at most one per replica. Owned by RaftState; loop thread only. Every one is
// answered exactly once: woken, replaced, expired, or refused when the leadership ends. A flat
// vector: a handful of entries, scanned on every commit.
class WaitingFetches {
 public:
  size_t size() const { return fetches_.size(); }
  bool empty() const { return fetches_.empty(); }

  void Add(WaitingFetch fetch);

  // Removes the one of `replica`, if any.
  std::optional<WaitingFetch> Take(const ReplicaKey& replica);
  // Removes those for which `wanted` holds, in the order of arrival.
  template <typename Predicate>
  std::vector<WaitingFetch> TakeIf(Predicate wanted) {
    std::vector<WaitingFetch> taken;
    size_t kept = 0;
    for (WaitingFetch& fetch : fetches_) {
      if (wanted(fetch)) {
        taken.push_back(fetch);
      } else {
        fetches_[kept++] = fetch;
      }
    }
    fetches_.resize(kept);
    return taken;
  }
  std::vector<WaitingFetch> TakeAll() { return std::exchange(fetches_, {}); }

  TimePoint next_deadline() const;  // kNever: none waits

 private:
  std::vector<WaitingFetch> fetches_;
};

}  // namespace kvorum::raft
