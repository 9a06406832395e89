#include "server/metadata/topics/partition_moves.h"

#include <utility>

#include "server/metadata/topics/partition_change.h"
#include "server/metadata/topics/topic_settings.h"

namespace kvorum {
namespace {

// Partitions that one step of the balancing looks at, so that it never holds the loop up.
constexpr size_t kMaxLookedAtPerStep = 20'000;

void Append(std::optional<v1::MetadataRecord> record, std::vector<v1::MetadataRecord>& records) {
  if (record.has_value()) {
    records.push_back(*std::move(record));
  }
}

}  // namespace

std::vector<v1::MetadataRecord> RemoveFromIsrs(const MetadataImage& image, BrokerId leaving,
                                               Departure departure) {
  const ActiveBrokers active{.brokers = image.brokers(), .leaving = leaving};
  const bool is_unclean = departure == Departure::kUnclean;
  std::vector<v1::MetadataRecord> records;
  image.topics().VisitHostedBy(
      leaving, [&](const Topic& topic, int32_t index, const Partition& current) {
        const bool is_in_sync = Contains(current.isr, leaving);
        if (!is_in_sync && !(is_unclean && Contains(current.elr, leaving))) {
          return;
        }
        PartitionTarget target(current);
        target.isr = Without(current.isr, {leaving});
        if (is_unclean) {
          target.stopped_uncleanly = leaving;
        }
        if (IsUncleanElectionEnabled(image, topic)) {
          target.election = Election::kUnclean;
        }
        Append(ChangePartition({{topic.id, index}, current, topic}, target, active), records);
      });
  return records;
}

std::vector<v1::MetadataRecord> ElectWhereLeaderless(const MetadataImage& image,
                                                     BrokerId arriving) {
  const ActiveBrokers active{.brokers = image.brokers(), .arriving = arriving};
  std::vector<v1::MetadataRecord> records;
  const auto& hosted = image.topics().hosted;
  for (const auto& [topic_id, nothing] : image.topics().With(PartitionTrait::kLeaderless)) {
    if (!hosted.Contains(HostedTopic{arriving, topic_id})) {
      continue;
    }
    const Topic& topic = *image.topics().Find(topic_id);
    topic.partitions.VisitHostedBy(arriving, [&](int32_t index, const Partition& current) {
      if (current.leader != kNoLeader) {
        return;
      }
      PartitionTarget target(current);
      if (IsUncleanElectionEnabled(image, topic)) {
        target.election = Election::kUnclean;
      }
      Append(ChangePartition({{topic.id, index}, current, topic}, target, active), records);
    });
  }
  return records;
}

std::vector<v1::MetadataRecord> MoveLeadersAway(const MetadataImage& image, BrokerId draining) {
  const ActiveBrokers active{.brokers = image.brokers(), .draining = draining};
  std::vector<v1::MetadataRecord> records;
  image.topics().VisitHostedBy(draining, [&](const Topic& topic, int32_t index,
                                             const Partition& current) {
    if (current.leader == draining) {
      Append(ChangePartition({{topic.id, index}, current, topic}, PartitionTarget(current), active),
             records);
    }
  });
  return records;
}

BalanceStep BalanceLeaders(const MetadataImage& image, const PartitionKey& from,
                           size_t max_changes) {
  const ActiveBrokers active{.brokers = image.brokers()};
  const auto& unbalanced = image.topics().With(PartitionTrait::kNotPreferredLeader);
  BalanceStep step;
  size_t looked_at = 0;
  for (auto it = unbalanced.lower_bound(from.topic_id); it != unbalanced.end(); ++it) {
    const Topic& topic = *image.topics().Find(it->key);
    const PartitionList& partitions = topic.partitions;
    const int32_t first = topic.id == from.topic_id ? from.index : 0;
    for (auto next = partitions.From(first); next != partitions.end(); ++next) {
      if (step.records.size() == max_changes || looked_at == kMaxLookedAtPerStep) {
        step.next = {topic.id, next->index};
        return step;
      }
      ++looked_at;
      const Partition& current = next->partition;
      if (current.leader == current.replicas.front() ||
          active.IsDrained(current.replicas.front())) {
        continue;
      }
      PartitionTarget target(current);
      target.election = Election::kPreferred;
      auto record = ChangePartition({{topic.id, next->index}, current, topic}, target, active);
      if (record.has_value() &&
          record->partition_change().leader() == current.replicas.front().value()) {
        step.records.push_back(*std::move(record));
      }
    }
  }
  step.is_done = true;
  return step;
}

}  // namespace kvorum
