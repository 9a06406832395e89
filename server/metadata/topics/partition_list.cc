#include "server/metadata/topics/partition_list.h"

#include "server/base/check.h"

namespace kvorum {

PartitionList::const_iterator::const_iterator(const PartitionList& list, int32_t index)
    : list_(&list) {
  entry_.index = std::min(index, list.size_);
  Load();
}

PartitionList::const_iterator& PartitionList::const_iterator::operator++() {
  ++entry_.index;
  if (entry_.index % RowBlock::kMaxRows == 0) {
    block_ = nullptr;
  }
  Load();
  return *this;
}

void PartitionList::const_iterator::Load() {
  if (entry_.index == list_->size_) {
    return;
  }
  if (block_ == nullptr) {
    block_ = &list_->BlockOf(entry_.index);
  }
  entry_.partition = DecodeRow(block_->Row(entry_.index % RowBlock::kMaxRows));
}

const RowBlock& PartitionList::BlockOf(int32_t index) const {
  const RowBlock* block = blocks_.Find(index / RowBlock::kMaxRows);
  KVORUM_CHECK(block != nullptr, "no block with partition {} of {}", index, size_);
  return *block;
}

std::string_view PartitionList::RowAt(int32_t index) const {
  return BlockOf(index).Row(index % RowBlock::kMaxRows);
}

std::optional<Partition> PartitionList::Find(int32_t index) const {
  if (index < 0 || index >= size_) {
    return std::nullopt;
  }
  return DecodeRow(RowAt(index));
}

void PartitionList::Append(std::string_view row) {
  const int32_t place = size_ % RowBlock::kMaxRows;
  if (place == 0) {
    blocks_.Insert(size_ / RowBlock::kMaxRows, RowBlock());
  }
  blocks_.FindMutable(size_ / RowBlock::kMaxRows)->Put(place, row);
  ++size_;
}

void PartitionList::Replace(int32_t index, std::string_view row) {
  KVORUM_CHECK(index >= 0 && index < size_, "partition {} of {}", index, size_);
  blocks_.FindMutable(index / RowBlock::kMaxRows)->Put(index % RowBlock::kMaxRows, row);
}

}  // namespace kvorum
