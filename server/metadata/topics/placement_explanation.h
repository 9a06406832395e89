#pragma once

#include <cstddef>
#include <vector>

#include "absl/status/status.h"
#include "kvorum/v1/topic.pb.h"
#include "server/metadata/brokers/brokers_image.h"
#include "server/metadata/topics/partition.h"

namespace kvorum {

// Topics times registered brokers that one request may have explained: an explanation has a verdict
// for each.
inline constexpr size_t kMaxVerdictsPerRequest = 10'000;

// POLICY_VIOLATION if there would be more.
absl::Status CheckMayExplain(int topic_count, const BrokersImage& brokers);

// Why each broker got, or did not get, replicas of the new `partitions` of a topic.
v1::PlacementExplanation ExplainPlacement(const std::vector<BrokerList>& partitions,
                                          bool is_assigned_by_hand, const BrokersImage& brokers);

}  // namespace kvorum
