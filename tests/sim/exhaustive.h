#pragma once

#include "tests/sim/exhaustive_model.h"

namespace kvorum::sim {

// Tries every order of messages, syncs, timers, appends and crashes up to a depth, breadth first,
// each state once, and prints what was seen. A broken invariant ends the process with the shortest
// way there. False: it did not reach what it must.
bool RunExhaustive(const ExhaustiveOptions& options);

}  // namespace kvorum::sim
