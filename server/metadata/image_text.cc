#include "server/metadata/image_text.h"

#include <fmt/format.h>

#include <algorithm>

namespace kvorum {
namespace {

std::string ToText(const BrokerList& brokers) {
  std::string text;
  for (const BrokerId id : brokers) {
    text += fmt::format("{}{}", text.empty() ? "" : ",", id);
  }
  return text;
}

std::string ToText(const Broker& broker) {
  std::string text = fmt::format("  broker {} epoch={} incarnation={} {}", broker.id, broker.epoch,
                                 broker.incarnation, broker.is_fenced ? "fenced" : "unfenced");
  if (!broker.rack.empty()) {
    text += fmt::format(" rack={}", broker.rack);
  }
  text += broker.in_controlled_shutdown ? " in_controlled_shutdown" : "";
  text += broker.is_drained ? " drained" : "";
  for (const Uuid& dir : broker.log_dirs) {
    const auto& offline = broker.offline_log_dirs;
    const bool is_offline = std::find(offline.begin(), offline.end(), dir) != offline.end();
    text += fmt::format(" log_dir={}{}", dir, is_offline ? "(offline)" : "");
  }
  for (const v1::Endpoint& endpoint : broker.endpoints) {
    text += fmt::format(" {}={}:{}", endpoint.name(), endpoint.host(), endpoint.port());
  }
  for (const v1::SupportedFeature& feature : broker.features) {
    text += fmt::format(" {}={}-{}", feature.name(), feature.min_level(), feature.max_level());
  }
  return text + "\n";
}

std::string ToText(int32_t index, const Partition& partition) {
  const bool is_recovering =
      partition.leader_recovery_state == v1::LEADER_RECOVERY_STATE_RECOVERING;
  std::string text = fmt::format(
      "    partition {} replicas={} isr={} leader={} leader_epoch={} partition_epoch={}{}", index,
      ToText(partition.replicas), ToText(partition.isr), partition.leader, partition.leader_epoch,
      partition.partition_epoch, is_recovering ? " recovering" : "");
  if (!partition.elr.empty()) {
    text += fmt::format(" elr={}", ToText(partition.elr));
  }
  if (partition.last_known_leader != kNoLeader) {
    text += fmt::format(" last_known_leader={}", partition.last_known_leader);
  }
  if (partition.is_reassigning()) {
    text +=
        fmt::format(" adding={} removing={}", ToText(partition.adding), ToText(partition.removing));
  }
  return text + "\n";
}

std::string ToText(const QuotaEntityParts& entity) {
  std::string text;
  for (const v1::QuotaEntity& part : entity) {
    text += fmt::format(" {}={}", v1::QuotaEntityType_Name(part.type()),
                        part.has_name() ? part.name() : "(default)");
  }
  return text;
}

// Configs, quotas, producer ids, access control, and of credentials what is no secret.
std::string SettingsText(const MetadataImage& image) {
  std::string text;
  for (const auto& [key, record] : image.configs().configs) {
    text += fmt::format("  config {} '{}' {}={}\n", v1::ConfigResourceType_Name(key.type),
                        key.resource, key.name, record->value());
  }
  for (const auto& [entity_key, quota] : image.quotas().quotas) {
    text += fmt::format("  quota{}", ToText(quota->entity));
    for (const auto& [key, value] : quota->limits) {
      text += fmt::format(" {}={}", key, value);
    }
    text += "\n";
  }
  if (image.producer_ids().last_block.has_value()) {
    text += fmt::format("  producer_ids next={}\n", image.producer_ids().next_producer_id());
  }
  for (const auto& [id, record] : image.acls().by_id) {
    text += fmt::format("  acl {} {}\n", id, record->binding().ShortDebugString());
  }
  for (const auto& [key, record] : image.credentials().credentials) {
    text += fmt::format("  credential {} {} iterations={}\n", key.user,
                        v1::ScramMechanism_Name(key.mechanism), record->iterations());
  }
  return text;
}

}  // namespace

std::string ToText(const MetadataImage& image) {
  std::string text =
      fmt::format("image end_offset={} last_epoch={} state_hash={:016x}\n",
                  image.provenance().end_offset, image.provenance().last_epoch, image.StateHash());
  for (const auto& [name, level] : image.features().levels) {
    text += fmt::format("  feature {} level={}\n", name, level);
  }
  for (const auto& [id, broker] : image.brokers().brokers) {
    text += ToText(*broker);
  }
  for (const auto& [id, topic] : image.topics().by_id) {
    text += fmt::format("  topic {} id={} min_insync_replicas={}\n", *topic.name, id,
                        topic.min_insync_replicas);
    for (const auto& [index, partition] : topic.partitions) {
      text += ToText(index, partition);
    }
  }
  text += SettingsText(image);
  for (const auto& [key, record] : image.entries().entries) {
    text += fmt::format(
        "  entry {}{}{} version={} bytes={}{}\n", key.name_space, key.name_space.empty() ? "" : ":",
        key.key, record->version(), record->value().size(),
        record->has_owner() ? fmt::format(" owner={} owner_epoch={}", record->owner().broker_id(),
                                          record->owner().broker_epoch())
                            : "");
  }
  for (const auto& [id, record] : image.requests().by_id) {
    text += fmt::format("  request {} offset={} reply_bytes={}\n", id, record->offset(),
                        record->reply().size());
  }
  return text;
}

}  // namespace kvorum
