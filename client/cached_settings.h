#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "kvorum/v1/record.pb.h"

namespace kvorum::client {

struct CachedQuota {
  google::protobuf::RepeatedPtrField<v1::QuotaEntity> entity;
  std::map<std::string, double> limits;  // by key, never empty
};

// What brokers apply beside topics: at one position. Plain value.
struct CachedSettings {
  using ConfigKey = std::tuple<v1::ConfigResourceType, std::string, std::string>;

  std::map<ConfigKey, std::string> configs;    // by type, resource and name
  std::map<std::string, CachedQuota> quotas;   // by the entity's encoding
  std::map<std::string, v1::AclBinding> acls;  // by id of 16 bytes
  std::map<std::pair<std::string, v1::ScramMechanism>, v1::UserScramCredentialRecord> credentials;
  std::map<std::string, int32_t> feature_levels;  // finalized, above 0
  int64_t next_producer_id = 0;

  // What is set, or nullptr.
  const std::string* FindConfig(v1::ConfigResourceType type, const std::string& resource,
                                const std::string& name) const;
};

// Settings that change by records. Owned by MetadataCache; under its lock.
class SettingsState {
 public:
  using Problem = std::optional<std::string>;  // absent: applied

  // REQUIRES: one of the records that CachedSettings is about.
  Problem Apply(const v1::MetadataRecord& record);
  // A topic's configs go with it.
  void RemoveTopic(const std::string& name);

  // Shared with the snapshots that were taken of it; the next change clones it if one still is.
  std::shared_ptr<const CachedSettings> Share() { return settings_; }
  uint64_t digest() const { return digest_; }

 private:
  Problem ApplyConfig(const v1::ConfigRecord& record);
  Problem ApplyRemoveConfig(const v1::RemoveConfigRecord& record);
  Problem ApplyQuota(const v1::ClientQuotaRecord& record);
  Problem ApplyRemoveQuota(const v1::RemoveClientQuotaRecord& record);
  Problem ApplyAcl(const v1::AccessControlEntryRecord& record);
  Problem ApplyRemoveAcl(const v1::RemoveAccessControlEntryRecord& record);
  Problem ApplyCredential(const v1::UserScramCredentialRecord& record);
  Problem ApplyRemoveCredential(const v1::RemoveUserScramCredentialRecord& record);
  Problem ApplyFeatureLevel(const v1::FeatureLevelRecord& record);
  Problem ApplyProducerIds(const v1::ProducerIdsRecord& record);
  CachedSettings& Mutable();

  std::shared_ptr<CachedSettings> settings_ = std::make_shared<CachedSettings>();
  uint64_t digest_ = 0;
};

}  // namespace kvorum::client
