#pragma once

#include <string>
#include <string_view>

#include "server/metadata/metadata_image.h"

namespace kvorum {

// True if a replica that lacks acknowledged records may lead `topic` without an operator's word
// (unclean.leader.election.enable, of the topic, else of all brokers; Kafka's default is false).
inline bool IsUncleanElectionEnabled(const MetadataImage& image, const Topic& topic) {
  constexpr std::string_view kName = "unclean.leader.election.enable";
  const std::string* value =
      image.configs().Find({v1::CONFIG_RESOURCE_TYPE_TOPIC, *topic.name, kName});
  if (value == nullptr) {
    value = image.configs().Find({v1::CONFIG_RESOURCE_TYPE_BROKER, {}, kName});
  }
  return value != nullptr && *value == "true";
}

}  // namespace kvorum
