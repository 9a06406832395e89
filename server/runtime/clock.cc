#include "server/runtime/clock.h"

namespace kvorum {
namespace {

constexpr Duration kForever = std::chrono::hours(24 * 365 * 10);

}  // namespace

Now ReadClock() {
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  return {TimePoint(std::chrono::steady_clock::now().time_since_epoch()),
          std::chrono::duration_cast<std::chrono::milliseconds>(wall).count()};
}

TimePoint DeadlineFromSystemTime(std::chrono::system_clock::time_point deadline) {
  const auto wall = std::chrono::system_clock::now();
  if (deadline >= wall + kForever) {
    return kNever;
  }
  return ReadClock().now + (deadline - wall);
}

std::chrono::steady_clock::time_point ToSteadyTime(TimePoint time) {
  return std::chrono::steady_clock::time_point(time.time_since_epoch());
}

}  // namespace kvorum
