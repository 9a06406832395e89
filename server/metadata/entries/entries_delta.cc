#include "server/metadata/entries/entries_delta.h"

#include <utility>

#include "server/base/check.h"
#include "server/metadata/entity_hash.h"

namespace kvorum {
namespace {

uint64_t HashOf(const v1::EntryRecord& record) {
  return EntityHash(v1::MetadataRecord::kEntry, record);
}

int64_t EntryBytes(const v1::EntryRecord& record) {
  return static_cast<int64_t>(record.key().size() + record.value().size());
}

}  // namespace

EntriesDelta::EntriesDelta(std::shared_ptr<const EntriesImage> base)
    : base_(std::move(base)), image_(*base_) {}

void EntriesDelta::Replay(v1::EntryRecord record, Offset offset, const BrokersImage& brokers) {
  base_.reset();
  KVORUM_CHECK(!record.key().empty(), "offset {}: {}", offset, record.ShortDebugString());
  KVORUM_CHECK(record.version() > 0, "offset {}: {}", offset, record.ShortDebugString());
  KVORUM_CHECK(record.version() <= offset.value(), "offset {}: {}", offset,
               record.ShortDebugString());
  if (record.has_owner()) {
    const Broker* owner = brokers.Find(BrokerId{record.owner().broker_id()});
    KVORUM_CHECK(owner != nullptr, "offset {}: no such owner: {}", offset,
                 record.ShortDebugString());
    KVORUM_CHECK(owner->epoch == BrokerEpoch{record.owner().broker_epoch()},
                 "offset {}: the owner's epoch is {}: {}", offset, owner->epoch,
                 record.ShortDebugString());
    KVORUM_CHECK(!owner->is_fenced, "offset {}: the owner is fenced: {}", offset,
                 record.ShortDebugString());
  }
  const auto added = std::make_shared<const v1::EntryRecord>(std::move(record));
  const auto current = image_.entries.Exchange(EntryKey{added->namespace_(), added->key()}, added);
  if (current.has_value()) {
    KVORUM_CHECK(added->version() > (*current)->version(), "offset {}: {} over version {}", offset,
                 added->ShortDebugString(), (*current)->version());
    Forget(**current);
  }
  Add(added);
}

void EntriesDelta::Replay(const v1::RemoveEntryRecord& record, Offset offset) {
  base_.reset();
  const v1::EntryRecord* current = image_.Find(record.key(), record.namespace_());
  KVORUM_CHECK(current != nullptr, "offset {}: no such key: {}", offset, record.ShortDebugString());
  Forget(*current);
  image_.entries.Erase(EntryKey{record.namespace_(), record.key()});
}

void EntriesDelta::CheckOwnsNothing(BrokerId broker, Offset offset) const {
  KVORUM_CHECK(CountOwnedEntries(image_, broker) == 0,
               "offset {}: the session of broker {} ends before {} entries that live with it",
               offset, broker, CountOwnedEntries(image_, broker));
}

void EntriesDelta::Add(const EntriesImage::Record& record) {
  image_.state_hash += HashOf(*record);
  const int64_t bytes = EntryBytes(*record);
  EntryUsage usage;
  if (const EntryUsage* found = image_.usage.Find(record->namespace_())) {
    usage = *found;
  }
  image_.usage.Insert(record->namespace_(), {usage.count + 1, usage.bytes + bytes});
  image_.total = {image_.total.count + 1, image_.total.bytes + bytes};
  if (record->has_owner()) {
    image_.owned.Insert(
        OwnedEntryKey{BrokerId{record->owner().broker_id()}, {record->namespace_(), record->key()}},
        record);
  }
}

void EntriesDelta::Forget(const v1::EntryRecord& record) {
  image_.state_hash -= HashOf(record);
  const int64_t bytes = EntryBytes(record);
  const EntryUsage usage = *image_.usage.Find(record.namespace_());
  if (usage.count == 1) {
    image_.usage.Erase(record.namespace_());
  } else {
    image_.usage.Insert(record.namespace_(), {usage.count - 1, usage.bytes - bytes});
  }
  image_.total = {image_.total.count - 1, image_.total.bytes - bytes};
  if (record.has_owner()) {
    image_.owned.Erase(
        OwnedEntryKey{BrokerId{record.owner().broker_id()}, {record.namespace_(), record.key()}});
  }
}

std::shared_ptr<const EntriesImage> EntriesDelta::Apply() const {
  return base_ != nullptr ? base_ : std::make_shared<const EntriesImage>(image_);
}

}  // namespace kvorum
