#include <fmt/format.h>

#include <set>
#include <utility>
#include <vector>

#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/metadata/item_status.h"
#include "server/metadata/topics/named_partition.h"
#include "server/metadata/topics/partition_change.h"
#include "server/metadata/topics/partition_info.h"
#include "server/metadata/topics/topic_validation.h"
#include "server/metadata/topics/topics_commands.h"

namespace kvorum {
namespace {

using Item = v1::ElectLeadersRequest::Item;
using Result = v1::ElectLeadersResponse::Result;

// One request under way.
struct Elections {
  const MetadataImage& image;
  Election election;
  std::set<PartitionKey> seen;
  int64_t looked_at = 0;
  CommandResult<v1::ElectLeadersResponse> result;
};

absl::Status ValidateRequest(const v1::ElectLeadersRequest& request) {
  if (request.election_type() != v1::ELECTION_TYPE_PREFERRED &&
      request.election_type() != v1::ELECTION_TYPE_UNCLEAN) {
    return MakeError(ErrorReason::kInvalidRequest,
                     fmt::format("election_type is {}; use ELECTION_TYPE_PREFERRED or "
                                 "ELECTION_TYPE_UNCLEAN",
                                 static_cast<int>(request.election_type())));
  }
  if (request.topics().empty() || request.topics_size() > kMaxTopicsPerRequest) {
    return MakeError(ErrorReason::kInvalidRequest,
                     fmt::format("the request names {} topics; name 1 to {}", request.topics_size(),
                                 kMaxTopicsPerRequest));
  }
  return absl::OkStatus();
}

bool IsNeeded(Election election, const Partition& partition) {
  return election == Election::kPreferred ? partition.leader != partition.replicas.front()
                                          : partition.leader == kNoLeader;
}

absl::StatusOr<v1::PartitionInfo> ElectOne(const NamedPartition& named, Elections& elections) {
  if (!elections.seen.insert(named.key).second) {
    return RefusePartition(ErrorReason::kInvalidRequest, named.key,
                           "it is named more than once in the request; name it once");
  }
  if (!IsNeeded(elections.election, named.partition)) {
    return RefusePartition(
        ErrorReason::kElectionNotNeeded, named.key,
        fmt::format("broker {} leads it already; nothing to do", named.partition.leader));
  }
  PartitionTarget target(named.partition);
  target.election = elections.election;
  const ActiveBrokers active{.brokers = elections.image.brokers()};
  auto record = ChangePartition(named.now(), target, active);
  if (!record.has_value()) {
    if (elections.election == Election::kPreferred) {
      return RefusePartition(
          ErrorReason::kPreferredLeaderNotAvailable, named.key,
          fmt::format("broker {} is not active, not in sync or drained; bring it back first",
                      named.partition.replicas.front()));
    }
    return RefusePartition(ErrorReason::kEligibleLeadersNotAvailable, named.key,
                           "none of its replicas is on an active broker; start one");
  }
  const Partition after = Changed(named.partition, record->partition_change());
  elections.result.records.push_back(*std::move(record));
  return ToPartitionInfo(named.key.index, after);
}

Result& AddResult(const Topic& topic, int32_t index, const absl::Status& status,
                  Elections& elections) {
  Result& result = *elections.result.response.add_results();
  result.set_topic_name(*topic.name);
  result.set_topic_id(topic.id.ToString());
  result.set_partition_index(index);
  *result.mutable_status() = ToItemStatus(status);
  return result;
}

absl::Status CountLookedAt(int64_t count, Elections& elections) {
  elections.looked_at += count;
  if (elections.looked_at > kMaxPartitionsPerRequest) {
    return MakeError(ErrorReason::kPolicyViolation,
                     fmt::format("the request names more than {} partitions, those of topics named "
                                 "as a whole included; split the request",
                                 kMaxPartitionsPerRequest));
  }
  return absl::OkStatus();
}

void ElectNamed(const NamedPartition& named, Elections& elections) {
  absl::StatusOr<v1::PartitionInfo> info = ElectOne(named, elections);
  Result& result = AddResult(named.topic, named.key.index, info.status(), elections);
  if (info.ok()) {
    *result.mutable_partition() = *std::move(info);
  }
}

// A topic as a whole: those of its partitions that need it.
absl::Status ElectTopic(const Topic& topic, Elections& elections) {
  KVORUM_RETURN_IF_ERROR(CountLookedAt(topic.partition_count(), elections));
  for (const auto& [index, partition] : topic.partitions) {
    if (IsNeeded(elections.election, partition)) {
      ElectNamed({{topic.id, index}, partition, topic}, elections);
    }
  }
  return absl::OkStatus();
}

absl::Status ElectItem(const Item& item, Elections& elections) {
  const TopicsImage& topics = elections.image.topics();
  absl::StatusOr<const Topic*> topic = ResolveTopic(topics, item.topic());
  if (!topic.ok()) {
    Result& result = *elections.result.response.add_results();
    result.set_topic_name(item.topic().name());
    result.set_topic_id(item.topic().topic_id());
    result.set_partition_index(-1);
    *result.mutable_status() = ToItemStatus(topic.status());
    return absl::OkStatus();
  }
  if (item.partition_indexes().empty()) {
    return ElectTopic(**topic, elections);
  }
  KVORUM_RETURN_IF_ERROR(CountLookedAt(item.partition_indexes_size(), elections));
  for (const int32_t index : item.partition_indexes()) {
    absl::StatusOr<NamedPartition> named = FindPartition(topics, item.topic(), index);
    if (named.ok()) {
      ElectNamed(*named, elections);
    } else {
      AddResult(**topic, index, named.status(), elections);
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CommandResult<v1::ElectLeadersResponse>> Execute(
    const CommandContext& context, const v1::ElectLeadersRequest& request) {
  KVORUM_RETURN_IF_ERROR(ValidateRequest(request));
  const Election election = request.election_type() == v1::ELECTION_TYPE_PREFERRED
                                ? Election::kPreferred
                                : Election::kUnclean;
  Elections elections{.image = context.image, .election = election, .seen = {}, .result = {}};
  for (const Item& item : request.topics()) {
    KVORUM_RETURN_IF_ERROR(ElectItem(item, elections));
  }
  elections.result.is_atomic = false;  // each election stands for itself
  return std::move(elections.result);
}

}  // namespace kvorum
