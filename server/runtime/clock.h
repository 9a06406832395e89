#pragma once

#include <chrono>

#include "server/base/time.h"

namespace kvorum {

// The only place that reads the process's clocks. Any thread.
Now ReadClock();

// A wall-clock deadline (as gRPC gives it) on the monotonic clock: the same remaining time from now
// on. kNever if it is more than ten years away, which is how "no deadline" looks.
TimePoint DeadlineFromSystemTime(std::chrono::system_clock::time_point deadline);

// For waits of the standard library.
std::chrono::steady_clock::time_point ToSteadyTime(TimePoint time);

}  // namespace kvorum
