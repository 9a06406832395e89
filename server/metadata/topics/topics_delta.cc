#include "server/metadata/topics/topics_delta.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "server/base/check.h"
#include "server/metadata/entity_hash.h"

namespace kvorum {
namespace {

template <typename Record>
Uuid CheckedTopicId(const Record& record, Offset offset) {
  const std::optional<Uuid> id = Uuid::FromBytes(record.topic_id());
  KVORUM_CHECK(id.has_value(), "offset {}: {}", offset, record.ShortDebugString());
  KVORUM_CHECK(!id->is_zero(), "offset {}: {}", offset, record.ShortDebugString());
  return *id;
}

// The topic that `record` speaks of.
template <typename Record>
Topic& CheckedFind(TopicsImage& image, const Record& record, Offset offset) {
  Topic* topic = image.by_id.FindMutable(CheckedTopicId(record, offset));
  KVORUM_CHECK(topic != nullptr, "offset {}: no such topic: {}", offset, record.ShortDebugString());
  return *topic;
}

bool HasDuplicates(const BrokerList& list) {
  BrokerList sorted = list;
  std::sort(sorted.begin(), sorted.end());
  return std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end();
}

// True if `part` is `whole` without some of its members.
bool IsSubsequence(const BrokerList& part, const BrokerList& whole) {
  auto next = part.begin();
  for (const BrokerId id : whole) {
    if (next != part.end() && *next == id) {
      ++next;
    }
  }
  return next == part.end();
}

bool IsMember(BrokerId id, const BrokerList& list) {
  return std::find(list.begin(), list.end(), id) != list.end();
}

template <typename Ids>
BrokerList ToBrokerList(const Ids& ids) {
  BrokerList list;
  for (const int32_t id : ids) {
    list.push_back(BrokerId{id});
  }
  return list;
}

// What holds for every partition at every time.
template <typename Record>
void CheckPartition(const Partition& partition, const Record& record, Offset offset) {
  KVORUM_CHECK(!partition.replicas.empty(), "offset {}: {}", offset, record.ShortDebugString());
  KVORUM_CHECK(!HasDuplicates(partition.replicas), "offset {}: {}", offset,
               record.ShortDebugString());
  KVORUM_CHECK(!partition.isr.empty(), "offset {}: {}", offset, record.ShortDebugString());
  KVORUM_CHECK(IsSubsequence(partition.isr, partition.replicas), "offset {}: {}", offset,
               record.ShortDebugString());
  KVORUM_CHECK(partition.leader == kNoLeader || IsMember(partition.leader, partition.isr),
               "offset {}: {}", offset, record.ShortDebugString());
  KVORUM_CHECK(partition.leader_epoch >= 0, "offset {}: {}", offset, record.ShortDebugString());
  KVORUM_CHECK(partition.partition_epoch >= 0, "offset {}: {}", offset, record.ShortDebugString());
  KVORUM_CHECK(v1::LeaderRecoveryState_IsValid(partition.leader_recovery_state), "offset {}: {}",
               offset, record.ShortDebugString());
}

// Fills what both partition records carry.
template <typename Record>
void SetState(Partition& partition, const Record& record) {
  partition.isr = ToBrokerList(record.isr());
  partition.leader = BrokerId{record.leader()};
  partition.leader_epoch = record.leader_epoch();
  partition.partition_epoch = record.partition_epoch();
  partition.leader_recovery_state = record.leader_recovery_state();
}

uint64_t HashOf(const Topic& topic) {
  return EntityHash(v1::MetadataRecord::kTopic, topic.ToRecord());
}

uint64_t HashOf(const Topic& topic, int32_t index, const Partition& partition) {
  return EntityHash(v1::MetadataRecord::kPartition, partition.ToRecord(topic.id, index));
}

}  // namespace

TopicsDelta::TopicsDelta(std::shared_ptr<const TopicsImage> base)
    : base_(std::move(base)), image_(*base_) {}

void TopicsDelta::Replay(const v1::TopicRecord& record, Offset offset) {
  base_.reset();
  Topic topic;
  topic.id = CheckedTopicId(record, offset);
  topic.name = std::make_shared<const std::string>(record.name());
  KVORUM_CHECK(!record.name().empty(), "offset {}: {}", offset, record.ShortDebugString());
  KVORUM_CHECK(!image_.by_id.Contains(topic.id), "offset {}: id exists: {}", offset,
               record.ShortDebugString());
  const std::string_view name = *topic.name;
  KVORUM_CHECK(!image_.by_name.Contains(name), "offset {}: name exists: {}", offset,
               record.ShortDebugString());
  image_.by_name.Insert(name, TopicIdByName{topic.name, topic.id});
  if (std::optional<std::string> metric_name = MetricNameOf(name)) {
    const bool is_new = image_.by_metric_name.Insert(*std::move(metric_name), topic.id);
    KVORUM_CHECK(is_new, "offset {}: name collides: {}", offset, record.ShortDebugString());
  }
  image_.state_hash += HashOf(topic);
  const Uuid id = topic.id;
  image_.by_id.Insert(id, std::move(topic));
}

void TopicsDelta::Replay(const v1::RemoveTopicRecord& record, Offset offset) {
  base_.reset();
  const Topic topic = CheckedFind(image_, record, offset);
  KVORUM_CHECK(*topic.name == record.name(), "offset {}: its name is {}: {}", offset, *topic.name,
               record.ShortDebugString());
  for (const auto& [index, partition] : topic.partitions) {
    Forget(topic, index, partition);
  }
  image_.state_hash -= HashOf(topic);
  if (const std::optional<std::string> metric_name = MetricNameOf(*topic.name)) {
    image_.by_metric_name.Erase(*metric_name);
  }
  image_.by_name.Erase(std::string_view(*topic.name));
  image_.by_id.Erase(topic.id);
}

void TopicsDelta::Replay(const v1::PartitionRecord& record, Offset offset) {
  base_.reset();
  Topic& topic = CheckedFind(image_, record, offset);
  KVORUM_CHECK(record.partition_index() == topic.partition_count(),
               "offset {}: the topic has {} partitions: {}", offset, topic.partition_count(),
               record.ShortDebugString());
  Partition partition;
  partition.replicas = ToBrokerList(record.replicas());
  SetState(partition, record);
  CheckPartition(partition, record, offset);
  Add(topic, record.partition_index(), std::move(partition));
}

void TopicsDelta::Replay(const v1::PartitionChangeRecord& record, Offset offset) {
  base_.reset();
  Topic& topic = CheckedFind(image_, record, offset);
  const Partition* current = topic.partitions.Find(record.partition_index());
  KVORUM_CHECK(current != nullptr, "offset {}: no such partition: {}", offset,
               record.ShortDebugString());
  KVORUM_CHECK(record.partition_epoch() == current->partition_epoch + 1,
               "offset {}: partition epoch is {}: {}", offset, current->partition_epoch,
               record.ShortDebugString());
  // A leader is only ever set together with a new leader epoch.
  const bool is_epoch_kept = record.leader_epoch() == current->leader_epoch;
  KVORUM_CHECK(is_epoch_kept ? record.leader() == current->leader.value()
                             : record.leader_epoch() == current->leader_epoch + 1,
               "offset {}: leader is {} of epoch {}: {}", offset, current->leader,
               current->leader_epoch, record.ShortDebugString());
  Partition partition = *current;
  SetState(partition, record);
  CheckPartition(partition, record, offset);
  Forget(topic, record.partition_index(), *current);
  topic.leaderless_count -= current->leader == kNoLeader ? 1 : 0;
  Add(topic, record.partition_index(), std::move(partition));
}

void TopicsDelta::Add(Topic& topic, int32_t index, Partition partition) {
  image_.state_hash += HashOf(topic, index, partition);
  for (const BrokerId broker : partition.isr) {
    image_.isr_index.Insert(IsrKey{broker, {topic.id, index}}, Nothing());
  }
  topic.leaderless_count += partition.leader == kNoLeader ? 1 : 0;
  ++image_.partition_count;
  topic.partitions.Insert(index, std::move(partition));
}

void TopicsDelta::Forget(const Topic& topic, int32_t index, const Partition& partition) {
  image_.state_hash -= HashOf(topic, index, partition);
  for (const BrokerId broker : partition.isr) {
    image_.isr_index.Erase(IsrKey{broker, {topic.id, index}});
  }
  --image_.partition_count;
}

std::shared_ptr<const TopicsImage> TopicsDelta::Apply() const {
  return base_ != nullptr ? base_ : std::make_shared<const TopicsImage>(image_);
}

}  // namespace kvorum
