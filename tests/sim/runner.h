#pragma once

#include <cstdint>
#include <string>

#include "server/base/time.h"

namespace kvorum::sim {

// The command line.
struct RunnerOptions {
  uint64_t base = 1;
  uint64_t seeds = 1;
  int jobs = 2;
  Duration fault_phase = std::chrono::seconds(30);
  bool print_events = false;
  bool keep_going = false;         // after a failing seed
  bool check_determinism = false;  // run each seed twice
  bool require_marks = false;      // a rare path that no seed reached is a failure
};

// Runs one seed in this process and prints its summary. A failure ends the process.
void RunOneSeed(const RunnerOptions& options);

// Runs many seeds in worker processes, prints progress and what was covered. Returns the number of
// failed seeds, each of which has printed one line with the command that replays it, and of rare
// paths that were required and not reached.
uint64_t RunManySeeds(const RunnerOptions& options);

// Replays the lines of a file: "<seed> <fault seconds>  # what it found". Returns the failures.
uint64_t RunRegressions(const std::string& path);

}  // namespace kvorum::sim
