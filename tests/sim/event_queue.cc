#include "tests/sim/event_queue.h"

#include <algorithm>
#include <utility>

#include "server/base/check.h"

namespace kvorum::sim {
namespace {

// More events than any instant can need: something acts, finds that nothing changed, and acts
// again.
constexpr uint64_t kMaxEventsAtOneInstant = 100'000;

}  // namespace

void EventQueue::At(TimePoint when, Action action) {
  KVORUM_CHECK(when >= now_, "event in the past");
  heap_.push_back({.when = when, .sequence = next_sequence_++, .action = std::move(action)});
  std::push_heap(heap_.begin(), heap_.end(), Later);
}

bool EventQueue::RunNext(TimePoint limit) {
  if (heap_.empty() || heap_.front().when >= limit) {
    now_ = limit;
    return false;
  }
  std::pop_heap(heap_.begin(), heap_.end(), Later);
  Event event = std::move(heap_.back());
  heap_.pop_back();
  at_this_instant_ = event.when == now_ ? at_this_instant_ + 1 : 0;
  KVORUM_CHECK(at_this_instant_ < kMaxEventsAtOneInstant,
               "invariant 40 Bounded: the clock stands still");
  now_ = event.when;
  ++executed_;
  event.action();
  return true;
}

}  // namespace kvorum::sim
