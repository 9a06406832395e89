// Lists of partitions over all topics: filtered, paged, by topic id and index.

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/metadata/paging.h"
#include "server/metadata/request_checks.h"
#include "server/metadata/topics/partition_info.h"
#include "server/metadata/topics/topic_validation.h"
#include "server/metadata/topics/topics_commands.h"

namespace kvorum {
namespace {

// Partitions and topics that one page looks at, so that a filter that few pass never holds the loop
// up: such a page is short and has a next one.
constexpr int kMaxLookedAtPerPage = 50'000;

// What a partition must be to be listed.
struct Filters {
  const Topic* topic = nullptr;  // null: any
  std::optional<BrokerId> broker;
  std::vector<PartitionTrait> traits;

  bool Admits(const Topic& of, const Partition& partition) const {
    return (!broker.has_value() || Contains(partition.replicas, *broker)) &&
           std::all_of(traits.begin(), traits.end(),
                       [&](PartitionTrait trait) { return HasTrait(of, partition, trait); });
  }
  bool MayAdmitAnyOf(const Topic& of) const {
    return std::all_of(traits.begin(), traits.end(),
                       [&of](PartitionTrait trait) { return of.count(trait) > 0; });
  }
};

// The first topic whose id is above `after` (or it, `inclusive`) that may have what the filters ask
// for, by the most telling index there is; null: none.
const Topic* NextTopic(const TopicsImage& topics, const Filters& filters, const Uuid& after,
                       bool inclusive) {
  const auto find = [inclusive](const auto& map, const auto& key) {
    return inclusive ? map.lower_bound(key) : map.upper_bound(key);
  };
  if (filters.topic != nullptr) {
    const bool is_next = inclusive ? filters.topic->id >= after : filters.topic->id > after;
    return is_next ? filters.topic : nullptr;
  }
  if (filters.broker.has_value()) {
    const auto it = find(topics.hosted, HostedTopic{*filters.broker, after});
    return it != topics.hosted.end() && it->key.broker == *filters.broker
               ? topics.Find(it->key.topic_id)
               : nullptr;
  }
  if (!filters.traits.empty()) {
    const auto& with = topics.With(filters.traits.front());
    const auto it = find(with, after);
    return it != with.end() ? topics.Find(it->key) : nullptr;
  }
  const auto it = find(topics.by_id, after);
  return it != topics.by_id.end() ? &it->value : nullptr;
}

std::string ToToken(const PartitionKey& key) {
  return fmt::format("{}/{}", key.topic_id, key.index);
}

// Where the page before ended: its last key, or before everything.
absl::StatusOr<PartitionKey> After(const Page& page) {
  if (page.after().empty()) {
    return PartitionKey{Uuid(), -1};
  }
  const std::string& text = page.after();
  const size_t slash = text.find('/');
  PartitionKey key;
  if (slash != std::string::npos) {
    const std::optional<Uuid> id = Uuid::Parse(text.substr(0, slash));
    const char* end = text.data() + text.size();
    if (id.has_value() && std::from_chars(text.data() + slash + 1, end, key.index).ptr == end &&
        key.index >= 0 && key.index < INT32_MAX) {
      key.topic_id = *id;
      return key;
    }
  }
  return MakeError(ErrorReason::kInvalidRequest,
                   "page_token is not of this list; pass the next_page_token of the page before");
}

// Fills one page: `add(topic, entry)` adds what passes the filters, or says that the page is full.
// Sets `response.page` if more may follow.
template <typename Response, typename Add>
absl::Status FillPage(const TopicsImage& topics, const Filters& filters, const Page& page,
                      Response& response, Add add) {
  KVORUM_ASSIGN_OR_RETURN(PartitionKey last, After(page));
  int looked_at = 0;
  const Topic* topic = NextTopic(topics, filters, last.topic_id, /*inclusive=*/true);
  while (topic != nullptr) {
    auto next = topic->partitions.From(topic->id == last.topic_id ? last.index + 1 : 0);
    if (!filters.MayAdmitAnyOf(*topic)) {
      next = topic->partitions.end();
    }
    for (; next != topic->partitions.end(); ++next) {
      if (looked_at >= kMaxLookedAtPerPage ||
          (filters.Admits(*topic, next->partition) && !add(*topic, *next))) {
        *response.mutable_page() = page.Continue(ToToken(last));
        return absl::OkStatus();
      }
      ++looked_at;
      last = {topic->id, next->index};
    }
    last = {topic->id, topic->partition_count()};
    ++looked_at;
    topic = NextTopic(topics, filters, topic->id, /*inclusive=*/false);
    if (topic != nullptr && looked_at >= kMaxLookedAtPerPage) {
      *response.mutable_page() = page.Continue(ToToken(last));
      return absl::OkStatus();
    }
  }
  return absl::OkStatus();
}

absl::Status ResolveFilterTopic(const TopicsImage& topics, bool has_topic, const v1::TopicRef& ref,
                                Filters& filters) {
  if (!has_topic) {
    return absl::OkStatus();
  }
  KVORUM_ASSIGN_OR_RETURN(filters.topic, ResolveTopic(topics, ref));
  return absl::OkStatus();
}

std::string ScopeOf(std::string_view list, const Filters& filters) {
  std::string scope =
      fmt::format("{}/{}/{}", list, filters.topic == nullptr ? "" : filters.topic->id.ToString(),
                  filters.broker.has_value() ? fmt::format("{}", *filters.broker) : "");
  for (const PartitionTrait trait : filters.traits) {
    scope += fmt::format("/{}", static_cast<int>(trait));
  }
  return scope;
}

}  // namespace

absl::StatusOr<v1::DescribePartitionsResponse> Query(const QueryContext& context,
                                                     const v1::DescribePartitionsRequest& request) {
  const TopicsImage& topics = context.image.topics();
  Filters filters;
  KVORUM_RETURN_IF_ERROR(ResolveFilterTopic(topics, request.has_topic(), request.topic(), filters));
  if (request.has_broker_id()) {
    KVORUM_RETURN_IF_ERROR(CheckBrokerId(request.broker_id()));
    filters.broker = BrokerId{request.broker_id()};
  }
  if (request.offline()) {
    filters.traits.push_back(PartitionTrait::kLeaderless);
  }
  if (request.under_replicated()) {
    filters.traits.push_back(PartitionTrait::kUnderReplicated);
  }
  if (request.at_min_isr()) {
    filters.traits.push_back(PartitionTrait::kAtMinIsr);
  }
  KVORUM_ASSIGN_OR_RETURN(Page page,
                          Page::Open(request.page(), ScopeOf("all-partitions", filters)));
  v1::DescribePartitionsResponse response;
  KVORUM_RETURN_IF_ERROR(FillPage(
      topics, filters, page, response, [&](const Topic& topic, const PartitionList::Entry& entry) {
        v1::PartitionDescription item;
        item.set_topic_name(*topic.name);
        item.set_topic_id(topic.id.ToString());
        *item.mutable_partition() = ToPartitionInfo(entry.index, entry.partition);
        const bool fits = page.Admit(item.ByteSizeLong());
        if (fits) {
          *response.add_partitions() = std::move(item);
        }
        return fits;
      }));
  return response;
}

absl::StatusOr<v1::ListPartitionReassignmentsResponse> Query(
    const QueryContext& context, const v1::ListPartitionReassignmentsRequest& request) {
  const TopicsImage& topics = context.image.topics();
  Filters filters;
  filters.traits.push_back(PartitionTrait::kReassigning);
  KVORUM_RETURN_IF_ERROR(ResolveFilterTopic(topics, request.has_topic(), request.topic(), filters));
  KVORUM_ASSIGN_OR_RETURN(Page page, Page::Open(request.page(), ScopeOf("reassignments", filters)));
  v1::ListPartitionReassignmentsResponse response;
  KVORUM_RETURN_IF_ERROR(FillPage(
      topics, filters, page, response, [&](const Topic& topic, const PartitionList::Entry& entry) {
        const Partition& partition = entry.partition;
        v1::ListPartitionReassignmentsResponse::Reassignment item;
        item.set_topic_name(*topic.name);
        item.set_topic_id(topic.id.ToString());
        *item.mutable_partition() = ToPartitionInfo(entry.index, partition);
        const size_t missing = Without(partition.adding, partition.isr).size();
        item.set_caught_up_count(static_cast<int32_t>(partition.adding.size() - missing));
        const bool fits = page.Admit(item.ByteSizeLong());
        if (fits) {
          *response.add_reassignments() = std::move(item);
        }
        return fits;
      }));
  return response;
}

}  // namespace kvorum
