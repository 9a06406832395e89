#pragma once

#include <memory>

#include "kvorum/v1/record.pb.h"
#include "server/base/ids.h"
#include "server/metadata/acls/acls_image.h"

namespace kvorum {

// A change over an AclsImage. Owned by MetadataDelta; its thread.
class AclsDelta {
 public:
  using Image = AclsImage;
  using Cursor = AclsCursor;

  explicit AclsDelta(std::shared_ptr<const AclsImage> base);

  void Replay(const v1::AccessControlEntryRecord& record, Offset offset);
  void Replay(const v1::RemoveAccessControlEntryRecord& record, Offset offset);

  // The base itself while nothing was replayed.
  std::shared_ptr<const AclsImage> Apply() const;

 private:
  // Released by the first change, before it: if nobody else holds the base, its nodes are then
  // changed in place instead of copied.
  std::shared_ptr<const AclsImage> base_;
  AclsImage image_;  // a copy of the base's, sharing its nodes
};

}  // namespace kvorum
