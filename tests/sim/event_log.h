#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "server/base/time.h"
#include "tests/sim/event_queue.h"
#include "tests/sim/marks.h"

namespace kvorum::sim {

// Without payloads, whose order Abseil varies.
inline std::string Text(const absl::Status& status) {
  return fmt::format("{} {}", absl::StatusCodeToString(status.code()),
                     std::string(status.message()));
}

// What a run leaves behind: the hash over everything that happened (equal seeds give equal hashes),
// its marks, and on request a line per event. Owned by the world; one thread.
class EventLog {
 public:
  EventLog(const EventQueue& queue, bool print) : queue_(queue), print_(print) {}

  // Into the hash: call for everything whose order or content could differ between two runs.
  void Mix(uint64_t value) {
    uint64_t z = hash_ ^ (value + 0x9e3779b97f4a7c15ULL + (hash_ << 6) + (hash_ >> 2));
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    hash_ = z ^ (z >> 27);
  }
  void MixNow() { Mix(static_cast<uint64_t>(queue_.now().time_since_epoch().count())); }
  uint64_t hash() const { return hash_; }

  void Hit(Mark mark) { marks_.Hit(mark); }
  const Marks& marks() const { return marks_; }

  bool printing() const { return print_; }
  template <typename... Args>
  void Line(fmt::format_string<Args...> format, Args&&... args) {
    if (print_) {
      const Duration at = queue_.now().time_since_epoch() - std::chrono::hours(1);
      fmt::print("{:12.6f} {}\n", std::chrono::duration<double>(at).count(),
                 fmt::format(format, std::forward<Args>(args)...));
    }
  }

 private:
  const EventQueue& queue_;
  bool print_;
  uint64_t hash_ = 0;
  Marks marks_;
};

}  // namespace kvorum::sim
