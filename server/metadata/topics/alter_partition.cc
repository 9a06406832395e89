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
#include "server/metadata/topics/named_partition.h"
#include "server/metadata/topics/partition_change.h"
#include "server/metadata/topics/partition_info.h"
#include "server/metadata/topics/topic_validation.h"
#include "server/metadata/topics/topics_commands.h"

namespace kvorum {
namespace {

using Item = v1::AlterPartitionRequest::Item;

// The sender must know the partition as it is: the order of these checks is Kafka's, so that a
// stale controller is never mistaken for a stale broker.
absl::Status ValidateEpochs(const Item& item, const NamedPartition& named, BrokerId sender) {
  const Partition& partition = named.partition;
  if (item.leader_epoch() > partition.leader_epoch) {
    return RefusePartition(
        ErrorReason::kNotController, named.key,
        fmt::format("leader epoch {} is ahead of this controller's {}; find the active "
                    "controller",
                    item.leader_epoch(), partition.leader_epoch));
  }
  if (item.partition_epoch() > partition.partition_epoch) {
    return RefusePartition(
        ErrorReason::kNotController, named.key,
        fmt::format("partition epoch {} is ahead of this controller's {}; find the "
                    "active controller",
                    item.partition_epoch(), partition.partition_epoch));
  }
  if (item.leader_epoch() < partition.leader_epoch) {
    return RefusePartition(
        ErrorReason::kFencedLeaderEpoch, named.key,
        fmt::format("leader epoch {} is over, it is {} now; apply the metadata up to "
                    "there",
                    item.leader_epoch(), partition.leader_epoch));
  }
  if (partition.leader != sender) {
    return RefusePartition(
        ErrorReason::kInvalidRequest, named.key,
        fmt::format("broker {} does not lead it, {} does; only the leader changes it", sender,
                    partition.leader));
  }
  if (item.partition_epoch() < partition.partition_epoch) {
    return RefusePartition(
        ErrorReason::kInvalidUpdateVersion, named.key,
        fmt::format("partition epoch {} is over, it is {} now; apply the metadata up to "
                    "there and decide anew",
                    item.partition_epoch(), partition.partition_epoch));
  }
  return absl::OkStatus();
}

// The in-sync replicas that `item` asks for, in the order of the replicas.
absl::StatusOr<PartitionTarget> ValidateIsr(const Item& item, const NamedPartition& named,
                                            BrokerId sender) {
  std::set<BrokerId> members;
  for (const v1::IsrMember& member : item.new_isr()) {
    if (!members.insert(BrokerId{member.broker_id()}).second) {
      return RefusePartition(
          ErrorReason::kInvalidRequest, named.key,
          fmt::format("new_isr names broker {} twice; name it once", member.broker_id()));
    }
  }
  PartitionTarget target(named.partition);
  target.isr.clear();
  target.leader_recovery_state = item.leader_recovery_state();
  for (const BrokerId id : named.partition.replicas) {
    if (members.erase(id) > 0) {
      target.isr.push_back(id);
    }
  }
  if (!members.empty()) {
    return RefusePartition(
        ErrorReason::kInvalidRequest, named.key,
        fmt::format("new_isr names broker {}, which holds no replica; name replicas only",
                    *members.begin()));
  }
  if (!Contains(target.isr, sender)) {
    return RefusePartition(
        ErrorReason::kInvalidRequest, named.key,
        fmt::format("new_isr lacks the leader, broker {}; the leader is always in sync", sender));
  }
  return target;
}

// KIP-704: a leader that was elected uncleanly recovers alone, and only once.
absl::Status ValidateRecovery(const PartitionTarget& target, const NamedPartition& named) {
  if (!v1::LeaderRecoveryState_IsValid(target.leader_recovery_state)) {
    return RefusePartition(
        ErrorReason::kInvalidRequest, named.key,
        fmt::format("leader_recovery_state has the unknown value {}; use RECOVERED or "
                    "RECOVERING",
                    static_cast<int>(target.leader_recovery_state)));
  }
  if (target.leader_recovery_state == v1::LEADER_RECOVERY_STATE_RECOVERED) {
    return absl::OkStatus();
  }
  if (target.isr.size() > 1) {
    return RefusePartition(
        ErrorReason::kInvalidRequest, named.key,
        fmt::format("a recovering leader with {} in-sync replicas; only the leader can "
                    "be in sync until it has recovered",
                    target.isr.size()));
  }
  if (named.partition.leader_recovery_state == v1::LEADER_RECOVERY_STATE_RECOVERED) {
    return RefusePartition(
        ErrorReason::kInvalidRequest, named.key,
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
      return RefusePartition(
          ErrorReason::kIneligibleReplica, key,
          fmt::format("broker {} of new_isr is not registered; leave it out", member.broker_id()));
    }
    if (!broker->is_active()) {
      return RefusePartition(
          ErrorReason::kIneligibleReplica, key,
          fmt::format("broker {} of new_isr is {}; leave it out until it is back",
                      member.broker_id(), broker->is_fenced ? "fenced" : "shutting down"));
    }
    if (member.broker_epoch() != -1 && BrokerEpoch{member.broker_epoch()} != broker->epoch) {
      return RefusePartition(ErrorReason::kIneligibleReplica, key,
                             fmt::format("broker {} of new_isr has epoch {} but {} was sent; that "
                                         "incarnation is gone, leave it out",
                                         member.broker_id(), broker->epoch, member.broker_epoch()));
    }
  }
  return absl::OkStatus();
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
  v1::TopicRef ref;
  ref.set_topic_id(item.topic_id());
  KVORUM_ASSIGN_OR_RETURN(const NamedPartition named,
                          FindPartition(alteration.image.topics(), ref, item.partition_index()));
  if (!alteration.seen.insert(named.key).second) {
    // Items are decided on the image alone, so a second change would not see the first.
    return RefusePartition(ErrorReason::kInvalidRequest, named.key,
                           "it is named more than once in the request; name it once");
  }
  KVORUM_RETURN_IF_ERROR(ValidateEpochs(item, named, sender));
  KVORUM_ASSIGN_OR_RETURN(const PartitionTarget target, ValidateIsr(item, named, sender));
  KVORUM_RETURN_IF_ERROR(ValidateRecovery(target, named));
  KVORUM_RETURN_IF_ERROR(ValidateEligible(item, named.key, brokers));

  const ActiveBrokers active{.brokers = brokers};
  auto record = ChangePartition(named.now(), target, active);
  if (!record.has_value()) {
    return ToPartitionInfo(item.partition_index(), named.partition);
  }
  const Partition after = Changed(named.partition, record->partition_change());
  alteration.records.push_back(*std::move(record));
  if (after.leader != sender) {
    // The change is written all the same: it completed a reassignment that removes the sender, or
    // moved the leadership off a broker that is being drained.
    return RefusePartition(ErrorReason::kNewLeaderElected, named.key,
                           fmt::format("the change is made and broker {} leads now with epoch {}; "
                                       "follow it",
                                       after.leader, after.leader_epoch));
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
