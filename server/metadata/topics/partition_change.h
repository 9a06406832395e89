#pragma once

#include <cstdint>
#include <optional>

#include "kvorum/v1/record.pb.h"
#include "server/base/ids.h"
#include "server/metadata/metadata_image.h"

namespace kvorum {

// Who may lead: the active brokers, as they will be once a change is through.
struct ActiveBrokers {
  const BrokersImage& brokers;
  std::optional<BrokerId> leaving = std::nullopt;   // about to be fenced, to shut down, to go
  std::optional<BrokerId> arriving = std::nullopt;  // about to be active
  std::optional<BrokerId> draining = std::nullopt;  // about to be drained

  bool Contains(BrokerId id) const {
    return id == arriving || (id != leaving && brokers.IsActive(id));
  }
  // Leads only where nobody else can.
  bool IsDrained(BrokerId id) const {
    const Broker* broker = brokers.Find(id);
    return id == draining || (broker != nullptr && broker->is_drained);
  }
};

enum class Election : uint8_t {
  kOnline,     // who leads goes on; else the first replica in order
  kPreferred,  // the first replica; else as kOnline
  kUnclean,    // as kOnline; else any active replica, with loss of what it lacks
};

// What a partition shall become; leader, eligible leaders and epochs follow from it.
struct PartitionTarget {
  // As `current` is.
  explicit PartitionTarget(const Partition& current)
      : replicas(current.replicas),
        isr(current.isr),
        adding(current.adding),
        removing(current.removing),
        leader_recovery_state(current.leader_recovery_state) {}

  BrokerList replicas;
  BrokerList isr;  // replicas
  BrokerList adding;
  BrokerList removing;
  v1::LeaderRecoveryState leader_recovery_state;
  // Came back without what it had acknowledged: it is not eligible to lead any more.
  std::optional<BrokerId> stopped_uncleanly;
  // What they were kept for is not so any more: min.insync.replicas has changed (KIP-966).
  bool clears_eligible = false;
  Election election = Election::kOnline;
};

// A partition as it is, with what rules of its topic the change must obey.
struct PartitionNow {
  PartitionKey key;
  const Partition& partition;
  const Topic& topic;
};

// The record that takes a partition from what it is to `target`, or nullopt if nothing changes; the
// one place where leaders, in-sync and eligible replicas and epochs are chosen (Kafka's
// PartitionChangeBuilder; KIP-455, KIP-704, KIP-841, KIP-966):
// - A reassignment whose replicas are all in sync is completed, also if an election makes them so.
// - A leader is active and in sync, or eligible if nobody is in sync; where neither is, the one
//   known to have led last, which then must recover. Drained brokers lead where no other can.
// - Fewer in-sync replicas than the minimum: those that leave stay eligible. Enough: none are.
// - The partition epoch grows with every record, the leader epoch whenever a leader is set (to
//   none, too), and when a replica is dropped.
std::optional<v1::MetadataRecord> ChangePartition(const PartitionNow& now,
                                                  const PartitionTarget& target,
                                                  const ActiveBrokers& active);

}  // namespace kvorum
