#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "kvorum/v1/record.pb.h"
#include "server/base/ids.h"
#include "server/base/persistent_map.h"

namespace kvorum {

// Ordered so that a namespace is a range, and a prefix of keys within it, too.
struct EntryKey {
  std::string_view name_space;
  std::string_view key;

  friend constexpr auto operator<=>(const EntryKey&, const EntryKey&) = default;
};

// An entry that lives with a broker's session. One broker's are a range.
struct OwnedEntryKey {
  BrokerId owner;
  EntryKey entry;

  friend constexpr auto operator<=>(const OwnedEntryKey&, const OwnedEntryKey&) = default;
};

// What a namespace holds.
struct EntryUsage {
  int64_t count = 0;
  int64_t bytes = 0;  // of keys and values
};

// The users' own keys and values. Immutable once shared (held as shared_ptr<const EntriesImage>);
// any thread. Only EntriesDelta makes new ones.
struct EntriesImage {
  using Record = std::shared_ptr<const v1::EntryRecord>;

  // Keys view the record's own texts, which live as long as the node.
  PersistentMap<EntryKey, Record> entries;
  PersistentMap<OwnedEntryKey, Record> owned;
  PersistentMap<std::string, EntryUsage> usage;  // of namespaces that have entries
  EntryUsage total;
  uint64_t state_hash = 0;

  // The record that wrote `key`, or nullptr.
  const v1::EntryRecord* Find(std::string_view key, std::string_view name_space = {}) const {
    const auto* found = entries.Find(EntryKey{name_space, key});
    return found == nullptr ? nullptr : found->get();
  }

  // True if an entry has a namespace or an owner.
  bool HasMoreThanPlain() const {
    return !owned.empty() || usage.size() > (usage.Contains(std::string_view()) ? 1U : 0U);
  }
};

// How many entries live with the broker's session. O(result + log).
size_t CountOwnedEntries(const EntriesImage& image, BrokerId owner);

// Turns an image back into records, by namespace and key. Borrows the image.
class EntriesCursor {
 public:
  explicit EntriesCursor(const EntriesImage& image);

  // Sets `record` to the next one; false at the end.
  bool Next(v1::MetadataRecord& record);

 private:
  decltype(EntriesImage::entries)::const_iterator next_;
};

}  // namespace kvorum
