#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>

#include "server/base/persistent_map.h"
#include "server/metadata/topics/partition.h"
#include "server/metadata/topics/row_block.h"

namespace kvorum {

// The partitions 0 to n - 1 of one topic, as rows in blocks of 64, so that a million of them take
// some twenty bytes each. Copies are O(1) and share blocks; a change copies one block, or none if
// nobody shares it. Owned by value, used like a value; any thread reads.
class PartitionList {
 public:
  struct Entry {
    int32_t index = 0;
    Partition partition;
  };

  // Walks by index, decoding as it goes. Valid while the list lives unchanged.
  class const_iterator {
   public:
    const Entry& operator*() const { return entry_; }
    const Entry* operator->() const { return &entry_; }
    const_iterator& operator++();
    friend bool operator==(const const_iterator& a, const const_iterator& b) {
      return a.entry_.index == b.entry_.index;
    }

   private:
    friend class PartitionList;
    const_iterator(const PartitionList& list, int32_t index);
    void Load();

    const PartitionList* list_;
    const RowBlock* block_ = nullptr;  // of the entry, once it is looked at
    Entry entry_;
  };

  int32_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  std::optional<Partition> Find(int32_t index) const;

  // Adds it as partition size().
  void Append(std::string_view row);
  // REQUIRES: 0 <= index < size().
  void Replace(int32_t index, std::string_view row);
  // The encoding of partition `index`. Valid until the list is changed.
  // REQUIRES: 0 <= index < size().
  std::string_view RowAt(int32_t index) const;

  const_iterator begin() const { return const_iterator(*this, 0); }
  const_iterator end() const { return const_iterator(*this, size_); }
  // The first partition at or above `index`.
  const_iterator From(int32_t index) const { return const_iterator(*this, std::max(index, 0)); }

  // Calls `visit(index, partition)` for the partitions at or above `first` with a replica on
  // `broker`, by index, until it says false; says whether it did not. A few nanoseconds for each
  // that has none.
  template <typename Visitor>
  bool VisitHostedBy(BrokerId broker, int32_t first, Visitor visit) const {
    for (auto it = blocks_.lower_bound(first / RowBlock::kMaxRows); it != blocks_.end(); ++it) {
      const int32_t begin = it->key * RowBlock::kMaxRows;
      for (int32_t i = std::max(first - begin, 0); i < it->value.size(); ++i) {
        const std::string_view row = it->value.Row(i);
        if (RowHasReplica(row, broker) && !visit(begin + i, DecodeRow(row))) {
          return false;
        }
      }
    }
    return true;
  }

 private:
  const RowBlock& BlockOf(int32_t index) const;

  PersistentMap<int32_t, RowBlock> blocks_;
  int32_t size_ = 0;
};

}  // namespace kvorum
