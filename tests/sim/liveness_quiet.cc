// The part of Liveness that sees to it that a quiet cluster stays quiet, and says so.
#include <map>

#include "server/base/check.h"
#include "tests/sim/liveness.h"
#include "tests/sim/sim_process.h"

namespace kvorum::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kQuietTime = seconds(4);
constexpr int kMaxLateElections = 3;
// Heartbeats, long polls and NoOps cost some tens of turns; a loop that spins costs thousands.
constexpr uint64_t kMaxQuietTurnsPerSecond = 600;
// A commit is pushed to the followers, on a calm network within some round trips (KAFKA-13959).
constexpr Duration kCommitLagSlice = milliseconds(20);
constexpr Duration kMaxCommitLag = milliseconds(150);
// Batches of an idle cluster beyond its NoOps: fences, in-sync replicas.
constexpr int64_t kIdleBatches = 50;

}  // namespace

void Liveness::RunQuietly(Duration length) {
  const TimePoint end = world_.queue.now() + length;
  while (world_.queue.now() < end) {
    RunFor(kCommitLagSlice);
    CheckCommitLag();
  }
}

// Whatever the leader knew to be committed some time ago, its followers know now.
void Liveness::CheckCommitLag() {
  const SimProcess* leader = Leader();
  if (leader == nullptr || leader->node().core().epoch() != commits_epoch_) {
    commits_.clear();
    commits_epoch_ = leader == nullptr ? Epoch(0) : leader->node().core().epoch();
    return;
  }
  const TimePoint now = world_.queue.now();
  commits_.emplace_back(now, leader->node().core().high_watermark().value_or(Offset(0)));
  Offset expected(0);
  while (commits_.front().first + kMaxCommitLag <= now) {
    expected = commits_.front().second;
    commits_.pop_front();
  }
  for (const NodeId id : core_) {
    const SimProcess* process = world_.RunningOn(id);
    const Offset known = process->node().core().high_watermark().value_or(Offset(0));
    KVORUM_CHECK(known >= expected,
                 "liveness: L3: node {} has not heard that {} is committed, only {}", id, expected,
                 known);
  }
}

Liveness::BookmarkCounts Liveness::CountBookmarks() const {
  BookmarkCounts counts;
  for (const auto& broker : brokers_) {
    counts.emplace(broker->id(), broker->bookmarks());
  }
  for (const auto& subscriber : subscribers_) {
    counts.emplace(subscriber->actor(), subscriber->bookmarks());
  }
  return counts;
}

// Whoever was on one stream for `length` has got a bookmark in each interval, whatever else came.
void Liveness::CheckBookmarks(const BookmarkCounts& before, Duration length) const {
  // A tick comes late by a turn, and there are two in an interval.
  const Duration interval = world_.options.bookmark_interval + world_.options.max_turn_delay * 4;
  const int64_t least = length / interval - 2;
  for (const auto& [actor, now] : CountBookmarks()) {
    const std::optional<BookmarkCount>& then = before.at(actor);
    if (!then.has_value() || !now.has_value() || then->stream != now->stream) {
      continue;
    }
    KVORUM_CHECK(now->count - then->count >= least,
                 "liveness: L5: {} bookmarks came to {} in {} ms, at least {} are due",
                 now->count - then->count, actor,
                 std::chrono::duration_cast<milliseconds>(length).count(), least);
    world_.log.Hit(Mark::kBookmarksCounted);
  }
}

// A node that can only send may bring a higher epoch from before, and so cause an election or two.
void Liveness::CheckStaysQuiet() {
  const Duration length = kQuietTime + world_.options.fetch_timeout * 2;
  std::map<NodeId, uint64_t> turns;
  size_t batches = 0;
  BookmarkCounts bookmarks;
  for (int elections = 0;; ++elections) {
    const std::optional<Epoch> epoch = LeaderEpoch();
    for (const NodeId id : core_) {
      turns[id] = world_.RunningOn(id)->turns();
    }
    batches = world_.ghost.batches().size();
    bookmarks = CountBookmarks();
    RunQuietly(length);
    if (epoch.has_value() && LeaderEpoch() == epoch) {
      break;
    }
    KVORUM_CHECK(elections < kMaxLateElections, "liveness: L1: elections without a fault");
  }
  const int64_t no_ops = 2 * (length / world_.options.max_idle_interval);
  const auto grown = static_cast<int64_t>(world_.ghost.batches().size() - batches);
  KVORUM_CHECK(grown <= no_ops + kIdleBatches,
               "liveness: L9: {} batches are committed while nothing happens", grown);
  for (const NodeId id : core_) {
    const uint64_t per_second =
        (world_.RunningOn(id)->turns() - turns[id]) / static_cast<uint64_t>(length / seconds(1));
    KVORUM_CHECK(per_second <= kMaxQuietTurnsPerSecond,
                 "invariant 40 Bounded: node {} takes {} turns per second while nothing happens",
                 id, per_second);
  }
  CheckBookmarks(bookmarks, length);
}

}  // namespace kvorum::sim
