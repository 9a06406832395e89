#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/metadata/paging.h"
#include "server/metadata/topics/partition_info.h"
#include "server/metadata/topics/topic_validation.h"
#include "server/metadata/topics/topics_commands.h"

namespace kvorum {
namespace {

v1::TopicInfo ToTopicInfo(const Topic& topic) {
  v1::TopicInfo info;
  info.set_name(*topic.name);
  info.set_topic_id(topic.id.ToString());
  info.set_partition_count(topic.partition_count());
  info.set_replication_factor(topic.replication_factor());
  info.set_leaderless_partition_count(topic.count(PartitionTrait::kLeaderless));
  info.set_under_replicated_partition_count(topic.count(PartitionTrait::kUnderReplicated));
  info.set_at_min_isr_partition_count(topic.count(PartitionTrait::kAtMinIsr));
  info.set_reassigning_partition_count(topic.count(PartitionTrait::kReassigning));
  info.set_not_preferred_leader_count(topic.count(PartitionTrait::kNotPreferredLeader));
  info.set_min_insync_replicas(topic.min_insync_replicas);
  return info;
}

}  // namespace

absl::StatusOr<v1::ListTopicsResponse> Query(const QueryContext& context,
                                             const v1::ListTopicsRequest& request) {
  const std::string_view prefix = request.name_prefix();
  if (prefix.size() > kMaxTopicNameBytes) {
    return MakeError(ErrorReason::kInvalidRequest,
                     fmt::format("name_prefix is {} bytes long; the limit is {}", prefix.size(),
                                 kMaxTopicNameBytes));
  }
  KVORUM_ASSIGN_OR_RETURN(Page page, Page::Open(request.page(), "topics/" + request.name_prefix()));
  const TopicsImage& topics = context.image.topics();
  auto next = page.after().empty() ? topics.by_name.lower_bound(prefix)
                                   : topics.by_name.upper_bound(std::string_view(page.after()));
  v1::ListTopicsResponse response;
  for (; next != topics.by_name.end() && next->key.starts_with(prefix); ++next) {
    v1::TopicInfo info = ToTopicInfo(*topics.Find(next->value.id));
    if (!page.Admit(info.ByteSizeLong())) {
      *response.mutable_page() = page.Continue(response.topics(response.topics_size() - 1).name());
      break;
    }
    *response.add_topics() = std::move(info);
  }
  return response;
}

absl::StatusOr<v1::GetTopicResponse> Query(const QueryContext& context,
                                           const v1::GetTopicRequest& request) {
  KVORUM_ASSIGN_OR_RETURN(const Topic* topic,
                          ResolveTopic(context.image.topics(), request.topic()));
  KVORUM_ASSIGN_OR_RETURN(Page page,
                          Page::Open(request.page(), "partitions/" + topic->id.ToString()));
  KVORUM_ASSIGN_OR_RETURN(const int32_t after, page.AfterNumber());
  v1::GetTopicResponse response;
  *response.mutable_topic() = ToTopicInfo(*topic);
  auto next = topic->partitions.From(std::min(after, INT32_MAX - 1) + 1);
  for (; next != topic->partitions.end(); ++next) {
    v1::PartitionInfo info = ToPartitionInfo(next->index, next->partition);
    if (!page.Admit(info.ByteSizeLong())) {
      const int32_t last = response.partitions(response.partitions_size() - 1).partition_index();
      *response.mutable_page() = page.Continue(fmt::format("{}", last));
      break;
    }
    *response.add_partitions() = std::move(info);
  }
  return response;
}

}  // namespace kvorum
