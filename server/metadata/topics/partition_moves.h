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

// A step over many partitions. Pure: goes on where the step before ended.
struct SweepStep {
  std::vector<v1::MetadataRecord> records;  // at most the asked-for number
  PartitionKey next;                        // where the next step begins
  bool is_done = false;                     // all were looked at
};

// Takes `leaving` out of the in-sync replicas of all partitions, electing new leaders: in steps of
// `max_changes`, the first of them from PartitionKey() on, or in one. A step may be planned on an
// image with or without the steps before it: what it says is the same.
SweepStep RemoveFromIsrs(const MetadataImage& image, BrokerId leaving, Departure departure,
                         const PartitionKey& from, size_t max_changes);
std::vector<v1::MetadataRecord> RemoveFromIsrs(const MetadataImage& image, BrokerId leaving,
                                               Departure departure);

// Elects leaders for the leaderless partitions on `arriving`, which is about to be active.
std::vector<v1::MetadataRecord> ElectWhereLeaderless(const MetadataImage& image, BrokerId arriving);

// Gives the partitions that `draining` leads another leader where one can be had.
std::vector<v1::MetadataRecord> MoveLeadersAway(const MetadataImage& image, BrokerId draining);

// Steps over all partitions, from the partition `from` on; each makes at most `max_changes` changes
// and looks at no more than some thousands. The first gives partitions their preferred leader back,
// where it may lead (Kafka's leader balancing). The second elects, uncleanly, where nobody leads or
// may, and unclean.leader.election.enable says so for the topic.
SweepStep BalanceLeaders(const MetadataImage& image, const PartitionKey& from, size_t max_changes);
SweepStep ElectUncleanly(const MetadataImage& image, const PartitionKey& from, size_t max_changes);

}  // namespace kvorum
