#pragma once

#include <memory>

#include "kvorum/v1/record.pb.h"
#include "server/base/ids.h"
#include "server/metadata/credentials/credentials_image.h"

namespace kvorum {

// A change over a CredentialsImage. Owned by MetadataDelta; its thread. Its checks name user and
// mechanism only: what they print ends in logs, where no key belongs.
class CredentialsDelta {
 public:
  using Image = CredentialsImage;
  using Cursor = CredentialsCursor;

  explicit CredentialsDelta(std::shared_ptr<const CredentialsImage> base);

  void Replay(const v1::UserScramCredentialRecord& record, Offset offset);
  void Replay(const v1::RemoveUserScramCredentialRecord& record, Offset offset);

  // The base itself while nothing was replayed.
  std::shared_ptr<const CredentialsImage> Apply() const;

 private:
  // Released by the first change, before it: if nobody else holds the base, its nodes are then
  // changed in place instead of copied.
  std::shared_ptr<const CredentialsImage> base_;
  CredentialsImage image_;  // a copy of the base's, sharing its nodes
};

}  // namespace kvorum
