#include "server/metadata/topics/clear_eligible.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "server/metadata/configs/config_keys.h"
#include "server/metadata/metadata_delta.h"
#include "server/metadata/topics/partition_change.h"

namespace kvorum {
namespace {

bool IsAboutMinInsync(const v1::MetadataRecord& record) {
  return record.has_config() ? record.config().name() == kMinInsyncReplicas
                             : record.remove_config().name() == kMinInsyncReplicas;
}

}  // namespace

std::vector<v1::MetadataRecord> ClearEligibleWhereMinInsyncChanges(
    const MetadataImage& image, const std::vector<v1::MetadataRecord>& configs) {
  std::vector<v1::MetadataRecord> records;
  if (std::none_of(configs.begin(), configs.end(), IsAboutMinInsync)) {
    return records;
  }
  // What topics fall back to is known in one place: where records are replayed.
  MetadataDelta delta(image);
  for (const v1::MetadataRecord& record : configs) {
    delta.Replay(record, image.provenance().end_offset);
  }
  const std::shared_ptr<const MetadataImage> after = delta.Apply(image.provenance());
  const ActiveBrokers active{.brokers = image.brokers()};
  // Eligible leaders are only where fewer are in sync than must be.
  for (const auto& [id, nothing] : image.topics().With(PartitionTrait::kAtMinIsr)) {
    const Topic& topic = *image.topics().Find(id);
    if (after->topics().Find(id)->min_insync_replicas == topic.min_insync_replicas) {
      continue;
    }
    for (const auto& [index, current] : topic.partitions) {
      if (current.elr.empty() && current.last_known_leader == kNoLeader) {
        continue;
      }
      PartitionTarget target(current);
      target.clears_eligible = true;
      std::optional<v1::MetadataRecord> record =
          ChangePartition({{id, index}, current, topic}, target, active);
      if (record.has_value()) {
        records.push_back(*std::move(record));
      }
    }
  }
  return records;
}

}  // namespace kvorum
