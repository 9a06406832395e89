// The parts of ReferenceCluster about features, about what is taken from the log as it is, and that
// hold it against an image.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "server/base/uuid.h"
#include "tests/sim/checkers/reference_cluster.h"

namespace kvorum::sim {
namespace {

constexpr char kMetadataVersion[] = "metadata.version";

}  // namespace

bool ReferenceCluster::HasFeatures() const {
  return features_.size() > (features_.contains(kMetadataVersion) ? 1U : 0U) ||
         std::any_of(brokers_.begin(), brokers_.end(),
                     [](const auto& broker) { return !broker.second.features.empty(); });
}

int32_t ReferenceCluster::LevelOf(const std::string& feature) const {
  const auto found = features_.find(feature);
  return found != features_.end() ? found->second : feature == kMetadataVersion ? 1 : 0;
}

void ReferenceCluster::UpdateFeatures(const v1::UpdateFeaturesRequest& request) {
  for (const v1::UpdateFeaturesRequest::Item& item : request.updates()) {
    const int32_t before = LevelOf(item.name());
    const bool is_metadata = item.name() == kMetadataVersion;
    RequireModel(
        item.level() == before ||
            (item.level() > before) == (item.upgrade_type() == v1::FEATURE_UPGRADE_TYPE_UPGRADE),
        fmt::format("{} went from {} to {}, which was not asked for", item.name(), before,
                    item.level()));
    for (const auto& [id, broker] : brokers_) {
      const auto range = broker.features.find(item.name());
      const bool is_told = range != broker.features.end();
      const bool is_supported =
          is_told ? range->second.first <= item.level() && item.level() <= range->second.second
                  : is_metadata || item.level() == 0;
      RequireModel(is_supported || item.level() == 0,
                   fmt::format("{} is at {} and broker {} does not support it", item.name(),
                               item.level(), id));
    }
    if (item.level() != before) {
      features_[item.name()] = item.level();
      const bool is_up = item.level() > before;
      log_.Hit(is_metadata ? (is_up ? Mark::kMetadataLevelRaised : Mark::kMetadataLevelLowered)
                           : (is_up ? Mark::kFeatureRaised : Mark::kFeatureLowered));
    }
  }
  std::erase_if(features_, [](const auto& feature) { return feature.second == 0; });
}

void ReferenceCluster::Apply(const v1::RegisterBrokerRecord& record, Offset offset) {
  Broker& broker = brokers_[record.broker_id()];
  const bool is_same = broker.incarnation == record.incarnation_id();
  const bool is_as_before = record.broker_epoch() == broker.epoch &&
                            record.fenced() == broker.is_fenced &&
                            record.in_controlled_shutdown() == broker.is_leaving;
  const bool is_new = record.broker_epoch() == offset.value() && record.fenced() &&
                      !record.in_controlled_shutdown();
  RequireModel(
      (is_same ? is_as_before : is_new) && record.drained() == broker.is_drained,
      fmt::format("broker {} was of epoch {}{}{}{} before {}", record.broker_id(), broker.epoch,
                  broker.is_fenced ? " fenced" : "", broker.is_leaving ? " leaving" : "",
                  broker.is_drained ? " drained" : "", record.ShortDebugString()));
  if (!is_same) {
    RequireInNoList(record.broker_id());
  }
  broker.incarnation = record.incarnation_id();
  broker.epoch = record.broker_epoch();
  broker.is_fenced = record.fenced();
  broker.is_leaving = record.in_controlled_shutdown();
  broker.features.clear();
  for (const v1::SupportedFeature& feature : record.features()) {
    broker.features[feature.name()] = {feature.min_level(), feature.max_level()};
  }
}

void ReferenceCluster::Apply(const v1::BrokerRegistrationChangeRecord& record) {
  const auto found = brokers_.find(record.broker_id());
  RequireModel(found != brokers_.end() && found->second.epoch == record.broker_epoch() &&
                   found->second.is_drained == record.drained() &&
                   !(record.fenced() && record.in_controlled_shutdown()),
               "no broker is so as to become " + record.ShortDebugString());
  found->second.is_fenced = record.fenced();
  found->second.is_leaving = record.in_controlled_shutdown();
}

void ReferenceCluster::Apply(const v1::PartitionRecord& record) {
  const auto topic = topics_.find(record.topic_id());
  if (topic == topics_.end()) {
    return;  // one that is not followed
  }
  const ReferencePartition expected =
      NewPartition({record.replicas().begin(), record.replicas().end()});
  const ReferencePartition actual = ToReferencePartition(record);
  RequireModel(actual == expected &&
                   topic->second.partitions.size() == static_cast<size_t>(record.partition_index()),
               fmt::format("a new partition {} of {} is {}, expected {}", record.partition_index(),
                           topic->second.name, ToText(actual), ToText(expected)));
  topic->second.partitions.push_back(actual);
}

ChangeCause ReferenceCluster::CauseOf(const std::vector<v1::MetadataRecord>& records) const {
  ChangeCause cause = MakeCause();
  cause.is_leader_asking = true;
  for (const v1::MetadataRecord& record : records) {
    if (record.has_register_broker()) {
      const auto before = brokers_.find(record.register_broker().broker_id());
      const bool is_other = before != brokers_.end() &&
                            before->second.incarnation != record.register_broker().incarnation_id();
      cause.leaving = is_other ? before->first : -1;
      cause.has_lost = is_other;
      cause.is_leader_asking = false;
    } else if (record.has_unregister_broker()) {
      cause.leaving = record.unregister_broker().broker_id();
      cause.has_lost = true;
      cause.is_leader_asking = false;
    } else if (record.has_broker_registration_change()) {
      const auto& change = record.broker_registration_change();
      const bool is_active = !change.fenced() && !change.in_controlled_shutdown();
      cause.leaving = is_active ? -1 : change.broker_id();
      if (is_active) {
        cause.active.insert(change.broker_id());
      }
      cause.is_leader_asking = false;
    }
  }
  return cause;
}

void ReferenceCluster::ApplyForeign(const std::vector<v1::MetadataRecord>& records, Offset from) {
  const ChangeCause cause = CauseOf(records);
  Offset offset = from;
  for (const v1::MetadataRecord& record : records) {
    if (record.has_register_broker()) {
      Apply(record.register_broker(), offset);
    } else if (record.has_broker_registration_change()) {
      Apply(record.broker_registration_change());
    } else if (record.has_unregister_broker()) {
      RequireInNoList(record.unregister_broker().broker_id());
      brokers_.erase(record.unregister_broker().broker_id());
    } else if (record.has_feature_level()) {
      // What a new cluster begins with.
      RequireModel(features_.empty() && brokers_.empty() && topics_.empty(),
                   "nobody asked for " + record.ShortDebugString());
      features_[record.feature_level().name()] = record.feature_level().level();
    } else if (record.has_topic() && IsFollowed(record.topic().name())) {
      RequireModel(!HasTopic(record.topic().name()),
                   fmt::format("topic {} was created twice", record.topic().name()));
      topics_[record.topic().topic_id()].name = record.topic().name();
    } else if (record.has_remove_topic()) {
      topics_.erase(record.remove_topic().topic_id());
    } else if (record.has_partition()) {
      Apply(record.partition());
    } else if (record.has_partition_change()) {
      ChangeCause its = cause;
      const ReferencePartition* before = FindPartition(record.partition_change().topic_id(),
                                                       record.partition_change().partition_index());
      its.is_leader_asking = cause.is_leader_asking && before != nullptr && before->leader != -1;
      its.is_unclean_allowed =
          before != nullptr &&
          IsUncleanAllowed(topics_.at(record.partition_change().topic_id()).name);
      Change(record.partition_change(), std::move(its));
    }
    ++offset;
  }
}

std::string ReferenceCluster::CompareBrokers(const MetadataImage& image) const {
  std::map<int32_t, Broker> actual;
  for (const auto& [id, broker] : image.brokers().brokers) {
    Broker& found = actual[id.value()];
    found.incarnation = broker->incarnation.ToBytes();
    found.epoch = broker->epoch.value();
    found.is_fenced = broker->is_fenced;
    found.is_leaving = broker->in_controlled_shutdown;
    found.is_drained = broker->is_drained;
    for (const v1::SupportedFeature& feature : broker->features) {
      found.features[feature.name()] = {feature.min_level(), feature.max_level()};
    }
  }
  const auto text = [](const std::map<int32_t, Broker>& brokers) {
    std::string all;
    for (const auto& [id, broker] : brokers) {
      all += fmt::format("{} of epoch {}{}{}{} with {}; ", id, broker.epoch,
                         broker.is_fenced ? " fenced" : "", broker.is_leaving ? " leaving" : "",
                         broker.is_drained ? " drained" : "", broker.features);
    }
    return all;
  };
  if (actual != brokers_) {
    return fmt::format("brokers are {}expected {}", text(actual), text(brokers_));
  }
  std::map<std::string, int32_t> features;
  for (const auto& [name, level] : image.features().levels) {
    features[name] = level;
  }
  return features == features_ ? ""
                               : fmt::format("features are {}, expected {}", features, features_);
}

std::string ReferenceCluster::CompareTopics(const MetadataImage& image) const {
  size_t followed = 0;
  const std::set<int32_t> active = ActiveBrokers();
  for (const auto& [id, topic] : image.topics().by_id) {
    if (!IsFollowed(*topic.name)) {
      continue;
    }
    ++followed;
    const auto expected = topics_.find(id.ToBytes());
    if (expected == topics_.end() || expected->second.name != *topic.name ||
        expected->second.partitions.size() != static_cast<size_t>(topic.partition_count())) {
      return fmt::format("topic {} {} with {} partitions is not expected", *topic.name, id,
                         topic.partition_count());
    }
    for (const auto& [index, partition] : topic.partitions) {
      const ReferencePartition& wanted = expected->second.partitions[static_cast<size_t>(index)];
      const ReferencePartition actual = ToReferencePartition(partition.ToRecord(id, index));
      if (actual != wanted) {
        return fmt::format("partition {} of {} is {}, expected {}", index, *topic.name,
                           ToText(actual), ToText(wanted));
      }
      if (std::string broken = BrokenRule(wanted, active); !broken.empty()) {
        return fmt::format("partition {} of {}: {}", index, *topic.name, broken);
      }
    }
  }
  return followed == topics_.size()
             ? ""
             : fmt::format("there are {} topics, expected {}", followed, topics_.size());
}

std::string ReferenceCluster::Compare(const MetadataImage& image) const {
  std::string difference = CompareBrokers(image);
  return difference.empty() ? CompareTopics(image) : difference;
}

}  // namespace kvorum::sim
