#include "tests/sim/event_queue.h"

#include <algorithm>
#include <utility>

#include "server/base/check.h"

namespace kvorum::sim {

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
  now_ = event.when;
  ++executed_;
  event.action();
  return true;
}

}  // namespace kvorum::sim
