// The half of ReferenceModel that holds it against an image, and records against levels.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>

#include "tests/sim/checkers/reference_model.h"

namespace kvorum::sim {
namespace {

// The first key at which two maps differ, in words.
template <typename Map>
std::string FirstDifference(const Map& expected, const Map& actual, const std::string& what) {
  for (const auto& [key, value] : expected) {
    const auto found = actual.find(key);
    if (found == actual.end()) {
      return fmt::format("{} {} is missing, expected {}", what, key, value);
    }
    if (found->second != value) {
      return fmt::format("{} {} is {}, expected {}", what, key, found->second, value);
    }
  }
  for (const auto& [key, value] : actual) {
    if (!expected.contains(key)) {
      return fmt::format("{} {} is {}, expected nothing", what, key, value);
    }
  }
  return "";
}

std::string EntryText(const std::string& value, int64_t version, int32_t owner,
                      int64_t owner_epoch) {
  return fmt::format("{} of version {}, owned by {}/{}", value, version, owner, owner_epoch);
}

// The level of metadata.version that knows `record`.
int32_t LevelOf(const v1::MetadataRecord& record) {
  if (record.has_write_reason()) {
    return 3;
  }
  const bool is_metadata_level =
      record.has_feature_level() && record.feature_level().name() == "metadata.version";
  const bool is_setting =
      record.has_config() || record.has_remove_config() || record.has_client_quota() ||
      record.has_remove_client_quota() || record.has_access_control_entry() ||
      record.has_remove_access_control_entry() || record.has_user_scram_credential() ||
      record.has_remove_user_scram_credential() || record.has_producer_ids() ||
      (record.has_feature_level() && !is_metadata_level) ||
      !record.register_broker().features().empty() || !record.entry().namespace_().empty() ||
      record.entry().has_owner() || !record.remove_entry().namespace_().empty();
  return is_setting ? 2 : 1;
}

}  // namespace

std::string ReferenceModel::TextOf(
    const google::protobuf::RepeatedPtrField<v1::QuotaEntity>& entity) {
  std::map<int, std::string> parts;
  for (const v1::QuotaEntity& part : entity) {
    parts[part.type()] = part.has_name() ? "=" + part.name() : "";
  }
  std::string text;
  for (const auto& [type, name] : parts) {
    text += fmt::format("{}{};", type, name);
  }
  return text;
}

std::string ReferenceModel::TextOf(const v1::AclBinding& binding) {
  return fmt::format("{}/{}/{}/{}/{}/{}/{}", static_cast<int>(binding.resource_type()),
                     binding.resource_name(), static_cast<int>(binding.pattern_type()),
                     binding.principal(), binding.host(), static_cast<int>(binding.operation()),
                     static_cast<int>(binding.permission()));
}

std::string ReferenceModel::CompareEntries(const MetadataImage& image) const {
  std::map<std::string, std::string> expected;
  for (const auto& [name, entry] : entries_) {
    if (entry.owner != -1 && !cluster_.HasSession(entry.owner, entry.owner_epoch)) {
      return fmt::format("entry {} outlives the session of broker {}", name.second, entry.owner);
    }
    expected[name.first + ":" + name.second] =
        EntryText(entry.value, entry.version, entry.owner, entry.owner_epoch);
  }
  std::map<std::string, std::string> actual;
  for (const auto& [key, record] : image.entries().entries) {
    if (IsOwnKey(std::string(key.key))) {
      actual[std::string(key.name_space) + ":" + std::string(key.key)] = EntryText(
          record->value(), record->version(),
          record->has_owner() ? record->owner().broker_id() : -1, record->owner().broker_epoch());
    }
  }
  return FirstDifference(expected, actual, "entry");
}

std::string ReferenceModel::CompareConfigs(const MetadataImage& image) const {
  std::map<std::string, std::string> expected;
  for (const auto& [resource, configs] : configs_) {
    for (const auto& [name, value] : configs) {
      expected[fmt::format("{}/{}/{}", resource.first, resource.second, name)] = value;
    }
  }
  std::map<std::string, std::string> actual;
  for (const auto& [key, record] : image.configs().configs) {
    actual[fmt::format("{}/{}/{}", static_cast<int>(key.type), key.resource, key.name)] =
        record->value();
  }
  return FirstDifference(expected, actual, "config");
}

std::string ReferenceModel::CompareQuotas(const MetadataImage& image) const {
  std::map<std::string, double> expected;
  for (const auto& [entity, limits] : quotas_) {
    for (const auto& [key, value] : limits) {
      expected[entity + key] = value;
    }
  }
  std::map<std::string, double> actual;
  for (const auto& [key, quota] : image.quotas().quotas) {
    for (const auto& [name, value] : quota->limits) {
      actual[TextOf(quota->entity) + name] = value;
    }
  }
  return FirstDifference(expected, actual, "quota");
}

std::string ReferenceModel::CompareAccess(const MetadataImage& image) const {
  std::map<std::string, std::string> acls;
  for (const auto& [id, record] : image.acls().by_id) {
    acls[TextOf(record->binding())] = id.ToString();
  }
  if (std::string difference = FirstDifference(acls_, acls, "acl"); !difference.empty()) {
    return difference;
  }
  std::map<std::string, int> expected;
  for (const auto& [key, iterations] : credentials_) {
    expected[fmt::format("{}/{}", key.first, key.second)] = iterations;
  }
  std::map<std::string, int> actual;
  for (const auto& [key, record] : image.credentials().credentials) {
    actual[fmt::format("{}/{}", key.user, static_cast<int>(key.mechanism))] = record->iterations();
  }
  return FirstDifference(expected, actual, "credential");
}

std::string ReferenceModel::CompareProducerIds(const MetadataImage& image) const {
  const int64_t next = image.producer_ids().next_producer_id();
  return next == next_producer_id_
             ? ""
             : fmt::format("the next producer id is {}, expected {}", next, next_producer_id_);
}

void ReferenceModel::RequireLevels(const std::vector<v1::MetadataRecord>& records) const {
  int32_t level = cluster_.metadata_level();
  for (const v1::MetadataRecord& record : records) {
    if (record.has_feature_level() && record.feature_level().name() == "metadata.version") {
      level = record.feature_level().level();
    }
    RequireModel(LevelOf(record) <= level,
                 fmt::format("level {} does not have {}", level, record.ShortDebugString()));
  }
}

bool ReferenceModel::IsPlain() const {
  const bool has_configs = std::any_of(configs_.begin(), configs_.end(), [](const auto& resource) {
    return !resource.second.empty();
  });
  return !has_configs && quotas_.empty() && acls_.empty() && credentials_.empty() &&
         next_producer_id_ == 0 && !cluster_.HasFeatures() &&
         std::all_of(entries_.begin(), entries_.end(), [](const auto& entry) {
           return entry.first.first.empty() && entry.second.owner == -1;
         });
}

std::string ReferenceModel::Compare(const MetadataImage& image) const {
  for (const auto compare : {&ReferenceModel::CompareEntries, &ReferenceModel::CompareConfigs,
                             &ReferenceModel::CompareQuotas, &ReferenceModel::CompareAccess,
                             &ReferenceModel::CompareProducerIds}) {
    if (std::string difference = (this->*compare)(image); !difference.empty()) {
      return difference;
    }
  }
  return cluster_.Compare(image);
}

}  // namespace kvorum::sim
