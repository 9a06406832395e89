#include "tests/integration/torture.h"

#include <fmt/format.h>

#include <cstdlib>
#include <random>

namespace kvorum::testing {
namespace {

// At least 1; 0: not set, or nonsense.
uint64_t NumberFrom(const char* variable) {
  const char* const text = std::getenv(variable);
  return text == nullptr ? 0 : std::strtoull(text, nullptr, 10);
}

}  // namespace

int TortureRounds(int full) {
  const uint64_t rounds = NumberFrom("KVORUM_TORTURE_ROUNDS");
  return rounds == 0 ? full : static_cast<int>(rounds);
}

Random TortureRandom() {
  uint64_t seed = NumberFrom("KVORUM_TORTURE_SEED");
  if (seed == 0) {
    seed = std::random_device()();
  }
  fmt::print("KVORUM_TORTURE_SEED={}\n", seed);
  return Random(seed);
}

void ExpectNothingLost(const Cluster& cluster, const WriteLoad& load) {
  const Entries acknowledged = load.acknowledged();
  ExpectAllThere(acknowledged, ListAll(*cluster.MakeClient(kPatience)));
}

}  // namespace kvorum::testing
