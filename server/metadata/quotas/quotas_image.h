#pragma once

#include <google/protobuf/repeated_field.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "kvorum/v1/record.pb.h"
#include "server/base/persistent_map.h"

namespace kvorum {

using QuotaEntityParts = google::protobuf::RepeatedPtrField<v1::QuotaEntity>;

// A text that is equal for equal entities, whatever the order of their parts, and unequal for
// unequal ones. REQUIRES: no name holds a control character.
std::string QuotaEntityKey(const QuotaEntityParts& parts);

// The limits of one entity. Immutable once shared; any thread.
struct ClientQuota {
  std::string entity_key;
  QuotaEntityParts entity;               // by type
  std::map<std::string, double> limits;  // never empty

  v1::ClientQuotaRecord ToRecord(const std::string& key, double value) const;
};

// All quotas. Immutable once shared (held as shared_ptr<const QuotasImage>); any thread. Only
// QuotasDelta makes new ones.
struct QuotasImage {
  // By QuotaEntityKey; the key views the quota's own, which lives as long as the node.
  PersistentMap<std::string_view, std::shared_ptr<const ClientQuota>> quotas;
  uint64_t state_hash = 0;

  // nullptr if the entity has no limits.
  const ClientQuota* Find(std::string_view entity_key) const {
    const auto* found = quotas.Find(entity_key);
    return found == nullptr ? nullptr : found->get();
  }
};

// Turns an image back into records, by entity and key. Borrows the image.
class QuotasCursor {
 public:
  explicit QuotasCursor(const QuotasImage& image);

  // Sets `record` to the next one; false at the end.
  bool Next(v1::MetadataRecord& record);

 private:
  decltype(QuotasImage::quotas)::const_iterator next_;
  const ClientQuota* quota_ = nullptr;  // whose limits are under way
  std::map<std::string, double>::const_iterator next_limit_;
};

}  // namespace kvorum
