#include "server/metadata/metadata_level.h"

#include <fmt/format.h>

#include "server/base/check.h"
#include "server/base/errors.h"

namespace kvorum {
namespace {

constexpr int32_t kFirst = 1;
constexpr int32_t kSettings = 2;  // see metadata_level.h
constexpr int32_t kReasons = 3;

bool IsPlain(const v1::EntryRecord& entry) {
  return entry.namespace_().empty() && !entry.has_owner();
}

}  // namespace

int32_t MinMetadataLevel(const v1::MetadataRecord& record) {
  switch (record.record_case()) {
    case v1::MetadataRecord::kNoOp:
    case v1::MetadataRecord::kUnregisterBroker:
    case v1::MetadataRecord::kBrokerRegistrationChange:
    case v1::MetadataRecord::kTopic:
    case v1::MetadataRecord::kRemoveTopic:
    case v1::MetadataRecord::kPartition:
    case v1::MetadataRecord::kPartitionChange:
    case v1::MetadataRecord::kCompletedRequest:
    case v1::MetadataRecord::kExpireRequests:
      return kFirst;
    case v1::MetadataRecord::kRegisterBroker:
      return record.register_broker().features().empty() ? kFirst : kSettings;
    case v1::MetadataRecord::kEntry:
      return IsPlain(record.entry()) ? kFirst : kSettings;
    case v1::MetadataRecord::kRemoveEntry:
      return record.remove_entry().namespace_().empty() ? kFirst : kSettings;
    case v1::MetadataRecord::kFeatureLevel:
      // The level itself can always be told, or it could never be raised.
      return record.feature_level().name() == kMetadataVersionFeature ? kFirst : kSettings;
    case v1::MetadataRecord::kConfig:
    case v1::MetadataRecord::kRemoveConfig:
    case v1::MetadataRecord::kClientQuota:
    case v1::MetadataRecord::kRemoveClientQuota:
    case v1::MetadataRecord::kAccessControlEntry:
    case v1::MetadataRecord::kRemoveAccessControlEntry:
    case v1::MetadataRecord::kUserScramCredential:
    case v1::MetadataRecord::kRemoveUserScramCredential:
    case v1::MetadataRecord::kProducerIds:
      return kSettings;
    case v1::MetadataRecord::kWriteReason:
      return kReasons;
    case v1::MetadataRecord::RECORD_NOT_SET:
      break;
  }
  KVORUM_CHECK(false, "record without content");
}

absl::Status CheckLevelAllows(const std::vector<v1::MetadataRecord>& records, int32_t level) {
  for (const v1::MetadataRecord& record : records) {
    if (record.has_feature_level() && record.feature_level().name() == kMetadataVersionFeature) {
      level = record.feature_level().level();
    }
    if (const int32_t needed = MinMetadataLevel(record); needed > level) {
      return MakeError(
          ErrorReason::kUnsupportedVersion,
          fmt::format("the request needs {} {} but {} is finalized; upgrade all controllers and "
                      "brokers, then the feature",
                      kMetadataVersionFeature, needed, level));
    }
  }
  return absl::OkStatus();
}

int32_t MetadataLevelInUse(const MetadataImage& image) {
  const FeaturesImage& features = image.features();
  const bool has_other_features =
      features.levels.size() > (features.levels.Contains(kMetadataVersionFeature) ? 1U : 0U);
  bool has_settings = !image.configs().configs.empty() || !image.quotas().quotas.empty() ||
                      !image.acls().by_id.empty() || !image.credentials().credentials.empty() ||
                      image.producer_ids().last_block.has_value() || has_other_features ||
                      image.entries().HasMoreThanPlain();
  for (const auto& [id, broker] : image.brokers().brokers) {
    has_settings = has_settings || !broker->features.empty();
  }
  return has_settings ? kSettings : kFirst;
}

}  // namespace kvorum
