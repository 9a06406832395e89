#include "server/metadata/topics/partition_info.h"

namespace kvorum {

v1::PartitionInfo ToPartitionInfo(int32_t index, const Partition& partition) {
  const auto fill = [](const BrokerList& list, auto* ids) {
    for (const BrokerId id : list) {
      ids->Add(id.value());
    }
  };
  v1::PartitionInfo info;
  info.set_partition_index(index);
  fill(partition.replicas, info.mutable_replicas());
  fill(partition.isr, info.mutable_isr());
  info.set_leader(partition.leader.value());
  info.set_leader_epoch(partition.leader_epoch);
  info.set_partition_epoch(partition.partition_epoch);
  info.set_leader_recovery_state(partition.leader_recovery_state);
  fill(partition.adding, info.mutable_adding_replicas());
  fill(partition.removing, info.mutable_removing_replicas());
  fill(partition.elr, info.mutable_eligible_leader_replicas());
  if (partition.last_known_leader != kNoLeader) {
    info.add_last_known_elr(partition.last_known_leader.value());
  }
  return info;
}

}  // namespace kvorum
