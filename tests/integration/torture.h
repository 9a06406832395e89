#pragma once

#include <cstdint>
#include <string>

#include "server/base/random.h"
#include "tests/integration/test_util.h"

namespace kvorum::testing {

// Rounds of a torture test: `full` in a run of its own (ctest label slow), KVORUM_TORTURE_ROUNDS
// where that is set (the short run among the others sets it).
int TortureRounds(int full);

// Draws a test's choices from KVORUM_TORTURE_SEED, or anew; prints the seed.
Random TortureRandom();

// Every write that was acknowledged before the call is there, with its value.
void ExpectNothingLost(const Cluster& cluster, const WriteLoad& load);

}  // namespace kvorum::testing
