#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "server/base/persistent_map.h"
#include "server/metadata/topics/partition.h"

namespace kvorum {

// The partitions 0 to n - 1 of one topic, as rows in immutable blocks of 64, so that a million of
// them take some twenty bytes each. Copies are O(1) and share blocks; a change copies one block.
// Owned by value, used like a value; any thread reads.
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
    std::string_view block_;
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

  // Calls `visit(index, partition)` for every partition with a replica on `broker`, by index. A few
  // nanoseconds for each that has none.
  template <typename Visitor>
  void VisitHostedBy(BrokerId broker, Visitor visit) const {
    for (const auto& [number, block] : blocks_) {
      const int32_t count = CountOf(*block);
      for (int32_t i = 0; i < count; ++i) {
        const std::string_view row = RowOf(*block, i);
        if (RowHasReplica(row, broker)) {
          visit(number * kBlockSize + i, DecodeRow(row));
        }
      }
    }
  }

 private:
  static constexpr int32_t kBlockSize = 64;

  // A block: one byte count; for each row two bytes, where it ends; the rows.
  static int32_t CountOf(std::string_view block) { return static_cast<uint8_t>(block[0]); }
  static std::string_view RowOf(std::string_view block, int32_t i);
  static std::string Rebuild(std::string_view block, int32_t i, std::string_view row);
  std::string_view BlockOf(int32_t index) const;

  PersistentMap<int32_t, std::shared_ptr<const std::string>> blocks_;
  int32_t size_ = 0;
};

}  // namespace kvorum
