#include "server/metadata/topics/partition_change.h"

#include <algorithm>
#include <utility>

#include "server/base/check.h"

namespace kvorum {
namespace {

BrokerId ElectLeader(const Partition& current, const BrokerList& isr, const ActiveBrokers& active) {
  const auto may_lead = [&](BrokerId id) {
    return std::find(isr.begin(), isr.end(), id) != isr.end() && active.Contains(id);
  };
  if (may_lead(current.leader)) {
    return current.leader;
  }
  const auto found = std::find_if(current.replicas.begin(), current.replicas.end(), may_lead);
  return found == current.replicas.end() ? kNoLeader : *found;
}

const Partition& Get(const TopicsImage& topics, const PartitionKey& key) {
  const Topic* topic = topics.Find(key.topic_id);
  KVORUM_CHECK(topic != nullptr, "index names topic {}", key.topic_id);
  const Partition* partition = topic->partitions.Find(key.index);
  KVORUM_CHECK(partition != nullptr, "index names partition {} of topic {}", key.index,
               key.topic_id);
  return *partition;
}

}  // namespace

std::optional<v1::MetadataRecord> ChangePartition(const PartitionKey& key, const Partition& current,
                                                  const PartitionTarget& target,
                                                  const ActiveBrokers& active) {
  const BrokerId leader = ElectLeader(current, target.isr, active);
  const bool is_leader_set = leader != current.leader;
  if (!is_leader_set && target.isr == current.isr &&
      target.leader_recovery_state == current.leader_recovery_state) {
    return std::nullopt;
  }
  v1::MetadataRecord record;
  v1::PartitionChangeRecord& change = *record.mutable_partition_change();
  change.set_topic_id(key.topic_id.ToBytes());
  change.set_partition_index(key.index);
  for (const BrokerId id : target.isr) {
    change.add_isr(id.value());
  }
  change.set_leader(leader.value());
  change.set_leader_epoch(current.leader_epoch + (is_leader_set ? 1 : 0));
  change.set_partition_epoch(current.partition_epoch + 1);
  change.set_leader_recovery_state(target.leader_recovery_state);
  return record;
}

std::vector<v1::MetadataRecord> RemoveFromIsrs(const MetadataImage& image, BrokerId leaving) {
  const ActiveBrokers active{.brokers = image.brokers(), .leaving = leaving, .arriving = {}};
  std::vector<v1::MetadataRecord> records;
  for (const PartitionKey& key : PartitionsInSyncOn(image.topics(), leaving)) {
    const Partition& current = Get(image.topics(), key);
    PartitionTarget target{current.isr, current.leader_recovery_state};
    if (target.isr.size() > 1) {
      target.isr.erase(std::find(target.isr.begin(), target.isr.end(), leaving));
    }
    if (auto record = ChangePartition(key, current, target, active)) {
      records.push_back(*std::move(record));
    }
  }
  return records;
}

std::vector<v1::MetadataRecord> ElectWhereLeaderless(const MetadataImage& image,
                                                     BrokerId arriving) {
  const ActiveBrokers active{.brokers = image.brokers(), .leaving = {}, .arriving = arriving};
  std::vector<v1::MetadataRecord> records;
  for (const PartitionKey& key : PartitionsInSyncOn(image.topics(), arriving)) {
    const Partition& current = Get(image.topics(), key);
    if (current.leader != kNoLeader) {
      continue;
    }
    const PartitionTarget target{current.isr, current.leader_recovery_state};
    if (auto record = ChangePartition(key, current, target, active)) {
      records.push_back(*std::move(record));
    }
  }
  return records;
}

}  // namespace kvorum
