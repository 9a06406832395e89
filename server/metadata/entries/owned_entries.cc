#include "server/metadata/entries/owned_entries.h"

#include <string>

namespace kvorum {

std::vector<v1::MetadataRecord> RemoveOwnedEntries(const MetadataImage& image, BrokerId owner) {
  const auto& owned = image.entries().owned;
  std::vector<v1::MetadataRecord> records;
  for (auto at = owned.lower_bound(OwnedEntryKey{owner, {}});
       at != owned.end() && at->key.owner == owner; ++at) {
    v1::RemoveEntryRecord& record = *records.emplace_back().mutable_remove_entry();
    record.set_namespace_(std::string(at->key.entry.name_space));
    record.set_key(std::string(at->key.entry.key));
  }
  return records;
}

}  // namespace kvorum
