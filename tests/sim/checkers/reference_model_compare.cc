// The half of ReferenceModel that holds it against an image.
#include <fmt/format.h>

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
    expected[name.first + ":" + name.second] = fmt::format(
        "{} of version {}{}", entry.value, entry.version, entry.is_owned ? " owned" : "");
  }
  std::map<std::string, std::string> actual;
  for (const auto& [key, record] : image.entries().entries) {
    if (IsOwnKey(std::string(key.key))) {
      actual[std::string(key.name_space) + ":" + std::string(key.key)] =
          fmt::format("{} of version {}{}", record->value(), record->version(),
                      record->has_owner() ? " owned" : "");
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

std::string ReferenceModel::CompareTopics(const MetadataImage& image) const {
  std::map<std::string, std::string> expected;
  for (const auto& [name, topic] : topics_) {
    expected[name] = fmt::format("{} of {}", topic.id, topic.partitions);
  }
  std::map<std::string, std::string> actual;
  for (const auto& [id, topic] : image.topics().by_id) {
    if (IsOwnTopic(*topic.name)) {
      actual[*topic.name] = fmt::format("{} of {}", id.ToString(), topic.partition_count());
    }
  }
  return FirstDifference(expected, actual, "topic");
}

std::string ReferenceModel::CompareBrokers(const MetadataImage& image) const {
  for (const auto& [id, broker] : image.brokers().brokers) {
    if (broker->is_drained != drained_.contains(id.value())) {
      return fmt::format("broker {} is {}drained", id, broker->is_drained ? "" : "not ");
    }
  }
  const int64_t next = image.producer_ids().next_producer_id();
  return next == next_producer_id_
             ? ""
             : fmt::format("the next producer id is {}, expected {}", next, next_producer_id_);
}

std::string ReferenceModel::Compare(const MetadataImage& image) const {
  for (const auto compare : {&ReferenceModel::CompareEntries, &ReferenceModel::CompareConfigs,
                             &ReferenceModel::CompareQuotas, &ReferenceModel::CompareAccess,
                             &ReferenceModel::CompareTopics, &ReferenceModel::CompareBrokers}) {
    if (std::string difference = (this->*compare)(image); !difference.empty()) {
      return difference;
    }
  }
  return "";
}

}  // namespace kvorum::sim
