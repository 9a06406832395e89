#include "server/metadata/topics/partition_moves.h"

#include <cstdint>
#include <utility>

#include "server/metadata/topics/partition_change.h"
#include "server/metadata/topics/topic_settings.h"

namespace kvorum {
namespace {

// Partitions that one step of a sweep looks at, so that it never holds the loop up.
constexpr size_t kMaxLookedAtPerStep = 20'000;

void Append(std::optional<v1::MetadataRecord> record, std::vector<v1::MetadataRecord>& records) {
  if (record.has_value()) {
    records.push_back(*std::move(record));
  }
}

// Asks `decide` about the partitions of the topics that have some with the trait.
template <typename Decide>
SweepStep Sweep(const MetadataImage& image, PartitionTrait trait, const PartitionKey& from,
                size_t max_changes, Decide decide) {
  const auto& topics = image.topics().With(trait);
  SweepStep step;
  size_t looked_at = 0;
  for (auto it = topics.lower_bound(from.topic_id); it != topics.end(); ++it) {
    const Topic& topic = *image.topics().Find(it->key);
    const int32_t first = topic.id == from.topic_id ? from.index : 0;
    for (auto next = topic.partitions.From(first); next != topic.partitions.end(); ++next) {
      if (step.records.size() == max_changes || looked_at == kMaxLookedAtPerStep) {
        step.next = {topic.id, next->index};
        return step;
      }
      ++looked_at;
      Append(decide(topic, next->index, next->partition), step.records);
    }
  }
  step.is_done = true;
  return step;
}

}  // namespace

SweepStep RemoveFromIsrs(const MetadataImage& image, BrokerId leaving, Departure departure,
                         const PartitionKey& from, size_t max_changes) {
  const ActiveBrokers active{.brokers = image.brokers(), .leaving = leaving};
  const bool is_unclean = departure == Departure::kUnclean;
  SweepStep step{.is_done = true};
  image.topics().VisitHostedBy(
      leaving, from, [&](const Topic& topic, int32_t index, const Partition& current) {
        const bool is_in_sync = Contains(current.isr, leaving);
        if (!is_in_sync && !(is_unclean && Contains(current.elr, leaving))) {
          return true;
        }
        if (step.records.size() == max_changes) {
          step.next = {topic.id, index};
          step.is_done = false;
          return false;
        }
        PartitionTarget target(current);
        target.isr = Without(current.isr, {leaving});
        if (is_unclean) {
          target.stopped_uncleanly = leaving;
        }
        if (IsUncleanElectionEnabled(image, topic)) {
          target.election = Election::kUnclean;
        }
        Append(ChangePartition({{topic.id, index}, current, topic}, target, active), step.records);
        return true;
      });
  return step;
}

std::vector<v1::MetadataRecord> RemoveFromIsrs(const MetadataImage& image, BrokerId leaving,
                                               Departure departure) {
  return RemoveFromIsrs(image, leaving, departure, PartitionKey(), SIZE_MAX).records;
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
    topic.partitions.VisitHostedBy(arriving, 0, [&](int32_t index, const Partition& current) {
      if (current.leader != kNoLeader) {
        return true;
      }
      PartitionTarget target(current);
      if (IsUncleanElectionEnabled(image, topic)) {
        target.election = Election::kUnclean;
      }
      Append(ChangePartition({{topic.id, index}, current, topic}, target, active), records);
      return true;
    });
  }
  return records;
}

std::vector<v1::MetadataRecord> MoveLeadersAway(const MetadataImage& image, BrokerId draining) {
  const ActiveBrokers active{.brokers = image.brokers(), .draining = draining};
  std::vector<v1::MetadataRecord> records;
  const auto visit = [&](const Topic& topic, int32_t index, const Partition& current) {
    if (current.leader == draining) {
      Append(ChangePartition({{topic.id, index}, current, topic}, PartitionTarget(current), active),
             records);
    }
    return true;
  };
  image.topics().VisitHostedBy(draining, PartitionKey(), visit);
  return records;
}

SweepStep BalanceLeaders(const MetadataImage& image, const PartitionKey& from, size_t max_changes) {
  const ActiveBrokers active{.brokers = image.brokers()};
  return Sweep(image, PartitionTrait::kNotPreferredLeader, from, max_changes,
               [&](const Topic& topic, int32_t index,
                   const Partition& current) -> std::optional<v1::MetadataRecord> {
                 const BrokerId preferred = current.replicas.front();
                 if (current.leader == preferred || active.IsDrained(preferred)) {
                   return std::nullopt;
                 }
                 PartitionTarget target(current);
                 target.election = Election::kPreferred;
                 auto record = ChangePartition({{topic.id, index}, current, topic}, target, active);
                 const bool is_preferred =
                     record.has_value() && record->partition_change().leader() == preferred.value();
                 return is_preferred ? std::move(record) : std::nullopt;
               });
}

SweepStep ElectUncleanly(const MetadataImage& image, const PartitionKey& from, size_t max_changes) {
  const ActiveBrokers active{.brokers = image.brokers()};
  return Sweep(image, PartitionTrait::kLeaderless, from, max_changes,
               [&](const Topic& topic, int32_t index,
                   const Partition& current) -> std::optional<v1::MetadataRecord> {
                 if (current.leader != kNoLeader || !IsUncleanElectionEnabled(image, topic)) {
                   return std::nullopt;
                 }
                 PartitionTarget target(current);
                 target.election = Election::kUnclean;
                 return ChangePartition({{topic.id, index}, current, topic}, target, active);
               });
}

}  // namespace kvorum
