#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/metadata/brokers/broker_fencing.h"
#include "server/metadata/item_status.h"
#include "server/metadata/record_codec.h"
#include "server/metadata/request_checks.h"
#include "server/metadata/topics/partition_change.h"
#include "server/metadata/topics/partition_info.h"
#include "server/metadata/topics/topic_validation.h"
#include "server/metadata/topics/topics_commands.h"

namespace kvorum {
namespace {

using Item = v1::AlterPartitionRequest::Item;

// A partition that a request names, for messages and records.
struct Named {
  PartitionKey key;
  const Partition& partition;
};

absl::Status Refuse(ErrorReason reason, const PartitionKey& key, std::string_view why) {
  return MakeError(reason,
                   fmt::format("partition {} of topic {}: {}", key.index, key.topic_id, why));
}

// The sender must know the partition as it is: the order of these checks is Kafka's, so that a
// stale controller is never mistaken for a stale broker.
absl::Status ValidateEpochs(const Item& item, const Named& named, BrokerId sender) {
  const Partition& partition = named.partition;
  if (item.leader_epoch() > partition.leader_epoch) {
    return Refuse(ErrorReason::kNotController, named.key,
                  fmt::format("leader epoch {} is ahead of this controller's {}; find the active "
                              "controller",
                              item.leader_epoch(), partition.leader_epoch));
  }
  if (item.partition_epoch() > partition.partition_epoch) {
    return Refuse(ErrorReason::kNotController, named.key,
                  fmt::format("partition epoch {} is ahead of this controller's {}; find the "
                              "active controller",
                              item.partition_epoch(), partition.partition_epoch));
  }
  if (item.leader_epoch() < partition.leader_epoch) {
    return Refuse(ErrorReason::kFencedLeaderEpoch, named.key,
                  fmt::format("leader epoch {} is over, it is {} now; apply the metadata up to "
                              "there",
                              item.leader_epoch(), partition.leader_epoch));
  }
  if (partition.leader != sender) {
    return Refuse(ErrorReason::kInvalidRequest, named.key,
                  fmt::format("broker {} does not lead it, {} does; only the leader changes it",
                              sender, partition.leader));
  }
  if (item.partition_epoch() < partition.partition_epoch) {
    return Refuse(ErrorReason::kInvalidUpdateVersion, named.key,
                  fmt::format("partition epoch {} is over, it is {} now; apply the metadata up to "
                              "there and decide anew",
                              item.partition_epoch(), partition.partition_epoch));
  }
  return absl::OkStatus();
}

// The in-sync replicas that `item` asks for, in the order of the replicas.
absl::StatusOr<PartitionTarget> ValidateIsr(const Item& item, const Named& named, BrokerId sender) {
  std::set<BrokerId> members;
  for (const v1::IsrMember& member : item.new_isr()) {
    if (!members.insert(BrokerId{member.broker_id()}).second) {
      return Refuse(ErrorReason::kInvalidRequest, named.key,
                    fmt::format("new_isr names broker {} twice; name it once", member.broker_id()));
    }
  }
  PartitionTarget target{{}, item.leader_recovery_state()};
  for (const BrokerId id : named.partition.replicas) {
    if (members.erase(id) > 0) {
      target.isr.push_back(id);
    }
  }
  if (!members.empty()) {
    return Refuse(ErrorReason::kInvalidRequest, named.key,
                  fmt::format("new_isr names broker {}, which holds no replica; name replicas only",
                              *members.begin()));
  }
  if (std::find(target.isr.begin(), target.isr.end(), sender) == target.isr.end()) {
    return Refuse(
        ErrorReason::kInvalidRequest, named.key,
        fmt::format("new_isr lacks the leader, broker {}; the leader is always in sync", sender));
  }
  return target;
}

// KIP-704: a leader that was elected uncleanly recovers alone, and only once.
absl::Status ValidateRecovery(const PartitionTarget& target, const Named& named) {
  if (!v1::LeaderRecoveryState_IsValid(target.leader_recovery_state)) {
    return Refuse(ErrorReason::kInvalidRequest, named.key,
                  fmt::format("leader_recovery_state has the unknown value {}; use RECOVERED or "
                              "RECOVERING",
                              static_cast<int>(target.leader_recovery_state)));
  }
  if (target.leader_recovery_state == v1::LEADER_RECOVERY_STATE_RECOVERED) {
    return absl::OkStatus();
  }
  if (target.isr.size() > 1) {
    return Refuse(ErrorReason::kInvalidRequest, named.key,
                  fmt::format("a recovering leader with {} in-sync replicas; only the leader can "
                              "be in sync until it has recovered",
                              target.isr.size()));
  }
  if (named.partition.leader_recovery_state == v1::LEADER_RECOVERY_STATE_RECOVERED) {
    return Refuse(ErrorReason::kInvalidRequest, named.key,
                  "its leader has recovered and can't be recovering again; send RECOVERED");
  }
  return absl::OkStatus();
}

// KIP-841: a broker that is fenced, or another incarnation, may not join.
absl::Status ValidateEligible(const Item& item, const PartitionKey& key,
                              const BrokersImage& brokers) {
  for (const v1::IsrMember& member : item.new_isr()) {
    const Broker* broker = brokers.Find(BrokerId{member.broker_id()});
    if (broker == nullptr) {
      return Refuse(
          ErrorReason::kIneligibleReplica, key,
          fmt::format("broker {} of new_isr is not registered; leave it out", member.broker_id()));
    }
    if (broker->is_fenced) {
      return Refuse(ErrorReason::kIneligibleReplica, key,
                    fmt::format("broker {} of new_isr is fenced; leave it out until it is unfenced",
                                member.broker_id()));
    }
    if (member.broker_epoch() != -1 && BrokerEpoch{member.broker_epoch()} != broker->epoch) {
      return Refuse(ErrorReason::kIneligibleReplica, key,
                    fmt::format("broker {} of new_isr has epoch {} but {} was sent; that "
                                "incarnation is gone, leave it out",
                                member.broker_id(), broker->epoch, member.broker_epoch()));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Named> FindPartition(const TopicsImage& topics, const Item& item) {
  v1::TopicRef ref;
  ref.set_topic_id(item.topic_id());
  KVORUM_ASSIGN_OR_RETURN(const Topic* topic, ResolveTopic(topics, ref));
  const PartitionKey key{topic->id, item.partition_index()};
  const Partition* partition = topic->partitions.Find(item.partition_index());
  if (partition == nullptr) {
    return Refuse(ErrorReason::kUnknownTopicOrPartition, key,
                  fmt::format("the topic '{}' has {} partitions only", *topic->name,
                              topic->partition_count()));
  }
  return Named{key, *partition};
}

// One request under way.
struct Alteration {
  const MetadataImage& image;
  BrokerId sender;
  std::set<PartitionKey> seen;
  std::vector<v1::MetadataRecord> records;
};

// Validates one item and appends what it decides. Returns what the partition becomes.
absl::StatusOr<v1::PartitionInfo> AlterOne(const Item& item, Alteration& alteration) {
  const BrokersImage& brokers = alteration.image.brokers();
  const BrokerId sender = alteration.sender;
  KVORUM_ASSIGN_OR_RETURN(const Named named, FindPartition(alteration.image.topics(), item));
  if (!alteration.seen.insert(named.key).second) {
    // Items are decided on the image alone, so a second change would not see the first.
    return Refuse(ErrorReason::kInvalidRequest, named.key,
                  "it is named more than once in the request; name it once");
  }
  KVORUM_RETURN_IF_ERROR(ValidateEpochs(item, named, sender));
  KVORUM_ASSIGN_OR_RETURN(const PartitionTarget target, ValidateIsr(item, named, sender));
  KVORUM_RETURN_IF_ERROR(ValidateRecovery(target, named));
  KVORUM_RETURN_IF_ERROR(ValidateEligible(item, named.key, brokers));

  Partition after = named.partition;
  const ActiveBrokers active{.brokers = brokers, .leaving = {}, .arriving = {}};
  if (auto record = ChangePartition(named.key, named.partition, target, active)) {
    const v1::PartitionChangeRecord& change = record->partition_change();
    after.isr = target.isr;
    after.leader = BrokerId{change.leader()};
    after.leader_epoch = change.leader_epoch();
    after.partition_epoch = change.partition_epoch();
    after.leader_recovery_state = change.leader_recovery_state();
    alteration.records.push_back(*std::move(record));
  }
  return ToPartitionInfo(item.partition_index(), after);
}

}  // namespace

absl::StatusOr<CommandResult<v1::AlterPartitionResponse>> Execute(
    const CommandContext& context, const v1::AlterPartitionRequest& request) {
  KVORUM_RETURN_IF_ERROR(CheckBrokerId(request.broker_id()));
  if (request.partitions().empty() || request.partitions_size() > kMaxPartitionsPerRequest) {
    return MakeError(ErrorReason::kInvalidRequest,
                     fmt::format("the request has {} partitions; name 1 to {}",
                                 request.partitions_size(), kMaxPartitionsPerRequest));
  }
  const BrokerId sender{request.broker_id()};
  KVORUM_RETURN_IF_ERROR(
      CheckBrokerEpoch(context.image.brokers(), sender, BrokerEpoch{request.broker_epoch()}));
  CommandResult<v1::AlterPartitionResponse> result;
  Alteration alteration{context.image, sender, {}, {}};
  for (const Item& item : request.partitions()) {
    absl::StatusOr<v1::PartitionInfo> info = AlterOne(item, alteration);
    v1::AlterPartitionResponse::Result& item_result = *result.response.add_results();
    item_result.set_topic_id(item.topic_id());
    item_result.set_partition_index(item.partition_index());
    *item_result.mutable_status() = ToItemStatus(info.status());
    if (info.ok()) {
      *item_result.mutable_partition() = *std::move(info);
    }
  }
  result.records = std::move(alteration.records);
  KVORUM_RETURN_IF_ERROR(CheckFitsOneBatch(result.records));
  return result;
}

}  // namespace kvorum
