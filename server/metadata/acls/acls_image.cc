#include "server/metadata/acls/acls_image.h"

namespace kvorum {

// Bindings hold no maps and no unknown fields: their encoding is the same for equal ones.
std::string AclBindingKey(const v1::AclBinding& binding) { return binding.SerializeAsString(); }

AclsCursor::AclsCursor(const AclsImage& image) : next_(image.by_id.begin()) {}

bool AclsCursor::Next(v1::MetadataRecord& record) {
  if (next_ == decltype(next_)()) {
    return false;
  }
  *record.mutable_access_control_entry() = *next_->value;
  ++next_;
  return true;
}

}  // namespace kvorum
