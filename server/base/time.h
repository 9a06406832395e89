#pragma once

#include <chrono>
#include <cstdint>

namespace kvorum {

using Duration = std::chrono::nanoseconds;

// A clock *type* without now(): deterministic code gets time as an argument and cannot read a clock
// even by mistake (after Scylla's logical_clock).
struct NodeClock {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<NodeClock>;
  static constexpr bool is_steady = true;
};
using TimePoint = NodeClock::time_point;  // monotonic, per process

inline constexpr TimePoint kNever = TimePoint::max();

// Both clocks as one value: `now` drives timers and never goes back; `wall_ms` (Unix milliseconds)
// is only ever shown or stored, never compared for safety.
struct Now {
  TimePoint now;
  int64_t wall_ms = 0;
};

}  // namespace kvorum
