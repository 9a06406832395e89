#include "server/publish/subscription_filter.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "server/base/crc32c.h"
#include "server/base/errors.h"
#include "server/base/overloaded.h"
#include "server/base/status_macros.h"
#include "server/metadata/record_visit.h"

namespace kvorum::publish {
namespace {

constexpr int kMaxKinds = 64;
constexpr int kMaxTopicNames = 1'000;
constexpr int kMaxTopicPrefixes = 100;
constexpr int kMaxTopicIds = 1'000;

// "remove_entry" and "entry_change" are of the kind "entry".
std::string KindOfField(std::string name) {
  if (name == "no_op") {
    return "";
  }
  if (name.find("broker") != std::string::npos) {
    return "broker";
  }
  constexpr std::string_view kRemove = "remove_";
  constexpr std::string_view kChange = "_change";
  if (name.starts_with(kRemove)) {
    name.erase(0, kRemove.size());
  }
  if (name.ends_with(kChange)) {
    name.erase(name.size() - kChange.size());
  }
  return name;
}

// By the number of the record's field.
const std::map<int, std::string>& KindsByField() {
  static const auto& kinds = *[] {
    auto* made = new std::map<int, std::string>();
    const auto* oneof = v1::MetadataRecord::descriptor()->oneof_decl(0);
    for (int i = 0; i < oneof->field_count(); ++i) {
      const auto* field = oneof->field(i);
      v1::MetadataRecord record;
      record.GetReflection()->MutableMessage(&record, field);
      made->emplace(field->number(), IsPrivate(record) ? "" : KindOfField(field->name()));
    }
    return made;
  }();
  return kinds;
}

std::string KnownKinds() {
  std::set<std::string> names;
  for (const auto& [field, kind] : KindsByField()) {
    names.insert(kind);
  }
  names.erase("");
  return fmt::format("{}", fmt::join(names, ", "));
}

absl::Status Invalid(const std::string& message) {
  return MakeError(ErrorReason::kInvalidRequest, message);
}

absl::StatusOr<std::set<std::string, std::less<>>> ParseTexts(
    const google::protobuf::RepeatedPtrField<std::string>& texts, std::string_view field,
    int limit) {
  if (texts.size() > limit) {
    return Invalid(
        fmt::format("filter.{} has {} items, at most {} are allowed", field, texts.size(), limit));
  }
  std::set<std::string, std::less<>> parsed(texts.begin(), texts.end());
  if (parsed.contains("")) {
    return Invalid(fmt::format("filter.{} has an empty item", field));
  }
  return parsed;
}

bool HasReplicaOn(const Partition& partition, BrokerId broker) {
  return std::find(partition.replicas.begin(), partition.replicas.end(), broker) !=
         partition.replicas.end();
}

template <typename Record>
concept HasTopicId = requires(const Record& record) {
  record.topic_id();
};
template <typename Record>
concept HasPartitionIndex = requires(const Record& record) {
  record.partition_index();
};

}  // namespace

std::string_view KindOf(const v1::MetadataRecord& record) {
  return KindsByField().at(static_cast<int>(record.record_case()));
}

std::optional<Uuid> TopicOf(const v1::MetadataRecord& record) {
  return VisitRecord(record, [](const auto& inner) -> std::optional<Uuid> {
    if constexpr (HasTopicId<std::decay_t<decltype(inner)>>) {
      return Uuid::FromBytes(inner.topic_id());
    } else {
      return std::nullopt;
    }
  });
}

std::optional<std::string_view> ConfiguredTopicOf(const v1::MetadataRecord& record) {
  const auto name_of = [](const auto& config) -> std::optional<std::string_view> {
    return config.resource_type() == v1::CONFIG_RESOURCE_TYPE_TOPIC
               ? std::optional<std::string_view>(config.resource_name())
               : std::nullopt;
  };
  return record.has_config()          ? name_of(record.config())
         : record.has_remove_config() ? name_of(record.remove_config())
                                      : std::nullopt;
}

std::optional<int32_t> PartitionOf(const v1::MetadataRecord& record) {
  return VisitRecord(record, [](const auto& inner) -> std::optional<int32_t> {
    if constexpr (HasPartitionIndex<std::decay_t<decltype(inner)>>) {
      return inner.partition_index();
    } else {
      return std::nullopt;
    }
  });
}

absl::StatusOr<std::shared_ptr<const SubscriptionFilter>> SubscriptionFilter::Parse(
    const v1::SubscribeRequest& request) {
  const v1::SubscribeFilter& wire = request.filter();
  if (wire.ByteSizeLong() == 0) {
    return nullptr;
  }
  std::shared_ptr<SubscriptionFilter> filter(new SubscriptionFilter());
  KVORUM_ASSIGN_OR_RETURN(filter->kinds_, ParseTexts(wire.kinds(), "kinds", kMaxKinds));
  for (const std::string& kind : filter->kinds_) {
    const bool is_known = std::any_of(KindsByField().begin(), KindsByField().end(),
                                      [&](const auto& known) { return known.second == kind; });
    if (!is_known) {
      return Invalid(
          fmt::format("filter.kinds has \"{}\"; use any of {}", kind.substr(0, 64), KnownKinds()));
    }
  }
  KVORUM_ASSIGN_OR_RETURN(filter->names_,
                          ParseTexts(wire.topic_names(), "topic_names", kMaxTopicNames));
  KVORUM_ASSIGN_OR_RETURN(filter->prefixes_,
                          ParseTexts(wire.topic_prefixes(), "topic_prefixes", kMaxTopicPrefixes));
  KVORUM_ASSIGN_OR_RETURN(const auto ids, ParseTexts(wire.topic_ids(), "topic_ids", kMaxTopicIds));
  for (const std::string& text : ids) {
    const std::optional<Uuid> id = Uuid::Parse(text);
    if (!id.has_value()) {
      return Invalid(
          fmt::format("filter.topic_ids has \"{}\", which is no topic id", text.substr(0, 64)));
    }
    filter->ids_.insert(*id);
  }
  if (wire.hosted_by_broker()) {
    if (!request.has_broker_id()) {
      return Invalid("filter.hosted_by_broker needs broker_id");
    }
    filter->host_ = BrokerId(request.broker_id());
  }
  // Length before text, so that no two filters are written alike.
  std::string canonical = fmt::format("host {}", filter->host_.value_or(BrokerId(-1)));
  for (const auto* texts : {&filter->kinds_, &filter->names_, &filter->prefixes_}) {
    canonical += fmt::format("/{}", texts->size());
    for (const std::string& text : *texts) {
      canonical += fmt::format(":{}:{}", text.size(), text);
    }
  }
  for (const Uuid& id : filter->ids_) {
    canonical += id.ToBytes();
  }
  filter->id_ = std::max<uint64_t>(1, Hash64(canonical, 0));
  return filter;
}

bool SubscriptionFilter::WantsKind(const v1::MetadataRecord& record) const {
  if (record.has_remove_topic()) {
    return WantsKindsOfTopics();
  }
  const std::string_view kind = KindOf(record);
  return !kind.empty() && WantsKind(kind);
}

bool SubscriptionFilter::WantsKindsOfTopics() const {
  return WantsKind("topic") || WantsKind("partition") || WantsKind("config");
}

bool SubscriptionFilter::WantsTopic(const Topic& topic) const {
  if (!is_by_topic() || ids_.contains(topic.id) || names_.contains(*topic.name)) {
    return true;
  }
  return std::any_of(prefixes_.begin(), prefixes_.end(),
                     [&](const std::string& prefix) { return topic.name->starts_with(prefix); });
}

bool SubscriptionFilter::HostsPartition(const Topic& topic, int32_t index) const {
  if (!host_.has_value()) {
    return true;
  }
  const std::optional<Partition> partition = topic.partitions.Find(index);
  return partition.has_value() && HasReplicaOn(*partition, *host_);
}

bool SubscriptionFilter::HostsAnyOf(const MetadataImage& image, const Topic& topic) const {
  return !host_.has_value() || image.topics().hosted.Contains(HostedTopic{*host_, topic.id});
}

bool SubscriptionFilter::WantsOfImage(const MetadataImage& image,
                                      const v1::MetadataRecord& record) const {
  if (!WantsKind(record)) {
    return false;
  }
  const Topic* topic = nullptr;
  if (const std::optional<Uuid> id = TopicOf(record)) {
    topic = image.topics().Find(*id);
  } else if (const auto name = ConfiguredTopicOf(record)) {
    topic = image.topics().Find(*name);
  }
  if (topic == nullptr) {
    return true;
  }
  const std::optional<int32_t> index = PartitionOf(record);
  return WantsTopic(*topic) &&
         (index.has_value() ? HostsPartition(*topic, *index) : HostsAnyOf(image, *topic));
}

}  // namespace kvorum::publish
