#include "server/metadata/topics/topics_delta.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/base/check.h"
#include "server/base/crc32c.h"
#include "server/metadata/entity_hash.h"

namespace kvorum {
namespace {

// The least and most that a record's field may be.
constexpr int32_t kMaxMinInsyncReplicas = static_cast<int32_t>(kMaxReplicas);

template <typename Record>
Uuid CheckedTopicId(const Record& record, Offset offset) {
  const std::optional<Uuid> id = Uuid::FromBytes(record.topic_id());
  KVORUM_CHECK(id.has_value(), "offset {}: {}", offset, record.ShortDebugString());
  KVORUM_CHECK(!id->is_zero(), "offset {}: {}", offset, record.ShortDebugString());
  return *id;
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

bool AreDisjoint(const BrokerList& a, const BrokerList& b) {
  return std::none_of(a.begin(), a.end(), [&b](BrokerId id) { return Contains(b, id); });
}

// What is wrong with `partition`; empty: nothing. Holds for every partition at every time.
std::string_view FaultOf(const Partition& partition) {
  const BrokerList& replicas = partition.replicas;
  if (replicas.empty() || replicas.size() > kMaxReplicas || HasDuplicates(replicas) ||
      *std::min_element(replicas.begin(), replicas.end()) < BrokerId{0}) {
    return "its replicas";
  }
  for (const BrokerList* part :
       {&partition.isr, &partition.elr, &partition.adding, &partition.removing}) {
    if (!IsSubsequence(*part, replicas)) {
      return "a list that is no part of its replicas";
    }
  }
  if (!AreDisjoint(partition.isr, partition.elr)) {
    return "an eligible leader that is in sync";
  }
  if (!AreDisjoint(partition.adding, partition.removing) ||
      partition.replicas.size() == partition.adding.size()) {
    return "its reassignment";
  }
  if (partition.leader != kNoLeader && !Contains(partition.isr, partition.leader)) {
    return "a leader that is not in sync";
  }
  if (partition.last_known_leader != kNoLeader &&
      (partition.leader != kNoLeader || !Contains(replicas, partition.last_known_leader))) {
    return "its last known leader";
  }
  if (partition.leader_epoch < 0 || partition.partition_epoch < 0) {
    return "its epochs";
  }
  return {};
}

template <typename Record>
void CheckPartition(const Partition& partition, const Record& record, Offset offset) {
  const std::string_view fault = FaultOf(partition);
  KVORUM_CHECK(fault.empty(), "offset {}: {}: {}", offset, fault, record.ShortDebugString());
  KVORUM_CHECK(record.last_known_elr_size() <= 1, "offset {}: {}", offset,
               record.ShortDebugString());
  KVORUM_CHECK(v1::LeaderRecoveryState_IsValid(partition.leader_recovery_state), "offset {}: {}",
               offset, record.ShortDebugString());
}

uint64_t HashOf(const Topic& topic) {
  return EntityHash(v1::MetadataRecord::kTopic, topic.ToRecord());
}

uint64_t HashOf(const Topic& topic, int32_t index, std::string_view row) {
  return Hash64(row, topic.hash_seed + static_cast<uint64_t>(index));
}

// What one partition adds to the load of a broker.
BrokerLoad ShareOf(const Partition& partition, BrokerId broker) {
  if (!Contains(partition.replicas, broker)) {
    return BrokerLoad();
  }
  return {.replicas = 1,
          .in_sync = Contains(partition.isr, broker) ? 1 : 0,
          .leaders = partition.leader == broker ? 1 : 0};
}

}  // namespace

TopicsDelta::TopicsDelta(std::shared_ptr<const TopicsImage> base)
    : base_(std::move(base)), image_(*base_) {}

// The topic that `record` speaks of.
template <typename Record>
Topic& TopicsDelta::CheckedFind(const Record& record, Offset offset) {
  const Uuid id = CheckedTopicId(record, offset);
  if (last_topic_ == nullptr || last_topic_->id != id) {
    last_topic_ = image_.by_id.FindMutable(id);
  }
  KVORUM_CHECK(last_topic_ != nullptr, "offset {}: no such topic: {}", offset,
               record.ShortDebugString());
  return *last_topic_;
}

void TopicsDelta::Replay(const v1::TopicRecord& record, Offset offset) {
  base_.reset();
  last_topic_ = nullptr;
  Topic topic;
  topic.id = CheckedTopicId(record, offset);
  topic.name = std::make_shared<const std::string>(record.name());
  topic.own_min_insync_replicas = std::max(record.min_insync_replicas(), 1);
  topic.min_insync_replicas = MinInsyncInEffect(topic, image_.default_min_insync_replicas);
  topic.hash_seed = Hash64(record.topic_id(), v1::MetadataRecord::kPartition);
  KVORUM_CHECK(!record.name().empty(), "offset {}: {}", offset, record.ShortDebugString());
  KVORUM_CHECK(record.min_insync_replicas() >= 0, "offset {}: {}", offset,
               record.ShortDebugString());
  KVORUM_CHECK(record.min_insync_replicas() <= kMaxMinInsyncReplicas, "offset {}: {}", offset,
               record.ShortDebugString());
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
  Topic topic = CheckedFind(record, offset);
  last_topic_ = nullptr;
  KVORUM_CHECK(*topic.name == record.name(), "offset {}: its name is {}: {}", offset, *topic.name,
               record.ShortDebugString());
  for (const auto& [index, partition] : topic.partitions) {
    image_.state_hash -= HashOf(topic, index, topic.partitions.RowAt(index));
    Count(topic, {.before = &partition, .after = nullptr});
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
  Topic& topic = CheckedFind(record, offset);
  KVORUM_CHECK(record.partition_index() == topic.partition_count(),
               "offset {}: the topic has {} partitions: {}", offset, topic.partition_count(),
               record.ShortDebugString());
  const Partition partition = ToPartition(record);
  CheckPartition(partition, record, offset);
  const std::string row = EncodeRow(partition);
  image_.state_hash += HashOf(topic, record.partition_index(), row);
  topic.partitions.Append(row);
  Count(topic, {.before = nullptr, .after = &partition});
}

void TopicsDelta::Replay(const v1::PartitionChangeRecord& record, Offset offset) {
  base_.reset();
  Topic& topic = CheckedFind(record, offset);
  const int32_t index = record.partition_index();
  const std::optional<Partition> current = topic.partitions.Find(index);
  KVORUM_CHECK(current.has_value(), "offset {}: no such partition: {}", offset,
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
  const Partition partition = Changed(*current, record);
  CheckPartition(partition, record, offset);
  const std::string row = EncodeRow(partition);
  image_.state_hash +=
      HashOf(topic, index, row) - HashOf(topic, index, topic.partitions.RowAt(index));
  topic.partitions.Replace(index, row);
  Count(topic, {.before = &*current, .after = &partition});
}

void TopicsDelta::SetMinInsyncConfig(std::string_view topic_name, int32_t value) {
  base_.reset();
  const TopicIdByName* found = image_.by_name.Find(topic_name);
  KVORUM_CHECK(found != nullptr, "min.insync.replicas of topic {}, which does not exist",
               topic_name);
  last_topic_ = image_.by_id.FindMutable(found->id);
  last_topic_->configured_min_insync_replicas = value;
  UpdateMinInsync(*last_topic_);
}

void TopicsDelta::SetDefaultMinInsync(int32_t value) {
  base_.reset();
  last_topic_ = nullptr;
  image_.default_min_insync_replicas = std::max(value, 1);
  std::vector<Uuid> affected;
  for (const auto& [id, topic] : image_.by_id) {
    if (MinInsyncInEffect(topic, image_.default_min_insync_replicas) != topic.min_insync_replicas) {
      affected.push_back(id);
    }
  }
  for (const Uuid& id : affected) {
    UpdateMinInsync(*image_.by_id.FindMutable(id));
  }
}

void TopicsDelta::UpdateMinInsync(Topic& topic) {
  topic.min_insync_replicas = MinInsyncInEffect(topic, image_.default_min_insync_replicas);
  constexpr auto kTrait = static_cast<size_t>(PartitionTrait::kAtMinIsr);
  int32_t count = 0;
  for (const auto& [index, partition] : topic.partitions) {
    count += HasTrait(topic, partition, PartitionTrait::kAtMinIsr) ? 1 : 0;
  }
  if (count > 0 && topic.counts[kTrait] == 0) {
    image_.with_trait[kTrait].Insert(topic.id, Nothing());
  } else if (count == 0 && topic.counts[kTrait] > 0) {
    image_.with_trait[kTrait].Erase(topic.id);
  }
  topic.counts[kTrait] = count;
}

void TopicsDelta::Count(Topic& topic, const Change& change) {
  CountTraits(topic, change);
  if (change.before == nullptr || change.after == nullptr ||
      change.before->replicas != change.after->replicas) {
    CountHosts(topic, change);
  }
  CountLoads(change);
  image_.partition_count += change.before == nullptr ? 1 : 0;
  image_.partition_count -= change.after == nullptr ? 1 : 0;
}

void TopicsDelta::CountTraits(Topic& topic, const Change& change) {
  for (size_t i = 0; i < kPartitionTraits; ++i) {
    const auto trait = static_cast<PartitionTrait>(i);
    const bool had = change.before != nullptr && HasTrait(topic, *change.before, trait);
    const bool has = change.after != nullptr && HasTrait(topic, *change.after, trait);
    if (had == has) {
      continue;
    }
    topic.counts[i] += has ? 1 : -1;
    if (has && topic.counts[i] == 1) {
      image_.with_trait[i].Insert(topic.id, Nothing());
    } else if (had && topic.counts[i] == 0) {
      image_.with_trait[i].Erase(topic.id);
    }
  }
}

void TopicsDelta::CountHosts(const Topic& topic, const Change& change) {
  const auto add = [&](const BrokerList& replicas, int32_t sign) {
    for (const BrokerId id : replicas) {
      const HostedTopic key{id, topic.id};
      const int32_t* count = image_.hosted.Find(key);
      const int32_t sum = (count == nullptr ? 0 : *count) + sign;
      if (sum == 0) {
        image_.hosted.Erase(key);
      } else {
        image_.hosted.Insert(key, sum);
      }
    }
  };
  if (change.after != nullptr) {
    add(change.after->replicas, 1);
  }
  if (change.before != nullptr) {
    add(change.before->replicas, -1);
  }
}

void TopicsDelta::CountLoads(const Change& change) {
  static const Partition kNone;
  const Partition& before = change.before == nullptr ? kNone : *change.before;
  const Partition& after = change.after == nullptr ? kNone : *change.after;
  for (const BrokerId id : after.replicas) {
    AddLoad(id, ShareOf(before, id), ShareOf(after, id));
  }
  for (const BrokerId id : before.replicas) {
    if (!Contains(after.replicas, id)) {
      AddLoad(id, ShareOf(before, id), BrokerLoad());
    }
  }
}

void TopicsDelta::AddLoad(BrokerId broker, const BrokerLoad& before, const BrokerLoad& after) {
  if (before == after) {
    return;
  }
  BrokerLoad* load = image_.loads.FindMutable(broker);
  if (load == nullptr) {
    image_.loads.Insert(broker, after);
    return;
  }
  load->replicas += after.replicas - before.replicas;
  load->in_sync += after.in_sync - before.in_sync;
  load->leaders += after.leaders - before.leaders;
  if (*load == BrokerLoad()) {
    image_.loads.Erase(broker);
  }
}

std::shared_ptr<const TopicsImage> TopicsDelta::Apply() const {
  last_topic_ = nullptr;  // its node is shared from now on
  return base_ != nullptr ? base_ : std::make_shared<const TopicsImage>(image_);
}

}  // namespace kvorum
