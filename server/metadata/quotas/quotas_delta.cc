#include "server/metadata/quotas/quotas_delta.h"

#include <cmath>
#include <utility>

#include "server/base/check.h"
#include "server/metadata/entity_hash.h"

namespace kvorum {
namespace {

uint64_t HashOf(const ClientQuota& quota, const std::string& key, double value) {
  return EntityHash(v1::MetadataRecord::kClientQuota, quota.ToRecord(key, value));
}

// The parts are by type, each once.
template <typename Record>
std::string CheckedKey(const Record& record, Offset offset) {
  KVORUM_CHECK(!record.entity().empty(), "offset {}: {}", offset, record.ShortDebugString());
  int previous = v1::QUOTA_ENTITY_TYPE_UNSPECIFIED;
  for (const v1::QuotaEntity& part : record.entity()) {
    KVORUM_CHECK(v1::QuotaEntityType_IsValid(part.type()), "offset {}: {}", offset,
                 record.ShortDebugString());
    KVORUM_CHECK(part.type() > previous, "offset {}: {}", offset, record.ShortDebugString());
    previous = part.type();
  }
  return QuotaEntityKey(record.entity());
}

}  // namespace

QuotasDelta::QuotasDelta(std::shared_ptr<const QuotasImage> base)
    : base_(std::move(base)), image_(*base_) {}

void QuotasDelta::Replay(const v1::ClientQuotaRecord& record, Offset offset) {
  base_.reset();
  std::string entity_key = CheckedKey(record, offset);
  KVORUM_CHECK(!record.key().empty(), "offset {}: {}", offset, record.ShortDebugString());
  KVORUM_CHECK(std::isfinite(record.value()), "offset {}: {}", offset, record.ShortDebugString());
  KVORUM_CHECK(record.value() > 0, "offset {}: {}", offset, record.ShortDebugString());
  auto quota = std::make_shared<ClientQuota>();
  if (const ClientQuota* current = image_.Find(entity_key)) {
    *quota = *current;
  } else {
    quota->entity_key = std::move(entity_key);
    quota->entity = record.entity();
  }
  if (const auto found = quota->limits.find(record.key()); found != quota->limits.end()) {
    image_.state_hash -= HashOf(*quota, found->first, found->second);
  }
  quota->limits[record.key()] = record.value();
  image_.state_hash += HashOf(*quota, record.key(), record.value());
  Replace(std::move(quota));
}

void QuotasDelta::Replay(const v1::RemoveClientQuotaRecord& record, Offset offset) {
  base_.reset();
  const std::string entity_key = CheckedKey(record, offset);
  const ClientQuota* current = image_.Find(entity_key);
  KVORUM_CHECK(current != nullptr, "offset {}: no such entity: {}", offset,
               record.ShortDebugString());
  const auto found = current->limits.find(record.key());
  KVORUM_CHECK(found != current->limits.end(), "offset {}: no such limit: {}", offset,
               record.ShortDebugString());
  image_.state_hash -= HashOf(*current, found->first, found->second);
  if (current->limits.size() == 1) {
    image_.quotas.Erase(std::string_view(entity_key));
    return;
  }
  auto quota = std::make_shared<ClientQuota>(*current);
  quota->limits.erase(record.key());
  Replace(std::move(quota));
}

void QuotasDelta::Replace(std::shared_ptr<const ClientQuota> quota) {
  const std::string_view key = quota->entity_key;
  image_.quotas.Insert(key, std::move(quota));
}

std::shared_ptr<const QuotasImage> QuotasDelta::Apply() const {
  return base_ != nullptr ? base_ : std::make_shared<const QuotasImage>(image_);
}

}  // namespace kvorum
