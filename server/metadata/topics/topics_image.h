#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvorum/v1/record.pb.h"
#include "server/base/ids.h"
#include "server/base/persistent_map.h"
#include "server/base/uuid.h"
#include "server/metadata/topics/partition_list.h"

namespace kvorum {

// What partitions are counted and found by.
enum class PartitionTrait : uint8_t {
  kLeaderless,
  kUnderReplicated,  // fewer in-sync replicas than its replication factor
  kAtMinIsr,         // as many in-sync replicas as min_insync_replicas, or fewer
  kReassigning,
  kNotPreferredLeader,  // another than the first replica leads, or nobody
};
inline constexpr size_t kPartitionTraits = 5;

// One topic with its partitions, 0 to n - 1.
struct Topic {
  Uuid id;
  std::shared_ptr<const std::string> name;
  // What it was created with; 1: nothing of its own.
  int32_t own_min_insync_replicas = 1;
  // The config min.insync.replicas of the topic; 0: not set.
  int32_t configured_min_insync_replicas = 0;
  // What is in effect, by which eligible leaders are kept (KIP-966).
  int32_t min_insync_replicas = 1;
  PartitionList partitions;
  std::array<int32_t, kPartitionTraits> counts{};  // partitions by PartitionTrait
  uint64_t hash_seed = 0;                          // of its partitions' share in the state hash

  int32_t count(PartitionTrait trait) const { return counts[static_cast<size_t>(trait)]; }
  int32_t partition_count() const { return partitions.size(); }
  // That of partition 0, as new partitions get it (KIP-195); 0 without partitions.
  int32_t replication_factor() const;
  v1::TopicRecord ToRecord() const;
};

// The in-sync replicas below which a partition of `topic` with `replica_count` of them counts as
// too few: what the effective min.insync.replicas is made of (KIP-966).
inline size_t MinIsr(const Topic& topic, size_t replica_count) {
  return std::min(static_cast<size_t>(topic.min_insync_replicas), replica_count);
}

// What is in effect for `topic`: its config, what it was created with, the default of all brokers.
inline int32_t MinInsyncInEffect(const Topic& topic, int32_t default_min_insync_replicas) {
  if (topic.configured_min_insync_replicas > 0) {
    return topic.configured_min_insync_replicas;
  }
  return topic.own_min_insync_replicas > 1 ? topic.own_min_insync_replicas
                                           : default_min_insync_replicas;
}

// True if `partition` of `topic` has the trait.
bool HasTrait(const Topic& topic, const Partition& partition, PartitionTrait trait);

struct TopicIdByName {
  std::shared_ptr<const std::string> name;  // what the map's key views
  Uuid id;
};

struct PartitionKey {
  Uuid topic_id;
  int32_t index = 0;

  friend constexpr auto operator<=>(const PartitionKey&, const PartitionKey&) = default;
};

// A topic that has replicas on `broker`. One broker's are a range.
struct HostedTopic {
  BrokerId broker;
  Uuid topic_id;

  friend constexpr auto operator<=>(const HostedTopic&, const HostedTopic&) = default;
};

// What partitions have to do with one broker.
struct BrokerLoad {
  int32_t replicas = 0;
  int32_t in_sync = 0;
  int32_t leaders = 0;

  friend bool operator==(const BrokerLoad&, const BrokerLoad&) = default;
};

struct Nothing {};

// All topics and partitions. Immutable once shared (held as shared_ptr<const TopicsImage>); any
// thread. Only TopicsDelta makes new ones.
struct TopicsImage {
  PersistentMap<Uuid, Topic> by_id;
  PersistentMap<std::string_view, TopicIdByName> by_name;
  // Names that hold '.' or '_', under MetricNameOf.
  PersistentMap<std::string, Uuid> by_metric_name;
  // How many partitions of the topic have a replica on the broker; never 0.
  PersistentMap<HostedTopic, int32_t> hosted;
  PersistentMap<BrokerId, BrokerLoad> loads;  // of brokers with replicas
  // By PartitionTrait: the topics that have such partitions.
  std::array<PersistentMap<Uuid, Nothing>, kPartitionTraits> with_trait;
  size_t partition_count = 0;
  // What topics fall back to: the config min.insync.replicas of all brokers. Follows from the
  // configs, as what is in effect for each topic does, and is not in the state hash.
  int32_t default_min_insync_replicas = 1;
  uint64_t state_hash = 0;

  // nullptr if there is none.
  const Topic* Find(const Uuid& id) const { return by_id.Find(id); }
  const Topic* Find(std::string_view name) const;
  BrokerLoad LoadOf(BrokerId broker) const;
  const PersistentMap<Uuid, Nothing>& With(PartitionTrait trait) const {
    return with_trait[static_cast<size_t>(trait)];
  }

  // Calls `visit(topic, index, partition)` for the partitions at or above `first` with a replica on
  // `broker`, by topic id and index, until it says false. In proportion to the topics that have
  // one.
  template <typename Visitor>
  void VisitHostedBy(BrokerId broker, const PartitionKey& first, Visitor visit) const {
    for (auto it = hosted.lower_bound(HostedTopic{broker, first.topic_id});
         it != hosted.end() && it->key.broker == broker; ++it) {
      const Topic& topic = *Find(it->key.topic_id);
      const bool goes_on =
          topic.partitions.VisitHostedBy(broker, topic.id == first.topic_id ? first.index : 0,
                                         [&](int32_t index, const Partition& partition) {
                                           return visit(topic, index, partition);
                                         });
      if (!goes_on) {
        return;
      }
    }
  }
};

// Where names collide: metric names write '_' for '.', as Kafka's do. nullopt for names that have
// neither and so can't collide.
std::optional<std::string> MetricNameOf(std::string_view topic_name);

// The partitions in whose in-sync replicas `broker` is, by topic id and index.
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
  std::optional<PartitionList::const_iterator> next_partition_;
};

}  // namespace kvorum
