#include "server/base/random.h"

#include "server/base/check.h"

namespace kvorum {
namespace {

uint64_t SplitMix(uint64_t& state) {
  uint64_t z = (state += 0x9e3779b97f4a7c15ULL);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

uint64_t RotateLeft(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

}  // namespace

Random::Random(uint64_t seed) {
  for (uint64_t& word : state_) {
    word = SplitMix(seed);
  }
}

uint64_t Random::Next() {
  const uint64_t result = RotateLeft(state_[1] * 5, 7) * 9;
  const uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = RotateLeft(state_[3], 45);
  return result;
}

uint64_t Random::Below(uint64_t bound) {
  KVORUM_CHECK(bound > 0, "empty range");
  // Rejection keeps the result uniform: values below 2^64 mod bound would be drawn once too often.
  const uint64_t threshold = -bound % bound;
  uint64_t value = Next();
  while (value < threshold) {
    value = Next();
  }
  return value % bound;
}

int64_t Random::Between(int64_t low, int64_t high) {
  KVORUM_CHECK(low <= high, "range [{}, {}]", low, high);
  const uint64_t span = static_cast<uint64_t>(high) - static_cast<uint64_t>(low) + 1;
  return low + static_cast<int64_t>(span == 0 ? Next() : Below(span));
}

}  // namespace kvorum
