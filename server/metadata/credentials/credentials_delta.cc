#include "server/metadata/credentials/credentials_delta.h"

#include <utility>

#include "server/base/check.h"
#include "server/metadata/entity_hash.h"

namespace kvorum {
namespace {

uint64_t HashOf(const v1::UserScramCredentialRecord& record) {
  return EntityHash(v1::MetadataRecord::kUserScramCredential, record);
}

template <typename Record>
CredentialKey CheckedKey(const Record& record, Offset offset) {
  KVORUM_CHECK(!record.user().empty(), "offset {}: credential without a user", offset);
  KVORUM_CHECK(v1::ScramMechanism_IsValid(record.mechanism()), "offset {}: mechanism {} of user {}",
               offset, static_cast<int>(record.mechanism()), record.user());
  KVORUM_CHECK(record.mechanism() != v1::SCRAM_MECHANISM_UNSPECIFIED,
               "offset {}: no mechanism, user {}", offset, record.user());
  return {record.user(), record.mechanism()};
}

}  // namespace

CredentialsDelta::CredentialsDelta(std::shared_ptr<const CredentialsImage> base)
    : base_(std::move(base)), image_(*base_) {}

void CredentialsDelta::Replay(const v1::UserScramCredentialRecord& record, Offset offset) {
  base_.reset();
  if (const auto* current = image_.credentials.Find(CheckedKey(record, offset))) {
    image_.state_hash -= HashOf(**current);
  }
  auto shared = std::make_shared<const v1::UserScramCredentialRecord>(record);
  const CredentialKey key{shared->user(), shared->mechanism()};
  image_.credentials.Insert(key, std::move(shared));
  image_.state_hash += HashOf(record);
}

void CredentialsDelta::Replay(const v1::RemoveUserScramCredentialRecord& record, Offset offset) {
  base_.reset();
  const CredentialKey key = CheckedKey(record, offset);
  const auto* current = image_.credentials.Find(key);
  KVORUM_CHECK(current != nullptr, "offset {}: no credential {} of user {}", offset,
               static_cast<int>(record.mechanism()), record.user());
  image_.state_hash -= HashOf(**current);
  image_.credentials.Erase(key);
}

std::shared_ptr<const CredentialsImage> CredentialsDelta::Apply() const {
  return base_ != nullptr ? base_ : std::make_shared<const CredentialsImage>(image_);
}

}  // namespace kvorum
