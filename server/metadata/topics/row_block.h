#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "server/base/shared_bytes.h"

namespace kvorum {

// Up to 64 rows of partitions in one piece. Copies are O(1); a change copies the bytes, unless this
// is the only copy: then a row of the same size is written in the place of the old one. Owned by
// PartitionList, by value; copies may live on different threads.
class RowBlock {
 public:
  static constexpr int32_t kMaxRows = 64;

  int32_t size() const {
    const std::string_view bytes = bytes_.view();
    return bytes.empty() ? 0 : static_cast<uint8_t>(bytes[0]);
  }

  // Valid until the block is changed. REQUIRES: 0 <= i < size().
  std::string_view Row(int32_t i) const {
    const size_t begin = EndAt(i - 1);
    return bytes_.view().substr(RowsBegin(size()) + begin, EndAt(i) - begin);
  }

  // Puts `row` in the place of row `i`, or at the end. REQUIRES: 0 <= i <= size(), i < kMaxRows.
  void Put(int32_t i, std::string_view row);

 private:
  // The bytes: one is the number of rows; for each row two say where it ends; the rows.
  static constexpr size_t RowsBegin(int32_t count) { return 1 + 2 * static_cast<size_t>(count); }
  // Counted from the first row's begin; -1 is before all rows.
  size_t EndAt(int32_t i) const {
    if (i < 0) {
      return 0;
    }
    const char* at = bytes_.view().data() + RowsBegin(i);
    return static_cast<uint8_t>(at[0]) | static_cast<size_t>(static_cast<uint8_t>(at[1])) << 8;
  }

  SharedBytes bytes_;
};

}  // namespace kvorum
