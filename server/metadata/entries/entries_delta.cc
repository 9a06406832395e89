#include "server/metadata/entries/entries_delta.h"

#include <utility>

#include "server/base/check.h"
#include "server/metadata/entity_hash.h"

namespace kvorum {
namespace {

uint64_t HashOf(const v1::EntryRecord& record) {
  return EntityHash(v1::MetadataRecord::kEntry, record);
}

}  // namespace

EntriesDelta::EntriesDelta(std::shared_ptr<const EntriesImage> base)
    : base_(std::move(base)), image_(*base_) {}

void EntriesDelta::Replay(const v1::EntryRecord& record, Offset offset) {
  base_.reset();
  KVORUM_CHECK(!record.key().empty(), "offset {}: {}", offset, record.ShortDebugString());
  KVORUM_CHECK(record.version() > 0, "offset {}: {}", offset, record.ShortDebugString());
  KVORUM_CHECK(record.version() <= offset.value(), "offset {}: {}", offset,
               record.ShortDebugString());
  if (const v1::EntryRecord* current = image_.Find(record.key())) {
    KVORUM_CHECK(record.version() > current->version(), "offset {}: {} over version {}", offset,
                 record.ShortDebugString(), current->version());
    image_.state_hash -= HashOf(*current);
  }
  auto shared = std::make_shared<const v1::EntryRecord>(record);
  const std::string_view key = shared->key();
  image_.entries.Insert(key, std::move(shared));
  image_.state_hash += HashOf(record);
}

void EntriesDelta::Replay(const v1::RemoveEntryRecord& record, Offset offset) {
  base_.reset();
  const v1::EntryRecord* current = image_.Find(record.key());
  KVORUM_CHECK(current != nullptr, "offset {}: no such key: {}", offset, record.ShortDebugString());
  image_.state_hash -= HashOf(*current);
  image_.entries.Erase(std::string_view(record.key()));
}

std::shared_ptr<const EntriesImage> EntriesDelta::Apply() const {
  return base_ != nullptr ? base_ : std::make_shared<const EntriesImage>(image_);
}

}  // namespace kvorum
