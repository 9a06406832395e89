#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "kvorum/v1/stream.pb.h"
#include "server/base/ids.h"
#include "server/base/uuid.h"
#include "server/metadata/metadata_image.h"

namespace kvorum::publish {

// What kind of thing `record` is about: "broker", "topic", "partition", "entry" and so on; records
// that make, change and remove one are of one kind. Empty: nothing that anybody wants to see.
std::string_view KindOf(const v1::MetadataRecord& record);

// The topic that `record` belongs to; nullopt: none.
std::optional<Uuid> TopicOf(const v1::MetadataRecord& record);
// The name of the topic whose config `record` sets or removes; nullopt: no topic's.
std::optional<std::string_view> ConfiguredTopicOf(const v1::MetadataRecord& record);
// The partition, of that topic; nullopt: the topic as a whole, or none.
std::optional<int32_t> PartitionOf(const v1::MetadataRecord& record);

// What a subscriber asked to see, checked and in a canonical form. Immutable; any thread.
class SubscriptionFilter {
 public:
  // Null if the request asks for everything. INVALID_REQUEST for what is malformed, of no known
  // kind or over a limit.
  static absl::StatusOr<std::shared_ptr<const SubscriptionFilter>> Parse(
      const v1::SubscribeRequest& request);

  // Equal for equal filters, on every node; never 0.
  uint64_t id() const { return id_; }
  // 0 for none: a subscription to everything.
  static uint64_t IdOf(const SubscriptionFilter* filter) {
    return filter == nullptr ? 0 : filter->id();
  }
  bool is_by_host() const { return host_.has_value(); }

  bool WantsKind(std::string_view kind) const { return kinds_.empty() || kinds_.contains(kind); }
  // A removed topic takes its partitions and configs along.
  bool WantsKind(const v1::MetadataRecord& record) const;
  // Topics, or something that goes with them.
  bool WantsKindsOfTopics() const;
  // By name, prefix or id; not by host.
  bool WantsTopic(const Topic& topic) const;
  // By host too, where the filter is by host.
  bool HostsPartition(const Topic& topic, int32_t index) const;
  bool HostsAnyOf(const MetadataImage& image, const Topic& topic) const;

  // Whether a record of a snapshot of `image` is in the scope there.
  bool WantsOfImage(const MetadataImage& image, const v1::MetadataRecord& record) const;

 private:
  SubscriptionFilter() = default;

  bool is_by_topic() const { return !names_.empty() || !prefixes_.empty() || !ids_.empty(); }

  uint64_t id_ = 0;
  std::set<std::string, std::less<>> kinds_;  // empty: all
  std::set<std::string, std::less<>> names_;
  std::set<std::string, std::less<>> prefixes_;
  std::set<Uuid> ids_;
  std::optional<BrokerId> host_;
};

}  // namespace kvorum::publish
