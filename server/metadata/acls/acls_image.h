#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "kvorum/v1/record.pb.h"
#include "server/base/persistent_map.h"
#include "server/base/uuid.h"

namespace kvorum {

// All access control entries. Immutable once shared (held as shared_ptr<const AclsImage>); any
// thread. Only AclsDelta makes new ones.
struct AclsImage {
  PersistentMap<Uuid, std::shared_ptr<const v1::AccessControlEntryRecord>> by_id;
  // By AclBindingKey, so that an identical binding is found again.
  PersistentMap<std::string, Uuid> by_binding;
  uint64_t state_hash = 0;
};

// A text that is equal for equal bindings only.
std::string AclBindingKey(const v1::AclBinding& binding);

// Turns an image back into records, by id. Borrows the image.
class AclsCursor {
 public:
  explicit AclsCursor(const AclsImage& image);

  // Sets `record` to the next one; false at the end.
  bool Next(v1::MetadataRecord& record);

 private:
  decltype(AclsImage::by_id)::const_iterator next_;
};

}  // namespace kvorum
