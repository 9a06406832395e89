#pragma once

#include <cstddef>
#include <deque>

#include "server/base/ids.h"
#include "server/base/time.h"

namespace kvorum::controller {

// Since when completed requests are in the log, as far as this controller has seen itself: by its
// monotonic clock, from the moment it took office. Wall clocks jump, and a jump must not make a
// retry run twice; after a failover everything is young again. Owned by ActiveController; loop
// thread only.
class RequestAges {
 public:
  explicit RequestAges(Duration max_age) : max_age_(max_age) {}

  // It took office, and the log ended at `log_end`.
  void Start(TimePoint now, Offset log_end) { marks_ = {{now, log_end}}; }

  // What has been there for the whole age ends at the offset returned, or a little above: marks are
  // set when this is called, and no closer than a part of the age.
  Offset AgedBelow(TimePoint now, Offset log_end) {
    if (marks_.empty() || now - marks_.back().at >= max_age_ / kMarksPerAge) {
      marks_.push_back({now, log_end});
    }
    while (marks_.size() > 1 && marks_[1].at + max_age_ <= now) {
      marks_.pop_front();
    }
    const Mark& oldest = marks_.front();
    return oldest.at + max_age_ <= now ? oldest.log_end : Offset(0);
  }

 private:
  static constexpr int kMarksPerAge = 16;
  struct Mark {
    TimePoint at;
    Offset log_end;  // then
  };

  Duration max_age_;
  std::deque<Mark> marks_;  // the first may be older than the age, the others are not
};

}  // namespace kvorum::controller
