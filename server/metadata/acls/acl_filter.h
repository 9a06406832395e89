#pragma once

#include "absl/status/status.h"
#include "kvorum/v1/acl.pb.h"

namespace kvorum {

// OK if `binding` may be created: nothing in it is unknown, unsaid or ANY. Else INVALID_REQUEST.
absl::Status ValidateAclBinding(const v1::AclBinding& binding);

// OK if all of `filter` is said. Else INVALID_REQUEST.
absl::Status ValidateAclFilter(const v1::AclFilter& filter);

// KIP-290. REQUIRES: ValidateAclFilter.
bool Matches(const v1::AclFilter& filter, const v1::AclBinding& binding);

}  // namespace kvorum
