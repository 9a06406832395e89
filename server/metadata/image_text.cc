#include "server/metadata/image_text.h"

#include <fmt/format.h>

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
  for (const v1::Endpoint& endpoint : broker.endpoints) {
    text += fmt::format(" {}={}:{}", endpoint.name(), endpoint.host(), endpoint.port());
  }
  return text + "\n";
}

std::string ToText(int32_t index, const Partition& partition) {
  const bool is_recovering =
      partition.leader_recovery_state == v1::LEADER_RECOVERY_STATE_RECOVERING;
  return fmt::format(
      "    partition {} replicas={} isr={} leader={} leader_epoch={} partition_epoch={}{}\n", index,
      ToText(partition.replicas), ToText(partition.isr), partition.leader, partition.leader_epoch,
      partition.partition_epoch, is_recovering ? " recovering" : "");
}

}  // namespace

std::string ToText(const MetadataImage& image) {
  std::string text =
      fmt::format("image end_offset={} last_epoch={} state_hash={:016x}\n",
                  image.provenance().end_offset, image.provenance().last_epoch, image.StateHash());
  for (const auto& [id, broker] : image.brokers().brokers) {
    text += ToText(*broker);
  }
  for (const auto& [id, topic] : image.topics().by_id) {
    text += fmt::format("  topic {} id={}\n", *topic.name, id);
    for (const auto& [index, partition] : topic.partitions) {
      text += ToText(index, partition);
    }
  }
  for (const auto& [key, record] : image.entries().entries) {
    text += fmt::format("  entry {} version={} bytes={}\n", key, record->version(),
                        record->value().size());
  }
  return text;
}

}  // namespace kvorum
