#include "server/metadata/topics/row_block.h"

#include <algorithm>
#include <utility>

#include "server/base/check.h"

namespace kvorum {
namespace {

char* Copy(std::string_view bytes, char* to) { return std::copy(bytes.begin(), bytes.end(), to); }

}  // namespace

void RowBlock::Put(int32_t i, std::string_view row) {
  const int32_t old_count = size();
  KVORUM_CHECK(i >= 0 && i <= old_count && i < kMaxRows, "row {} of {}", i, old_count);
  const bool is_new = i == old_count;
  if (!is_new && row.size() == Row(i).size() && bytes_.is_only_copy()) {
    // Nearly every change: other bits, the same number of them.
    Copy(row, bytes_.mutable_data() + RowsBegin(old_count) + EndAt(i - 1));
    return;
  }
  // The rows before and after in one piece each.
  const std::string_view rows =
      is_new && i == 0 ? std::string_view() : bytes_.view().substr(RowsBegin(old_count));
  const std::string_view before = rows.substr(0, EndAt(i - 1));
  const std::string_view after = is_new ? std::string_view() : rows.substr(EndAt(i));
  const size_t rows_size = before.size() + row.size() + after.size();
  KVORUM_CHECK(rows_size <= UINT16_MAX, "a block of {} bytes of rows", rows_size);

  const int32_t count = old_count + (is_new ? 1 : 0);
  SharedBytes changed(RowsBegin(count) + rows_size);
  char* to = changed.mutable_data();
  *to++ = static_cast<char>(count);
  size_t end = 0;
  for (int32_t k = 0; k < count; ++k) {
    end += k == i ? row.size() : Row(k).size();
    *to++ = static_cast<char>(end & 0xff);
    *to++ = static_cast<char>(end >> 8);
  }
  Copy(after, Copy(row, Copy(before, to)));
  bytes_ = std::move(changed);
}

}  // namespace kvorum
