#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <string_view>

#include "kvorum/v1/record.pb.h"
#include "server/base/persistent_map.h"

namespace kvorum {

// One credential of a user. Ordered so that a user's are a range.
struct CredentialKey {
  std::string_view user;
  v1::ScramMechanism mechanism = v1::SCRAM_MECHANISM_UNSPECIFIED;

  friend constexpr auto operator<=>(const CredentialKey&, const CredentialKey&) = default;
};

// All SCRAM credentials. Immutable once shared (held as shared_ptr<const CredentialsImage>); any
// thread. Only CredentialsDelta makes new ones.
struct CredentialsImage {
  // The key views the record's own text, which lives as long as the node.
  PersistentMap<CredentialKey, std::shared_ptr<const v1::UserScramCredentialRecord>> credentials;
  uint64_t state_hash = 0;
};

// Takes a credential's salt and keys out of `record`: for whoever prints it.
void HideSecrets(v1::MetadataRecord& record);

// Turns an image back into records, by user and mechanism. Borrows the image.
class CredentialsCursor {
 public:
  explicit CredentialsCursor(const CredentialsImage& image);

  // Sets `record` to the next one; false at the end.
  bool Next(v1::MetadataRecord& record);

 private:
  decltype(CredentialsImage::credentials)::const_iterator next_;
};

}  // namespace kvorum
