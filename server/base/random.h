#pragma once

#include <cstdint>

namespace kvorum {

// Seeded generator (xoshiro256**), the only source of randomness in deterministic code. Ranges are
// our own because std distributions differ between libraries. Owned by value; one thread.
class Random {
 public:
  explicit Random(uint64_t seed);

  uint64_t Next();

  // Uniform in [0, bound). REQUIRES: bound > 0.
  uint64_t Below(uint64_t bound);

  // Uniform in [low, high]. REQUIRES: low <= high.
  int64_t Between(int64_t low, int64_t high);

  // True with the probability `numerator` / `denominator`.
  bool OneIn(uint64_t numerator, uint64_t denominator) { return Below(denominator) < numerator; }

  // A new generator whose stream is independent of this one's later draws.
  Random Fork() { return Random(Next()); }

 private:
  uint64_t state_[4];
};

}  // namespace kvorum
