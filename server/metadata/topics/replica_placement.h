#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "server/base/ids.h"
#include "server/base/random.h"
#include "server/metadata/brokers/brokers_image.h"
#include "server/metadata/topics/partition_list.h"

namespace kvorum {

// What one topic needs.
struct PlacementSpec {
  int32_t partition_count = 0;  // >= 1
  int32_t replication_factor = 0;
  const PartitionList* before = nullptr;  // those it has: their stripes are continued; borrowed
};

// True unless the broker is drained or shutting down: those get no new replicas.
bool MayGetReplicas(const Broker& broker);

// One list of replicas per partition, preferred leader first. Striped over racks and brokers from
// random starts, as Kafka's StripedReplicaPlacer, or from where the topic's partitions left off:
// leaders and replicas are spread evenly, the leader is always unfenced, fenced brokers are taken
// only where unfenced ones run out, and no broker holds two replicas of a partition.
// INVALID_REPLICATION_FACTOR if it can't be done.
absl::StatusOr<std::vector<BrokerList>> PlaceReplicas(const PlacementSpec& spec,
                                                      const BrokersImage& brokers, Random& random);

}  // namespace kvorum
