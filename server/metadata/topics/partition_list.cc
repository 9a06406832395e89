#include "server/metadata/topics/partition_list.h"

#include <utility>

#include "server/base/check.h"

namespace kvorum {
namespace {

constexpr size_t kCountBytes = 1;
constexpr size_t kEndBytes = 2;

size_t EndAt(std::string_view block, int32_t i) {
  const size_t at = kCountBytes + kEndBytes * static_cast<size_t>(i);
  return static_cast<uint8_t>(block[at]) | static_cast<size_t>(static_cast<uint8_t>(block[at + 1]))
                                               << 8;
}

void PutEnd(size_t end, std::string& block) {
  KVORUM_CHECK(end <= UINT16_MAX, "a block of {} bytes of rows", end);
  block.push_back(static_cast<char>(end & 0xff));
  block.push_back(static_cast<char>(end >> 8));
}

size_t RowsBegin(int32_t count) { return kCountBytes + kEndBytes * static_cast<size_t>(count); }

}  // namespace

PartitionList::const_iterator::const_iterator(const PartitionList& list, int32_t index)
    : list_(&list) {
  entry_.index = std::min(index, list.size_);
  Load();
}

PartitionList::const_iterator& PartitionList::const_iterator::operator++() {
  ++entry_.index;
  if (entry_.index % kBlockSize == 0) {
    block_ = {};
  }
  Load();
  return *this;
}

void PartitionList::const_iterator::Load() {
  if (entry_.index == list_->size_) {
    return;
  }
  if (block_.empty()) {
    block_ = list_->BlockOf(entry_.index);
  }
  entry_.partition = DecodeRow(RowOf(block_, entry_.index % kBlockSize));
}

std::string_view PartitionList::RowOf(std::string_view block, int32_t i) {
  const size_t begin = i == 0 ? 0 : EndAt(block, i - 1);
  return block.substr(RowsBegin(CountOf(block)) + begin, EndAt(block, i) - begin);
}

// `block` with `row` as its row `i`: in the place of the one there, or one more at its end.
std::string PartitionList::Rebuild(std::string_view block, int32_t i, std::string_view row) {
  const int32_t old_count = block.empty() ? 0 : CountOf(block);
  const int32_t count = std::max(old_count, i + 1);
  std::string rebuilt;
  rebuilt.reserve(block.size() + kCountBytes + kEndBytes + row.size());
  rebuilt.push_back(static_cast<char>(count));
  size_t end = 0;
  for (int32_t k = 0; k < count; ++k) {
    end += k == i ? row.size() : RowOf(block, k).size();
    PutEnd(end, rebuilt);
  }
  if (old_count == 0) {
    return rebuilt.append(row);
  }
  // The rows before and after in one piece each.
  const size_t old_rows = RowsBegin(old_count);
  const size_t before = i == 0 ? 0 : EndAt(block, i - 1);
  rebuilt.append(block.substr(old_rows, before)).append(row);
  if (i < old_count) {
    rebuilt.append(block.substr(old_rows + EndAt(block, i)));
  }
  return rebuilt;
}

std::string_view PartitionList::BlockOf(int32_t index) const {
  const auto* block = blocks_.Find(index / kBlockSize);
  KVORUM_CHECK(block != nullptr, "no block with partition {} of {}", index, size_);
  return **block;
}

std::string_view PartitionList::RowAt(int32_t index) const {
  return RowOf(BlockOf(index), index % kBlockSize);
}

std::optional<Partition> PartitionList::Find(int32_t index) const {
  if (index < 0 || index >= size_) {
    return std::nullopt;
  }
  return DecodeRow(RowAt(index));
}

void PartitionList::Append(std::string_view row) {
  const int32_t place = size_ % kBlockSize;
  std::string block = Rebuild(place == 0 ? std::string_view() : BlockOf(size_ - 1), place, row);
  blocks_.Insert(size_ / kBlockSize, std::make_shared<const std::string>(std::move(block)));
  ++size_;
}

void PartitionList::Replace(int32_t index, std::string_view row) {
  KVORUM_CHECK(index >= 0 && index < size_, "partition {} of {}", index, size_);
  std::shared_ptr<const std::string>& block = *blocks_.FindMutable(index / kBlockSize);
  const std::string_view old_row = RowOf(*block, index % kBlockSize);
  if (row.size() != old_row.size()) {
    block = std::make_shared<const std::string>(Rebuild(*block, index % kBlockSize, row));
    return;
  }
  // Nearly every change: other bits, the same number of them.
  std::string copy(*block);
  copy.replace(static_cast<size_t>(old_row.data() - block->data()), row.size(), row);
  block = std::make_shared<const std::string>(std::move(copy));
}

}  // namespace kvorum
