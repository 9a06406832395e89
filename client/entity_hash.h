#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace kvorum::client {

// 64-bit FNV-1a of one entity's fields, finished so that sums of hashes keep their spread. Plain
// value; any thread.
class EntityHash {
 public:
  explicit EntityHash(char kind) { AddByte(static_cast<unsigned char>(kind)); }

  EntityHash& Add(int64_t value) {
    const uint64_t bits = static_cast<uint64_t>(value);
    for (int shift = 0; shift < 64; shift += 8) {
      AddByte(static_cast<unsigned char>(bits >> shift));
    }
    return *this;
  }
  EntityHash& Add(std::string_view text) {
    Add(static_cast<int64_t>(text.size()));
    for (const char c : text) {
      AddByte(static_cast<unsigned char>(c));
    }
    return *this;
  }
  EntityHash& Add(const std::vector<int32_t>& ids) {
    Add(static_cast<int64_t>(ids.size()));
    for (const int32_t id : ids) {
      Add(int64_t{id});
    }
    return *this;
  }
  uint64_t Finish() const {
    uint64_t hash = hash_ ^ (hash_ >> 33);
    hash *= 0xff51afd7ed558ccdULL;
    return hash ^ (hash >> 33);
  }

 private:
  void AddByte(unsigned char byte) { hash_ = (hash_ ^ byte) * 0x100000001b3ULL; }

  uint64_t hash_ = 0xcbf29ce484222325ULL;
};

}  // namespace kvorum::client
