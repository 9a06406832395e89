#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "server/base/time.h"

namespace kvorum::sim {

// The virtual clock and everything that will happen on it. Events of one instant run in the order
// they were added. Owned by the simulation; one thread.
class EventQueue {
 public:
  using Action = std::function<void()>;

  // A start well above zero, so that "long before now" can be expressed.
  EventQueue() : now_(TimePoint(std::chrono::hours(1))) {}

  TimePoint now() const { return now_; }
  uint64_t executed() const { return executed_; }

  // REQUIRES: `when` is not in the past.
  void At(TimePoint when, Action action);
  void After(Duration delay, Action action) { At(now_ + delay, std::move(action)); }

  // Runs the next event if it is due before `limit`. Else moves the clock to `limit`: false.
  bool RunNext(TimePoint limit);

 private:
  struct Event {
    TimePoint when;
    uint64_t sequence = 0;
    Action action;
  };

  static bool Later(const Event& a, const Event& b) {
    return a.when != b.when ? a.when > b.when : a.sequence > b.sequence;
  }

  TimePoint now_;
  uint64_t next_sequence_ = 0;
  uint64_t executed_ = 0;
  uint64_t at_this_instant_ = 0;
  std::vector<Event> heap_;
};

}  // namespace kvorum::sim
