#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "kvorum/v1/record.pb.h"
#include "server/base/ids.h"
#include "server/base/persistent_map.h"
#include "server/base/uuid.h"

namespace kvorum {

inline constexpr BrokerId kNoLeader{-1};

// Up to four without an allocation: the replicas of nearly every partition.
using BrokerList = absl::InlinedVector<BrokerId, 4>;

// One partition. Plain value.
struct Partition {
  BrokerList replicas;          // preferred leader first
  BrokerList isr;               // in-sync replicas, in the order of `replicas`; never empty
  BrokerId leader = kNoLeader;  // of the in-sync replicas
  int32_t leader_epoch = 0;
  int32_t partition_epoch = 0;
  v1::LeaderRecoveryState leader_recovery_state = v1::LEADER_RECOVERY_STATE_RECOVERED;

  // The record that creates this partition as it is.
  v1::PartitionRecord ToRecord(const Uuid& topic_id, int32_t index) const;
};

// One topic with its partitions, 0 to n - 1.
struct Topic {
  Uuid id;
  std::shared_ptr<const std::string> name;
  PersistentMap<int32_t, Partition> partitions;
  int32_t leaderless_count = 0;

  int32_t partition_count() const { return static_cast<int32_t>(partitions.size()); }
  // That of partition 0, as new partitions get it (KIP-195); 0 without partitions.
  int32_t replication_factor() const;
  v1::TopicRecord ToRecord() const;
};

struct TopicIdByName {
  std::shared_ptr<const std::string> name;  // what the map's key views
  Uuid id;
};

struct PartitionKey {
  Uuid topic_id;
  int32_t index = 0;

  friend constexpr auto operator<=>(const PartitionKey&, const PartitionKey&) = default;
};

// A partition in whose in-sync replicas `broker` is. One broker's are a range.
struct IsrKey {
  BrokerId broker;
  PartitionKey partition;

  friend constexpr auto operator<=>(const IsrKey&, const IsrKey&) = default;
};

struct Nothing {};

// All topics and partitions. Immutable once shared (held as shared_ptr<const TopicsImage>); any
// thread. Only TopicsDelta makes new ones.
struct TopicsImage {
  PersistentMap<Uuid, Topic> by_id;
  PersistentMap<std::string_view, TopicIdByName> by_name;
  // Names that hold '.' or '_', under MetricNameOf.
  PersistentMap<std::string, Uuid> by_metric_name;
  PersistentMap<IsrKey, Nothing> isr_index;
  size_t partition_count = 0;
  uint64_t state_hash = 0;

  // nullptr if there is none.
  const Topic* Find(const Uuid& id) const { return by_id.Find(id); }
  const Topic* Find(std::string_view name) const;
};

// Where names collide: metric names write '_' for '.', as Kafka's do. nullopt for names that have
// neither and so can't collide.
std::optional<std::string> MetricNameOf(std::string_view topic_name);

// The partitions in whose in-sync replicas `broker` is. O(result + log).
std::vector<PartitionKey> PartitionsInSyncOn(const TopicsImage& image, BrokerId broker);

// Turns an image back into records: each topic, by id, then its partitions. Borrows the image.
class TopicsCursor {
 public:
  explicit TopicsCursor(const TopicsImage& image);

  // Sets `record` to the next one; false at the end.
  bool Next(v1::MetadataRecord& record);

 private:
  decltype(TopicsImage::by_id)::const_iterator next_topic_;
  const Topic* topic_ = nullptr;  // whose partitions are under way
  decltype(Topic::partitions)::const_iterator next_partition_;
};

}  // namespace kvorum
