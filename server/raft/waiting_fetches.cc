#include "server/raft/waiting_fetches.h"

#include <algorithm>
#include <utility>

#include "server/base/check.h"

namespace kvorum::raft {

void WaitingFetches::Add(WaitingFetch fetch) {
  for (const WaitingFetch& other : fetches_) {
    KVORUM_CHECK(other.replica != fetch.replica, "replica {} waits twice", fetch.replica);
  }
  fetches_.push_back(std::move(fetch));
}

std::optional<WaitingFetch> WaitingFetches::Take(const ReplicaKey& replica) {
  const auto it = std::find_if(fetches_.begin(), fetches_.end(),
                               [&](const WaitingFetch& fetch) { return fetch.replica == replica; });
  if (it == fetches_.end()) {
    return std::nullopt;
  }
  WaitingFetch taken = *it;
  fetches_.erase(it);
  return taken;
}

TimePoint WaitingFetches::next_deadline() const {
  TimePoint earliest = kNever;
  for (const WaitingFetch& fetch : fetches_) {
    earliest = std::min(earliest, fetch.deadline);
  }
  return earliest;
}

}  // namespace kvorum::raft
