#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "kvorum/v1/record.pb.h"
#include "server/base/time.h"
#include "server/metadata/topics/partition_moves.h"

namespace kvorum::controller {

// Puts partitions right in the background, a bounded step at a time: a round begins every period,
// and its steps follow each other at once until everything was looked at. Preferred leaders
// (Kafka's auto.leader.rebalance) and unclean elections (its unclean.leader.election.interval.ms)
// are one each. Owned by ActiveController; loop thread only. Deterministic.
class PartitionSweep {
 public:
  // What a step decides.
  using Decide = SweepStep (*)(const MetadataImage& image, const PartitionKey& from,
                               size_t max_changes);

  // A period of zero: never.
  PartitionSweep(Duration period, size_t max_changes, Decide decide)
      : period_(period), max_changes_(max_changes), decide_(decide) {}

  void Start(TimePoint now) {
    from_ = PartitionKey();
    next_step_ = period_ > Duration::zero() ? now + period_ : kNever;
  }
  void Stop() { next_step_ = kNever; }
  TimePoint NextDeadline() const { return next_step_; }

  // What the step that is due decides. REQUIRES: now >= NextDeadline().
  std::vector<v1::MetadataRecord> Step(TimePoint now, const MetadataImage& image) {
    SweepStep step = decide_(image, from_, max_changes_);
    from_ = step.is_done ? PartitionKey() : step.next;
    next_step_ = step.is_done ? now + period_ : now;
    return std::move(step.records);
  }

 private:
  const Duration period_;
  const size_t max_changes_;
  const Decide decide_;
  PartitionKey from_;  // where the next step of the round begins
  TimePoint next_step_ = kNever;
};

}  // namespace kvorum::controller
