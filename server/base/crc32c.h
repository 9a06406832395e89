#pragma once

#include <cstdint>
#include <string_view>

namespace kvorum {

// CRC-32C (Castagnoli) of `data`, continuing from `crc` (0 to begin). Uses SSE 4.2 where the CPU
// has it. Any thread.
uint32_t Crc32c(std::string_view data, uint32_t crc = 0);

// 64-bit non-cryptographic hash (XXH3) of `data` under `seed`: chains and state hashes.
uint64_t Hash64(std::string_view data, uint64_t seed = 0);

}  // namespace kvorum
