#include "server/metadata/quotas/quotas_image.h"

namespace kvorum {

std::string QuotaEntityKey(const QuotaEntityParts& parts) {
  // By type, each once: the parts of a sound entity are at most three.
  std::map<int, std::string> texts;
  for (const v1::QuotaEntity& part : parts) {
    std::string text(1, static_cast<char>('0' + static_cast<int>(part.type())));
    // The default before all names; names end where no name can go on.
    text += part.has_name() ? "n" + part.name() + '\x01' : std::string("d");
    texts[static_cast<int>(part.type())] = std::move(text);
  }
  std::string key;
  for (const auto& [type, text] : texts) {
    key += text;
  }
  return key;
}

v1::ClientQuotaRecord ClientQuota::ToRecord(const std::string& key, double value) const {
  v1::ClientQuotaRecord record;
  *record.mutable_entity() = entity;
  record.set_key(key);
  record.set_value(value);
  return record;
}

QuotasCursor::QuotasCursor(const QuotasImage& image) : next_(image.quotas.begin()) {}

bool QuotasCursor::Next(v1::MetadataRecord& record) {
  if (quota_ == nullptr || next_limit_ == quota_->limits.end()) {
    if (next_ == decltype(next_)()) {
      return false;
    }
    quota_ = next_->value.get();
    next_limit_ = quota_->limits.begin();
    ++next_;
  }
  *record.mutable_client_quota() = quota_->ToRecord(next_limit_->first, next_limit_->second);
  ++next_limit_;
  return true;
}

}  // namespace kvorum
