#include "server/metadata/topics/topics_image.h"

#include <algorithm>

#include "server/base/check.h"

namespace kvorum {

int32_t Topic::replication_factor() const {
  const std::optional<Partition> first = partitions.Find(0);
  return first.has_value() ? static_cast<int32_t>(first->replication_factor()) : 0;
}

v1::TopicRecord Topic::ToRecord() const {
  v1::TopicRecord record;
  record.set_topic_id(id.ToBytes());
  record.set_name(*name);
  record.set_min_insync_replicas(own_min_insync_replicas);
  return record;
}

bool HasTrait(const Topic& topic, const Partition& partition, PartitionTrait trait) {
  switch (trait) {
    case PartitionTrait::kLeaderless:
      return partition.leader == kNoLeader;
    case PartitionTrait::kUnderReplicated:
      return partition.isr.size() < partition.replication_factor();
    case PartitionTrait::kAtMinIsr:
      return partition.isr.size() <= MinIsr(topic, partition.replicas.size());
    case PartitionTrait::kReassigning:
      return partition.is_reassigning();
    case PartitionTrait::kNotPreferredLeader:
      return partition.leader != partition.replicas.front();
  }
  KVORUM_CHECK(false, "no trait {}", static_cast<int>(trait));
}

const Topic* TopicsImage::Find(std::string_view name) const {
  const TopicIdByName* found = by_name.Find(name);
  return found == nullptr ? nullptr : by_id.Find(found->id);
}

BrokerLoad TopicsImage::LoadOf(BrokerId broker) const {
  const BrokerLoad* load = loads.Find(broker);
  return load == nullptr ? BrokerLoad() : *load;
}

std::optional<std::string> MetricNameOf(std::string_view topic_name) {
  if (topic_name.find_first_of("._") == std::string_view::npos) {
    return std::nullopt;
  }
  std::string metric_name(topic_name);
  std::replace(metric_name.begin(), metric_name.end(), '.', '_');
  return metric_name;
}

std::vector<PartitionKey> PartitionsInSyncOn(const TopicsImage& image, BrokerId broker) {
  std::vector<PartitionKey> keys;
  const auto visit = [&](const Topic& topic, int32_t index, const Partition& partition) {
    if (Contains(partition.isr, broker)) {
      keys.push_back({topic.id, index});
    }
    return true;
  };
  image.VisitHostedBy(broker, PartitionKey(), visit);
  return keys;
}

TopicsCursor::TopicsCursor(const TopicsImage& image) : next_topic_(image.by_id.begin()) {}

bool TopicsCursor::Next(v1::MetadataRecord& record) {
  if (topic_ != nullptr && *next_partition_ != topic_->partitions.end()) {
    const PartitionList::Entry& entry = **next_partition_;
    *record.mutable_partition() = entry.partition.ToRecord(topic_->id, entry.index);
    ++*next_partition_;
    return true;
  }
  if (next_topic_ == decltype(next_topic_)()) {
    return false;
  }
  topic_ = &next_topic_->value;
  next_partition_ = topic_->partitions.begin();
  *record.mutable_topic() = topic_->ToRecord();
  ++next_topic_;
  return true;
}

}  // namespace kvorum
