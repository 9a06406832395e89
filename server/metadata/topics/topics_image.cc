#include "server/metadata/topics/topics_image.h"

#include <algorithm>

namespace kvorum {

v1::PartitionRecord Partition::ToRecord(const Uuid& topic_id, int32_t index) const {
  v1::PartitionRecord record;
  record.set_topic_id(topic_id.ToBytes());
  record.set_partition_index(index);
  for (const BrokerId id : replicas) {
    record.add_replicas(id.value());
  }
  for (const BrokerId id : isr) {
    record.add_isr(id.value());
  }
  record.set_leader(leader.value());
  record.set_leader_epoch(leader_epoch);
  record.set_partition_epoch(partition_epoch);
  record.set_leader_recovery_state(leader_recovery_state);
  return record;
}

int32_t Topic::replication_factor() const {
  const Partition* first = partitions.Find(0);
  return first == nullptr ? 0 : static_cast<int32_t>(first->replicas.size());
}

v1::TopicRecord Topic::ToRecord() const {
  v1::TopicRecord record;
  record.set_topic_id(id.ToBytes());
  record.set_name(*name);
  return record;
}

const Topic* TopicsImage::Find(std::string_view name) const {
  const TopicIdByName* found = by_name.Find(name);
  return found == nullptr ? nullptr : by_id.Find(found->id);
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
  for (auto it = image.isr_index.lower_bound(IsrKey{broker, PartitionKey()});
       it != image.isr_index.end() && it->key.broker == broker; ++it) {
    keys.push_back(it->key.partition);
  }
  return keys;
}

TopicsCursor::TopicsCursor(const TopicsImage& image) : next_topic_(image.by_id.begin()) {}

bool TopicsCursor::Next(v1::MetadataRecord& record) {
  if (topic_ != nullptr && next_partition_ != decltype(next_partition_)()) {
    *record.mutable_partition() = next_partition_->value.ToRecord(topic_->id, next_partition_->key);
    ++next_partition_;
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
