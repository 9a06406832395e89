#include "server/metadata/topics/partition_info.h"

namespace kvorum {

v1::PartitionInfo ToPartitionInfo(int32_t index, const Partition& partition) {
  v1::PartitionInfo info;
  info.set_partition_index(index);
  for (const BrokerId id : partition.replicas) {
    info.add_replicas(id.value());
  }
  for (const BrokerId id : partition.isr) {
    info.add_isr(id.value());
  }
  info.set_leader(partition.leader.value());
  info.set_leader_epoch(partition.leader_epoch);
  info.set_partition_epoch(partition.partition_epoch);
  info.set_leader_recovery_state(partition.leader_recovery_state);
  return info;
}

}  // namespace kvorum
