#include "server/metadata/acls/acls_delta.h"

#include <optional>
#include <utility>

#include "server/base/check.h"
#include "server/metadata/entity_hash.h"

namespace kvorum {
namespace {

uint64_t HashOf(const v1::AccessControlEntryRecord& record) {
  return EntityHash(v1::MetadataRecord::kAccessControlEntry, record);
}

template <typename Record>
Uuid CheckedId(const Record& record, Offset offset) {
  const std::optional<Uuid> id = Uuid::FromBytes(record.id());
  KVORUM_CHECK(id.has_value(), "offset {}: {}", offset, record.ShortDebugString());
  KVORUM_CHECK(!id->is_zero(), "offset {}: {}", offset, record.ShortDebugString());
  return *id;
}

}  // namespace

AclsDelta::AclsDelta(std::shared_ptr<const AclsImage> base)
    : base_(std::move(base)), image_(*base_) {}

void AclsDelta::Replay(const v1::AccessControlEntryRecord& record, Offset offset) {
  base_.reset();
  const Uuid id = CheckedId(record, offset);
  KVORUM_CHECK(record.has_binding(), "offset {}: {}", offset, record.ShortDebugString());
  KVORUM_CHECK(!image_.by_id.Contains(id), "offset {}: id exists: {}", offset,
               record.ShortDebugString());
  const bool is_new = image_.by_binding.Insert(AclBindingKey(record.binding()), id);
  KVORUM_CHECK(is_new, "offset {}: binding exists: {}", offset, record.ShortDebugString());
  image_.by_id.Insert(id, std::make_shared<const v1::AccessControlEntryRecord>(record));
  image_.state_hash += HashOf(record);
}

void AclsDelta::Replay(const v1::RemoveAccessControlEntryRecord& record, Offset offset) {
  base_.reset();
  const Uuid id = CheckedId(record, offset);
  const auto* current = image_.by_id.Find(id);
  KVORUM_CHECK(current != nullptr, "offset {}: no such id: {}", offset, record.ShortDebugString());
  image_.state_hash -= HashOf(**current);
  image_.by_binding.Erase(AclBindingKey((*current)->binding()));
  image_.by_id.Erase(id);
}

std::shared_ptr<const AclsImage> AclsDelta::Apply() const {
  return base_ != nullptr ? base_ : std::make_shared<const AclsImage>(image_);
}

}  // namespace kvorum
