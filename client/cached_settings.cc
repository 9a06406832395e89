#include "client/cached_settings.h"

#include <fmt/core.h>

#include <bit>

#include "client/entity_hash.h"

namespace kvorum::client {
namespace {

using ConfigKey = CachedSettings::ConfigKey;

uint64_t HashConfig(const ConfigKey& key, const std::string& value) {
  EntityHash hash('c');
  hash.Add(int64_t{std::get<0>(key)}).Add(std::get<1>(key)).Add(std::get<2>(key)).Add(value);
  return hash.Finish();
}

uint64_t HashQuota(const std::string& entity, const std::string& key, double value) {
  EntityHash hash('q');
  hash.Add(entity).Add(key).Add(std::bit_cast<int64_t>(value));
  return hash.Finish();
}

uint64_t HashAcl(const std::string& id, const v1::AclBinding& binding) {
  return EntityHash('a').Add(id).Add(binding.SerializeAsString()).Finish();
}

uint64_t HashCredential(const v1::UserScramCredentialRecord& record) {
  return EntityHash('s').Add(record.SerializeAsString()).Finish();
}

uint64_t HashFeature(const std::string& name, int32_t level) {
  return EntityHash('f').Add(name).Add(int64_t{level}).Finish();
}

uint64_t HashProducerIds(int64_t next) {
  return next == 0 ? 0 : EntityHash('i').Add(next).Finish();
}

// Equal for equal entities: their parts come in order of type.
template <typename Record>
std::string EntityOf(const Record& record) {
  v1::RemoveClientQuotaRecord entity;
  *entity.mutable_entity() = record.entity();
  return entity.SerializeAsString();
}

template <typename Record>
ConfigKey KeyOf(const Record& record) {
  return {record.resource_type(), record.resource_name(), record.name()};
}

}  // namespace

const std::string* CachedSettings::FindConfig(v1::ConfigResourceType type,
                                              const std::string& resource,
                                              const std::string& name) const {
  const auto found = configs.find(ConfigKey(type, resource, name));
  return found == configs.end() ? nullptr : &found->second;
}

CachedSettings& SettingsState::Mutable() {
  // Snapshots are taken under the cache's lock, so a count of one cannot grow meanwhile.
  if (settings_.use_count() > 1) {
    settings_ = std::make_shared<CachedSettings>(*settings_);
  }
  return *settings_;
}

SettingsState::Problem SettingsState::Apply(const v1::MetadataRecord& record) {
  if (record.has_config()) {
    return ApplyConfig(record.config());
  }
  if (record.has_remove_config()) {
    return ApplyRemoveConfig(record.remove_config());
  }
  if (record.has_client_quota()) {
    return ApplyQuota(record.client_quota());
  }
  if (record.has_remove_client_quota()) {
    return ApplyRemoveQuota(record.remove_client_quota());
  }
  if (record.has_access_control_entry()) {
    return ApplyAcl(record.access_control_entry());
  }
  if (record.has_remove_access_control_entry()) {
    return ApplyRemoveAcl(record.remove_access_control_entry());
  }
  if (record.has_user_scram_credential()) {
    return ApplyCredential(record.user_scram_credential());
  }
  if (record.has_remove_user_scram_credential()) {
    return ApplyRemoveCredential(record.remove_user_scram_credential());
  }
  return record.has_feature_level() ? ApplyFeatureLevel(record.feature_level())
                                    : ApplyProducerIds(record.producer_ids());
}

void SettingsState::RemoveTopic(const std::string& name) {
  const ConfigKey first(v1::CONFIG_RESOURCE_TYPE_TOPIC, name, "");
  const auto is_of_topic = [&](const ConfigKey& key) {
    return std::get<0>(key) == v1::CONFIG_RESOURCE_TYPE_TOPIC && std::get<1>(key) == name;
  };
  const auto begin = settings_->configs.lower_bound(first);
  if (begin == settings_->configs.end() || !is_of_topic(begin->first)) {
    return;
  }
  auto& configs = Mutable().configs;
  for (auto at = configs.lower_bound(first); at != configs.end() && is_of_topic(at->first);) {
    digest_ -= HashConfig(at->first, at->second);
    at = configs.erase(at);
  }
}

SettingsState::Problem SettingsState::ApplyConfig(const v1::ConfigRecord& record) {
  auto& configs = Mutable().configs;
  const ConfigKey key = KeyOf(record);
  if (const auto known = configs.find(key); known != configs.end()) {
    digest_ -= HashConfig(key, known->second);
  }
  digest_ += HashConfig(key, record.value());
  configs[key] = record.value();
  return std::nullopt;
}

SettingsState::Problem SettingsState::ApplyRemoveConfig(const v1::RemoveConfigRecord& record) {
  auto& configs = Mutable().configs;
  const auto known = configs.find(KeyOf(record));
  if (known == configs.end()) {
    return fmt::format("config {} of {} is not set", record.name(), record.resource_name());
  }
  digest_ -= HashConfig(known->first, known->second);
  configs.erase(known);
  return std::nullopt;
}

SettingsState::Problem SettingsState::ApplyQuota(const v1::ClientQuotaRecord& record) {
  const std::string entity = EntityOf(record);
  CachedQuota& quota = Mutable().quotas[entity];
  quota.entity = record.entity();
  if (const auto known = quota.limits.find(record.key()); known != quota.limits.end()) {
    digest_ -= HashQuota(entity, known->first, known->second);
  }
  digest_ += HashQuota(entity, record.key(), record.value());
  quota.limits[record.key()] = record.value();
  return std::nullopt;
}

SettingsState::Problem SettingsState::ApplyRemoveQuota(const v1::RemoveClientQuotaRecord& record) {
  auto& quotas = Mutable().quotas;
  const auto quota = quotas.find(EntityOf(record));
  if (quota == quotas.end() || !quota->second.limits.contains(record.key())) {
    return fmt::format("quota {} does not exist", record.key());
  }
  const auto known = quota->second.limits.find(record.key());
  digest_ -= HashQuota(quota->first, known->first, known->second);
  quota->second.limits.erase(known);
  if (quota->second.limits.empty()) {
    quotas.erase(quota);
  }
  return std::nullopt;
}

SettingsState::Problem SettingsState::ApplyAcl(const v1::AccessControlEntryRecord& record) {
  auto& acls = Mutable().acls;
  if (acls.contains(record.id())) {
    return "access control entry exists already";
  }
  digest_ += HashAcl(record.id(), record.binding());
  acls[record.id()] = record.binding();
  return std::nullopt;
}

SettingsState::Problem SettingsState::ApplyRemoveAcl(
    const v1::RemoveAccessControlEntryRecord& record) {
  auto& acls = Mutable().acls;
  const auto known = acls.find(record.id());
  if (known == acls.end()) {
    return "access control entry does not exist";
  }
  digest_ -= HashAcl(known->first, known->second);
  acls.erase(known);
  return std::nullopt;
}

SettingsState::Problem SettingsState::ApplyCredential(const v1::UserScramCredentialRecord& record) {
  auto& credentials = Mutable().credentials;
  const auto key = std::make_pair(record.user(), record.mechanism());
  if (const auto known = credentials.find(key); known != credentials.end()) {
    digest_ -= HashCredential(known->second);
  }
  digest_ += HashCredential(record);
  credentials[key] = record;
  return std::nullopt;
}

SettingsState::Problem SettingsState::ApplyRemoveCredential(
    const v1::RemoveUserScramCredentialRecord& record) {
  auto& credentials = Mutable().credentials;
  const auto known = credentials.find(std::make_pair(record.user(), record.mechanism()));
  if (known == credentials.end()) {
    return fmt::format("credential of {} does not exist", record.user());
  }
  digest_ -= HashCredential(known->second);
  credentials.erase(known);
  return std::nullopt;
}

SettingsState::Problem SettingsState::ApplyFeatureLevel(const v1::FeatureLevelRecord& record) {
  auto& levels = Mutable().feature_levels;
  const auto known = levels.find(record.name());
  if (known != levels.end()) {
    digest_ -= HashFeature(known->first, known->second);
  }
  if (record.level() > 0) {
    digest_ += HashFeature(record.name(), record.level());
    levels[record.name()] = record.level();
  } else if (known == levels.end()) {
    return fmt::format("feature {} is not finalized", record.name());
  } else {
    levels.erase(known);
  }
  return std::nullopt;
}

SettingsState::Problem SettingsState::ApplyProducerIds(const v1::ProducerIdsRecord& record) {
  int64_t& next = Mutable().next_producer_id;
  if (record.next_producer_id() <= next) {
    return fmt::format("next producer id goes from {} to {}", next, record.next_producer_id());
  }
  digest_ += HashProducerIds(record.next_producer_id()) - HashProducerIds(next);
  next = record.next_producer_id();
  return std::nullopt;
}

}  // namespace kvorum::client
