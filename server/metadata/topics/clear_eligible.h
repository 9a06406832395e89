#pragma once

#include <vector>

#include "kvorum/v1/record.pb.h"
#include "server/metadata/metadata_image.h"

namespace kvorum {

// What `configs`, records of configs that are about to be written, make of eligible leaders: where
// they change the min.insync.replicas in effect, nobody out of sync is sure any more to have all
// that was acknowledged (KIP-966; Kafka's ClearElrRecord, here with the resulting state of each
// partition). To be written before `configs`; each prefix is a valid state.
std::vector<v1::MetadataRecord> ClearEligibleWhereMinInsyncChanges(
    const MetadataImage& image, const std::vector<v1::MetadataRecord>& configs);

}  // namespace kvorum
