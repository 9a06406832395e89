#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kvorum/v1/record.pb.h"
#include "server/base/ids.h"
#include "server/metadata/metadata_image.h"

namespace kvorum {

// What happens to all partitions of a broker that comes or goes. None of these results need be
// atomic: they may be cut at any point. Their cost is in proportion to what the broker hosts.

enum class Departure : uint8_t {
  kClean,    // everything it had acknowledged is on its disks
  kUnclean,  // it may have lost what it had acknowledged: it is not eligible to lead either
};

// Takes `leaving` out of the in-sync replicas of all partitions, electing new leaders.
std::vector<v1::MetadataRecord> RemoveFromIsrs(const MetadataImage& image, BrokerId leaving,
                                               Departure departure);

// Elects leaders for the leaderless partitions on `arriving`, which is about to be active.
std::vector<v1::MetadataRecord> ElectWhereLeaderless(const MetadataImage& image, BrokerId arriving);

// Gives the partitions that `draining` leads another leader where one can be had.
std::vector<v1::MetadataRecord> MoveLeadersAway(const MetadataImage& image, BrokerId draining);

// A step towards every partition's preferred leader. Pure: goes on where the step before ended.
struct BalanceStep {
  std::vector<v1::MetadataRecord> records;  // at most the asked-for number
  PartitionKey next;                        // where the next step begins
  bool is_done = false;                     // all were looked at
};
// Gives partitions from `from` on their preferred leader back, where it may lead (Kafka's leader
// balancing); makes at most `max_changes` changes and looks at no more than some thousands.
BalanceStep BalanceLeaders(const MetadataImage& image, const PartitionKey& from,
                           size_t max_changes);

}  // namespace kvorum
