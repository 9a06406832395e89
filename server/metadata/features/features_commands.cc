#include "server/metadata/features/features_commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "server/base/errors.h"
#include "server/base/mutants.h"
#include "server/base/status_macros.h"
#include "server/metadata/item_status.h"
#include "server/metadata/request_checks.h"

namespace kvorum {
namespace {

using Item = v1::UpdateFeaturesRequest::Item;

absl::Status InvalidUpdate(std::string_view message) {
  return MakeError(ErrorReason::kInvalidUpdateVersion, message);
}

// What a broker says of a feature. nullopt: nothing, which means level 0 only, but for
// metadata.version, where it means that nobody asks it.
template <typename Features>
std::optional<LevelRange> RangeOf(const Features& features, std::string_view name) {
  for (const v1::SupportedFeature& feature : features) {
    if (feature.name() == name) {
      return LevelRange{feature.min_level(), feature.max_level()};
    }
  }
  return std::nullopt;
}

bool IsKnown(const MetadataImage& image, std::string_view name) {
  if (name == kMetadataVersionFeature || image.features().LevelOf(name) > 0) {
    return true;
  }
  for (const auto& [id, broker] : image.brokers().brokers) {
    if (RangeOf(broker->features, name).has_value()) {
      return true;
    }
  }
  return false;
}

absl::Status CheckBrokersSupport(const BrokersImage& brokers, const Item& item) {
  for (const auto& [id, broker] : brokers.brokers) {
    const std::optional<LevelRange> range = RangeOf(broker->features, item.name());
    if (!range.has_value() && item.name() == kMetadataVersionFeature) {
      continue;
    }
    const LevelRange supported = range.value_or(LevelRange{0, 0});
    if (!supported.Contains(item.level())) {
      return InvalidUpdate(
          fmt::format("level {} of '{}': broker {} supports {} to {}; upgrade or unregister it",
                      item.level(), item.name(), id, supported.min, supported.max));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckVotersSupport(const std::vector<VoterLevels>& voters, const Item& item) {
  for (const VoterLevels& voter : voters) {
    if (!voter.levels.has_value()) {
      return InvalidUpdate(
          fmt::format("level {} of '{}': voter {} has not said what it supports; "
                      "start it, or remove it from the quorum",
                      item.level(), item.name(), voter.node_id));
    }
    if (!voter.levels->Contains(item.level())) {
      return InvalidUpdate(fmt::format("level {} of '{}': voter {} supports {} to {}; upgrade it",
                                       item.level(), item.name(), voter.node_id, voter.levels->min,
                                       voter.levels->max));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckDirection(const Item& item, int32_t current) {
  const bool is_upgrade = item.upgrade_type() == v1::FEATURE_UPGRADE_TYPE_UPGRADE;
  if (item.level() < current && is_upgrade) {
    return InvalidUpdate(
        fmt::format("'{}' would go down from level {} to {}; say SAFE_DOWNGRADE "
                    "or UNSAFE_DOWNGRADE",
                    item.name(), current, item.level()));
  }
  if (item.level() > current && !is_upgrade) {
    return InvalidUpdate(fmt::format("'{}' would go up from level {} to {}; say UPGRADE",
                                     item.name(), current, item.level()));
  }
  return absl::OkStatus();
}

absl::Status CheckMetadataLevel(const CommandContext& context, const Item& item) {
  constexpr LevelRange kOurs;
  if (!kOurs.Contains(item.level())) {
    return InvalidUpdate(
        fmt::format("level {} of '{}' is unknown; this controller supports {} to "
                    "{}",
                    item.level(), item.name(), kOurs.min, kOurs.max));
  }
  if (item.level() < context.image.features().metadata_level()) {
    if (item.upgrade_type() == v1::FEATURE_UPGRADE_TYPE_UNSAFE_DOWNGRADE) {
      return InvalidUpdate(
          fmt::format("'{}' has no unsafe downgrade, it would lose metadata; say "
                      "SAFE_DOWNGRADE",
                      item.name()));
    }
    if (const int32_t in_use = MetadataLevelInUse(context.image);
        item.level() < in_use && !KVORUM_MUTANT(DowngradeLoses)) {
      return InvalidUpdate(fmt::format(
          "'{}' {} would lose metadata that only level {} has (configs, quotas, access control, "
          "credentials, producer ids, features, entries with a namespace or an owner); delete it "
          "first",
          item.name(), item.level(), in_use));
    }
  }
  return CheckVotersSupport(context.voters(), item);
}

// `metadata_level`: as it will be after the request.
absl::Status ValidateItem(const CommandContext& context, const Item& item, int32_t metadata_level) {
  if (item.name().empty() || item.name().size() > kMaxFeatureNameBytes ||
      !IsPrintableUtf8(item.name()) || !IsKnown(context.image, item.name())) {
    return InvalidUpdate(fmt::format("feature {} is unknown: no registered broker supports it",
                                     ShownText(item.name())));
  }
  if (item.level() < 0 || item.level() > kMaxFeatureLevel) {
    return InvalidUpdate(
        fmt::format("level {} of '{}'; use 0 to {}", item.level(), item.name(), kMaxFeatureLevel));
  }
  const bool is_metadata = item.name() == kMetadataVersionFeature;
  const int32_t current = is_metadata ? context.image.features().metadata_level()
                                      : context.image.features().LevelOf(item.name());
  KVORUM_RETURN_IF_ERROR(CheckDirection(item, current));
  if (is_metadata) {
    KVORUM_RETURN_IF_ERROR(CheckMetadataLevel(context, item));
  } else if (item.level() > 0) {
    v1::MetadataRecord record;
    record.mutable_feature_level()->set_name(item.name());
    if (const int32_t needed = MinMetadataLevel(record); metadata_level < needed) {
      return InvalidUpdate(
          fmt::format("'{}' depends on '{}' {}, which would be at {}; upgrade that "
                      "too",
                      item.name(), kMetadataVersionFeature, needed, metadata_level));
    }
  }
  return item.level() == 0 ? absl::OkStatus() : CheckBrokersSupport(context.image.brokers(), item);
}

absl::Status ValidateType(const Item& item) {
  const bool is_known = v1::FeatureUpgradeType_IsValid(item.upgrade_type()) &&
                        item.upgrade_type() != v1::FEATURE_UPGRADE_TYPE_UNSPECIFIED;
  return is_known ? absl::OkStatus()
                  : MakeError(
                        ErrorReason::kInvalidRequest,
                        fmt::format("upgrade_type of {} is {}; say UPGRADE, SAFE_DOWNGRADE or "
                                    "UNSAFE_DOWNGRADE",
                                    ShownText(item.name()), static_cast<int>(item.upgrade_type())));
}

}  // namespace

absl::StatusOr<CommandResult<v1::UpdateFeaturesResponse>> Execute(
    const CommandContext& context, const v1::UpdateFeaturesRequest& request) {
  KVORUM_RETURN_IF_ERROR(CheckItemCount("updates", request.updates_size(), kMaxFeaturesPerRequest));
  const FeaturesImage& features = context.image.features();
  std::map<std::string_view, int> times;
  int32_t metadata_level = features.metadata_level();
  for (const Item& item : request.updates()) {
    ++times[item.name()];
    if (item.name() == kMetadataVersionFeature) {
      metadata_level = item.level();
    }
  }
  CommandResult<v1::UpdateFeaturesResponse> result;
  size_t count = features.levels.size();
  for (const Item& item : request.updates()) {
    v1::UpdateFeaturesResponse::Result& item_result = *result.response.add_results();
    item_result.set_name(item.name());
    absl::Status status = ValidateType(item);
    if (times[item.name()] > 1) {
      status.Update(MakeError(
          ErrorReason::kInvalidRequest,
          fmt::format("feature {} is named more than once; name it once", ShownText(item.name()))));
    }
    if (status.ok()) {
      status = ValidateItem(context, item, metadata_level);
    }
    // The first level is what a log without any is at: it need not be told to be kept.
    const bool is_change = item.name() == kMetadataVersionFeature
                               ? item.level() != features.metadata_level()
                               : item.level() != features.LevelOf(item.name());
    if (status.ok() && is_change) {
      count += features.LevelOf(item.name()) == 0 ? 1 : 0;
      if (count > context.limits.max_features) {
        status = MakeError(ErrorReason::kLimitExceeded,
                           fmt::format("{} features are finalized, the limit of the cluster",
                                       context.limits.max_features));
      }
      v1::FeatureLevelRecord& record = *result.records.emplace_back().mutable_feature_level();
      record.set_name(item.name());
      record.set_level(item.level());
    }
    *item_result.mutable_status() = ToItemStatus(status);
  }
  RefuseAllIfAny(result);
  // The language first: what follows in the same batch may need it.
  std::stable_partition(result.records.begin(), result.records.end(), [](const auto& record) {
    return record.feature_level().name() == kMetadataVersionFeature;
  });
  return result;
}

absl::StatusOr<v1::DescribeFeaturesResponse> Query(const QueryContext& context,
                                                   const v1::DescribeFeaturesRequest&) {
  const MetadataImage& image = context.image;
  std::set<std::string_view> names = {kMetadataVersionFeature};
  for (const auto& [name, level] : image.features().levels) {
    names.insert(name);
  }
  for (const auto& [id, broker] : image.brokers().brokers) {
    for (const v1::SupportedFeature& feature : broker->features) {
      names.insert(feature.name());
    }
  }
  v1::DescribeFeaturesResponse response;
  for (const std::string_view name : names) {
    const bool is_metadata = name == kMetadataVersionFeature;
    LevelRange common = is_metadata ? LevelRange() : LevelRange{0, kMaxFeatureLevel};
    for (const auto& [id, broker] : image.brokers().brokers) {
      const std::optional<LevelRange> range = RangeOf(broker->features, name);
      if (range.has_value() || !is_metadata) {
        common.min = std::max(common.min, range.value_or(LevelRange{0, 0}).min);
        common.max = std::min(common.max, range.value_or(LevelRange{0, 0}).max);
      }
    }
    v1::FeatureInfo& info = *response.add_features();
    info.set_name(std::string(name));
    info.set_finalized_level(is_metadata ? image.features().metadata_level()
                                         : image.features().LevelOf(name));
    info.set_min_supported_level(common.min);
    info.set_max_supported_level(common.max);
  }
  return response;
}

absl::Status ValidateSupportedFeatures(const SupportedFeatures& features) {
  if (features.size() > kMaxFeaturesPerRequest) {
    return MakeError(
        ErrorReason::kInvalidRequest,
        fmt::format("{} features; the limit is {}", features.size(), kMaxFeaturesPerRequest));
  }
  std::set<std::string_view> names;
  for (const v1::SupportedFeature& feature : features) {
    if (feature.name().empty() || feature.name().size() > kMaxFeatureNameBytes ||
        !IsPrintableUtf8(feature.name())) {
      return MakeError(ErrorReason::kInvalidRequest,
                       fmt::format("a feature name of {} bytes; give 1 to {} of printable UTF-8",
                                   feature.name().size(), kMaxFeatureNameBytes));
    }
    if (!names.insert(feature.name()).second) {
      return MakeError(
          ErrorReason::kInvalidRequest,
          fmt::format("feature {} is given twice; give it once", ShownText(feature.name())));
    }
    if (feature.min_level() < 0 || feature.max_level() < feature.min_level() ||
        feature.max_level() > kMaxFeatureLevel) {
      return MakeError(ErrorReason::kInvalidRequest,
                       fmt::format("feature {} has levels {} to {}; use 0 to {}, the lower first",
                                   ShownText(feature.name()), feature.min_level(),
                                   feature.max_level(), kMaxFeatureLevel));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckSupportsFinalized(const FeaturesImage& image, const SupportedFeatures& features) {
  const auto check = [&](std::string_view name, int32_t level,
                         const LevelRange& range) -> absl::Status {
    if (range.Contains(level)) {
      return absl::OkStatus();
    }
    return MakeError(ErrorReason::kUnsupportedVersion,
                     fmt::format("'{}' is finalized at level {} but the broker supports {} to {}; "
                                 "run a release of it that does",
                                 name, level, range.min, range.max));
  };
  if (const auto range = RangeOf(features, kMetadataVersionFeature)) {
    KVORUM_RETURN_IF_ERROR(check(kMetadataVersionFeature, image.metadata_level(), *range));
  }
  for (const auto& [name, level] : image.levels) {
    if (name != kMetadataVersionFeature) {
      KVORUM_RETURN_IF_ERROR(
          check(name, level, RangeOf(features, name).value_or(LevelRange{0, 0})));
    }
  }
  return absl::OkStatus();
}

std::vector<v1::MetadataRecord> BootstrapRecords(int32_t metadata_level) {
  std::vector<v1::MetadataRecord> records(1);
  records[0].mutable_feature_level()->set_name(kMetadataVersionFeature);
  records[0].mutable_feature_level()->set_level(metadata_level);
  return records;
}

}  // namespace kvorum
