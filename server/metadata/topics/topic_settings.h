#pragma once

#include "server/metadata/metadata_image.h"

namespace kvorum {

// True if a replica that lacks acknowledged records may lead `topic` without an operator's word
// (Kafka's unclean.leader.election.enable). False for every topic, Kafka's default: it can't be
// configured yet, and whoever brings the setting answers it here.
inline bool IsUncleanElectionEnabled(const MetadataImage& /*image*/, const Topic& /*topic*/) {
  return false;
}

}  // namespace kvorum
