#pragma once

#include <optional>
#include <vector>

#include "kvorum/v1/record.pb.h"
#include "server/base/ids.h"
#include "server/metadata/metadata_image.h"

namespace kvorum {

// Who may lead: the active brokers, as they will be once a change is through.
struct ActiveBrokers {
  const BrokersImage& brokers;
  std::optional<BrokerId> leaving;   // about to be fenced or unregistered
  std::optional<BrokerId> arriving;  // about to be unfenced

  bool Contains(BrokerId id) const {
    return id == arriving || (id != leaving && brokers.IsActive(id));
  }
};

// What a partition shall become; the leader follows from it.
struct PartitionTarget {
  BrokerList isr;  // a subsequence of the replicas, not empty
  v1::LeaderRecoveryState leader_recovery_state = v1::LEADER_RECOVERY_STATE_RECOVERED;
};

// The record that takes partition `key` from `current` to `target`,
// or nullopt if nothing changes. The partition epoch grows with every record, the leader epoch
// whenever a leader is set, to none included. Online election (KIP-966 "clean"): the current leader
// if it is active and in sync, else the first replica in order that is, else none.
std::optional<v1::MetadataRecord> ChangePartition(const PartitionKey& key, const Partition& current,
                                                  const PartitionTarget& target,
                                                  const ActiveBrokers& active);

// Takes `leaving` out of the in-sync replicas of all partitions, electing new leaders. The last
// in-sync replica stays one, leaderless: it alone has everything that was acknowledged.
std::vector<v1::MetadataRecord> RemoveFromIsrs(const MetadataImage& image, BrokerId leaving);

// Elects a leader for each leaderless partition whose in-sync replicas hold `arriving`.
std::vector<v1::MetadataRecord> ElectWhereLeaderless(const MetadataImage& image, BrokerId arriving);

}  // namespace kvorum
