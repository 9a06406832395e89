// Moves of replicas to other brokers (KIP-455). One rule for starting and replacing: the lists are
// computed from what the partition had before any move, base = replicas - adding.

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/metadata/item_status.h"
#include "server/metadata/record_codec.h"
#include "server/metadata/topics/named_partition.h"
#include "server/metadata/topics/partition_change.h"
#include "server/metadata/topics/partition_info.h"
#include "server/metadata/topics/topic_settings.h"
#include "server/metadata/topics/topics_commands.h"

namespace kvorum {
namespace {

using Item = v1::AlterPartitionReassignmentsRequest::Item;

// One request under way.
struct Reassignments {
  const MetadataImage& image;
  bool may_change_factor;
  std::set<PartitionKey> seen;
  CommandResult<v1::AlterPartitionReassignmentsResponse> result;
};

absl::Status InvalidTarget(const NamedPartition& named, std::string_view why) {
  return RefusePartition(ErrorReason::kInvalidReplicaAssignment, named.key, why);
}

absl::StatusOr<BrokerList> ValidateTarget(const Item& item, const NamedPartition& named,
                                          const Reassignments& request) {
  if (item.replicas().empty()) {
    return InvalidTarget(named, "the target has no replicas; name at least one broker, or cancel");
  }
  BrokerList target;
  for (const int32_t raw_id : item.replicas()) {
    const BrokerId id{raw_id};
    if (Contains(target, id)) {
      return InvalidTarget(named,
                           fmt::format("the target names broker {} twice; name it once", raw_id));
    }
    const Broker* broker = request.image.brokers().Find(id);
    if (broker == nullptr) {
      return InvalidTarget(named, fmt::format("broker {} of the target is not registered; use "
                                              "registered brokers",
                                              raw_id));
    }
    if (broker->is_drained && !Contains(named.partition.replicas, id)) {
      return InvalidTarget(named, fmt::format("broker {} of the target is drained and gets no new "
                                              "replicas; undrain it, or use another",
                                              raw_id));
    }
    target.push_back(id);
  }
  const size_t factor = named.partition.replication_factor();
  if (!request.may_change_factor && target.size() != factor) {
    return RefusePartition(
        ErrorReason::kInvalidReplicationFactor, named.key,
        fmt::format("the target has {} replicas instead of {} and allow_replication_factor_change "
                    "is false; keep their number, or allow it",
                    target.size(), factor));
  }
  return target;
}

// What the in-sync replicas become when those outside `replicas` go. Somebody must be left of them,
// or acknowledged records would go too.
absl::StatusOr<BrokerList> KeepInSync(const NamedPartition& named, const BrokerList& replicas,
                                      std::string_view what) {
  const Partition& current = named.partition;
  BrokerList isr = Filter(current.isr, [&replicas](BrokerId id) { return Contains(replicas, id); });
  const bool keeps_eligible = current.isr.empty() && Without(current.elr, replicas).empty();
  if (isr.empty() && !keeps_eligible) {
    return InvalidTarget(
        named, fmt::format("{} would leave no replica that has everything acknowledged, which "
                           "takes an unclean election; wait until a replica that stays is in sync",
                           what));
  }
  return isr;
}

absl::StatusOr<PartitionTarget> PlanMove(const Item& item, const NamedPartition& named,
                                         const Reassignments& request) {
  KVORUM_ASSIGN_OR_RETURN(const BrokerList wanted, ValidateTarget(item, named, request));
  const Partition& current = named.partition;
  const BrokerList base = Without(current.replicas, current.adding);
  PartitionTarget target(current);
  target.adding = Without(wanted, base);
  target.removing = Without(base, wanted);
  std::sort(target.removing.begin(), target.removing.end());
  target.replicas = wanted;
  target.replicas.insert(target.replicas.end(), target.removing.begin(), target.removing.end());
  if (target.replicas.size() > kMaxReplicas) {
    return InvalidTarget(
        named, fmt::format("{} replicas while it moves, the limit is {}; move fewer at a time",
                           target.replicas.size(), kMaxReplicas));
  }
  KVORUM_ASSIGN_OR_RETURN(target.isr, KeepInSync(named, target.replicas, "this target"));
  return target;
}

absl::StatusOr<PartitionTarget> PlanCancel(const Item& item, const NamedPartition& named,
                                           const Reassignments& request) {
  const Partition& current = named.partition;
  if (!item.replicas().empty()) {
    return RefusePartition(ErrorReason::kInvalidRequest, named.key,
                           "cancel is set and replicas are named too; leave them empty");
  }
  if (!current.is_reassigning()) {
    return RefusePartition(ErrorReason::kNoReassignmentInProgress, named.key,
                           "no reassignment is under way; nothing to cancel");
  }
  PartitionTarget target(current);
  target.replicas = Without(current.replicas, current.adding);
  target.adding.clear();
  target.removing.clear();
  absl::StatusOr<BrokerList> isr = KeepInSync(named, target.replicas, "cancelling");
  if (!isr.ok() && !IsUncleanElectionEnabled(request.image, named.topic)) {
    return isr.status();
  }
  target.isr = isr.ok() ? *std::move(isr) : BrokerList();
  target.election = isr.ok() ? Election::kOnline : Election::kUnclean;
  return target;
}

absl::StatusOr<v1::PartitionInfo> AlterOne(const Item& item, const NamedPartition& named,
                                           Reassignments& request) {
  if (!request.seen.insert(named.key).second) {
    return RefusePartition(ErrorReason::kInvalidRequest, named.key,
                           "it is named more than once in the request; name it once");
  }
  KVORUM_ASSIGN_OR_RETURN(const PartitionTarget target, item.cancel()
                                                            ? PlanCancel(item, named, request)
                                                            : PlanMove(item, named, request));
  const ActiveBrokers active{.brokers = request.image.brokers()};
  auto record = ChangePartition(named.now(), target, active);
  if (!record.has_value()) {
    return ToPartitionInfo(named.key.index, named.partition);
  }
  const Partition after = Changed(named.partition, record->partition_change());
  request.result.records.push_back(*std::move(record));
  return ToPartitionInfo(named.key.index, after);
}

}  // namespace

absl::StatusOr<CommandResult<v1::AlterPartitionReassignmentsResponse>> Execute(
    const CommandContext& context, const v1::AlterPartitionReassignmentsRequest& request) {
  if (request.partitions().empty() || request.partitions_size() > kMaxPartitionsPerRequest) {
    return MakeError(ErrorReason::kInvalidRequest,
                     fmt::format("the request has {} partitions; name 1 to {}",
                                 request.partitions_size(), kMaxPartitionsPerRequest));
  }
  Reassignments reassignments{.image = context.image,
                              .may_change_factor = !request.has_allow_replication_factor_change() ||
                                                   request.allow_replication_factor_change(),
                              .seen = {},
                              .result = {}};
  for (const Item& item : request.partitions()) {
    auto& result = *reassignments.result.response.add_results();
    result.set_topic_name(item.topic().name());
    result.set_topic_id(item.topic().topic_id());
    result.set_partition_index(item.partition_index());
    absl::StatusOr<NamedPartition> named =
        FindPartition(context.image.topics(), item.topic(), item.partition_index());
    if (!named.ok()) {
      *result.mutable_status() = ToItemStatus(named.status());
      continue;
    }
    result.set_topic_name(*named->topic.name);
    result.set_topic_id(named->topic.id.ToString());
    absl::StatusOr<v1::PartitionInfo> info = AlterOne(item, *named, reassignments);
    *result.mutable_status() = ToItemStatus(info.status());
    if (info.ok()) {
      *result.mutable_partition() = *std::move(info);
    }
  }
  KVORUM_RETURN_IF_ERROR(CheckFitsOneBatch(reassignments.result.records));
  return std::move(reassignments.result);
}

}  // namespace kvorum
