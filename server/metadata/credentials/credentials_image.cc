#include "server/metadata/credentials/credentials_image.h"

namespace kvorum {

void HideSecrets(v1::MetadataRecord& record) {
  if (record.has_user_scram_credential()) {
    record.mutable_user_scram_credential()->clear_salt();
    record.mutable_user_scram_credential()->clear_stored_key();
    record.mutable_user_scram_credential()->clear_server_key();
  }
}

CredentialsCursor::CredentialsCursor(const CredentialsImage& image)
    : next_(image.credentials.begin()) {}

bool CredentialsCursor::Next(v1::MetadataRecord& record) {
  if (next_ == decltype(next_)()) {
    return false;
  }
  *record.mutable_user_scram_credential() = *next_->value;
  ++next_;
  return true;
}

}  // namespace kvorum
