#include "tests/sim/checkers/scope.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/metadata/image_writer.h"

namespace kvorum::sim {
namespace {

template <typename Texts>
bool Contains(const Texts& texts, std::string_view text) {
  return std::find(texts.begin(), texts.end(), text) != texts.end();
}

// In order, each once: filters are sets.
void Canonicalise(google::protobuf::RepeatedPtrField<std::string>& texts) {
  std::sort(texts.begin(), texts.end());
  texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
}

}  // namespace

Scope::Scope(const v1::SubscribeRequest& request) : filter_(request.filter()) {
  Canonicalise(*filter_.mutable_kinds());
  Canonicalise(*filter_.mutable_topic_names());
  Canonicalise(*filter_.mutable_topic_prefixes());
  Canonicalise(*filter_.mutable_topic_ids());
  if (filter_.hosted_by_broker()) {
    host_ = BrokerId(request.broker_id());
  }
}

std::string Scope::ToText() const {
  return fmt::format("host {} {}", host_.value_or(BrokerId(-1)), filter_.ShortDebugString());
}

bool Scope::WantsKind(std::string_view kind) const {
  return filter_.kinds().empty() || Contains(filter_.kinds(), kind);
}

bool Scope::WantsKindOf(const v1::MetadataRecord& record) const {
  if (record.has_remove_topic()) {
    return WantsKind("topic") || WantsKind("partition") || WantsKind("config");
  }
  const std::string_view kind = KindOf(record);
  return !kind.empty() && WantsKind(kind);
}

bool Scope::WantsTopic(const std::string& topic_id, const std::string& name) const {
  const bool is_narrowed = !filter_.topic_names().empty() || !filter_.topic_prefixes().empty() ||
                           !filter_.topic_ids().empty();
  return !is_narrowed || Contains(filter_.topic_names(), name) ||
         (!filter_.topic_ids().empty() &&
          Contains(filter_.topic_ids(), Uuid::FromBytes(topic_id)->ToString())) ||
         std::any_of(filter_.topic_prefixes().begin(), filter_.topic_prefixes().end(),
                     [&](const std::string& prefix) { return name.starts_with(prefix); });
}

bool Scope::HasPartition(const MetadataImage& image, const Uuid& id, int32_t index) const {
  const Topic* topic = image.topics().Find(id);
  const auto partition = topic == nullptr ? std::nullopt : topic->partitions.Find(index);
  return partition.has_value() && WantsTopic(id.ToBytes(), *topic->name) &&
         (!host_.has_value() || Contains(partition->replicas, *host_));
}

bool Scope::HasTopic(const MetadataImage& image, const Uuid& id) const {
  const Topic* topic = image.topics().Find(id);
  if (topic == nullptr || !WantsTopic(id.ToBytes(), *topic->name)) {
    return false;
  }
  bool is_hosted = !host_.has_value();
  for (int32_t index = 0; !is_hosted && index < topic->partition_count(); ++index) {
    is_hosted = HasPartition(image, id, index);
  }
  return is_hosted;
}

bool Scope::IsIn(const MetadataImage& image, const v1::MetadataRecord& record) const {
  if (!WantsKindOf(record)) {
    return false;
  }
  if (record.has_topic()) {
    return HasTopic(image, *Uuid::FromBytes(record.topic().topic_id()));
  }
  if (record.has_partition()) {
    return HasPartition(image, *Uuid::FromBytes(record.partition().topic_id()),
                        record.partition().partition_index());
  }
  if (record.has_config() && record.config().resource_type() == v1::CONFIG_RESOURCE_TYPE_TOPIC) {
    const Topic* topic = image.topics().Find(record.config().resource_name());
    return topic != nullptr && HasTopic(image, topic->id);
  }
  return true;
}

void Scope::VisitIn(const MetadataImage& image, const Visitor& visit) const {
  // Not shared: the cursor only borrows it for the call.
  const std::shared_ptr<const MetadataImage> borrowed(std::shared_ptr<void>(), &image);
  ImageCursor cursor(borrowed, Audience::kSubscribers);
  for (v1::MetadataRecord record; cursor.Next(record); record.Clear()) {
    if (IsIn(image, record)) {
      visit(record);
    }
  }
}

Things Scope::In(const MetadataImage& image) const {
  Things things;
  VisitIn(image, [&](const v1::MetadataRecord& record) { things.Apply(record, "the truth"); });
  return things;
}

}  // namespace kvorum::sim
