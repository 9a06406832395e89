#include "server/metadata/topics/partition.h"

#include "server/base/check.h"

namespace kvorum {
namespace {

constexpr uint8_t kIsRecovering = 1;
constexpr uint8_t kHasMore = 2;  // eligible leaders, a reassignment or a last known leader

void PutVarint(uint64_t value, std::string& out) {
  for (; value >= 0x80; value >>= 7) {
    out.push_back(static_cast<char>(value | 0x80));
  }
  out.push_back(static_cast<char>(value));
}

uint64_t TakeVarint(std::string_view& in) {
  uint64_t value = 0;
  for (size_t i = 0; i < in.size(); ++i) {
    const auto byte = static_cast<uint8_t>(in[i]);
    value |= uint64_t{byte & 0x7fu} << (7 * i);
    if (byte < 0x80) {
      in.remove_prefix(i + 1);
      return value;
    }
  }
  KVORUM_CHECK(false, "a row ends within a number");
}

// `part` as bits over `replicas`.
uint64_t MaskOf(const BrokerList& part, const BrokerList& replicas) {
  uint64_t mask = 0;
  for (size_t i = 0; i < replicas.size(); ++i) {
    mask |= uint64_t{Contains(part, replicas[i])} << i;
  }
  return mask;
}

BrokerList TakeMembers(const BrokerList& replicas, std::string_view& in) {
  const uint64_t mask = TakeVarint(in);
  BrokerList members;
  for (size_t i = 0; i < replicas.size(); ++i) {
    if (((mask >> i) & 1) != 0) {
      members.push_back(replicas[i]);
    }
  }
  return members;
}

// Its place among the replicas, from 1; 0: none.
uint64_t PlaceOf(BrokerId id, const BrokerList& replicas) {
  const auto found = std::find(replicas.begin(), replicas.end(), id);
  return found == replicas.end() ? 0 : static_cast<uint64_t>(found - replicas.begin()) + 1;
}

BrokerId TakeReplica(const BrokerList& replicas, std::string_view& in) {
  const uint64_t place = TakeVarint(in);
  return place == 0 ? kNoLeader : replicas[place - 1];
}

template <typename Ids>
BrokerList ToBrokerList(const Ids& ids) {
  BrokerList list;
  for (const int32_t id : ids) {
    list.push_back(BrokerId{id});
  }
  return list;
}

// Fills what both partition records carry.
template <typename Record>
void SetState(const Record& record, Partition& partition) {
  partition.isr = ToBrokerList(record.isr());
  partition.elr = ToBrokerList(record.eligible_leader_replicas());
  partition.adding = ToBrokerList(record.adding_replicas());
  partition.removing = ToBrokerList(record.removing_replicas());
  partition.leader = BrokerId{record.leader()};
  partition.last_known_leader =
      record.last_known_elr().empty() ? kNoLeader : BrokerId{record.last_known_elr(0)};
  partition.leader_epoch = record.leader_epoch();
  partition.partition_epoch = record.partition_epoch();
  partition.leader_recovery_state = record.leader_recovery_state();
}

}  // namespace

Partition ToPartition(const v1::PartitionRecord& record) {
  Partition partition;
  partition.replicas = ToBrokerList(record.replicas());
  SetState(record, partition);
  return partition;
}

Partition Changed(const Partition& current, const v1::PartitionChangeRecord& change) {
  Partition partition;
  partition.replicas =
      change.replicas().empty() ? current.replicas : ToBrokerList(change.replicas());
  SetState(change, partition);
  return partition;
}

v1::PartitionRecord Partition::ToRecord(const Uuid& topic_id, int32_t index) const {
  v1::PartitionRecord record;
  record.set_topic_id(topic_id.ToBytes());
  record.set_partition_index(index);
  const auto fill = [](const BrokerList& list, auto* ids) {
    for (const BrokerId id : list) {
      ids->Add(id.value());
    }
  };
  fill(replicas, record.mutable_replicas());
  fill(isr, record.mutable_isr());
  record.set_leader(leader.value());
  record.set_leader_epoch(leader_epoch);
  record.set_partition_epoch(partition_epoch);
  record.set_leader_recovery_state(leader_recovery_state);
  fill(adding, record.mutable_adding_replicas());
  fill(removing, record.mutable_removing_replicas());
  fill(elr, record.mutable_eligible_leader_replicas());
  if (last_known_leader != kNoLeader) {
    record.add_last_known_elr(last_known_leader.value());
  }
  return record;
}

std::string EncodeRow(const Partition& partition) {
  const BrokerList& replicas = partition.replicas;
  KVORUM_CHECK(replicas.size() <= kMaxReplicas, "{} replicas", replicas.size());
  std::string row;
  PutVarint(replicas.size(), row);
  for (const BrokerId id : replicas) {
    PutVarint(static_cast<uint32_t>(id.value()), row);
  }
  PutVarint(MaskOf(partition.isr, replicas), row);
  PutVarint(PlaceOf(partition.leader, replicas), row);
  PutVarint(static_cast<uint32_t>(partition.leader_epoch), row);
  PutVarint(static_cast<uint32_t>(partition.partition_epoch), row);
  const bool is_recovering =
      partition.leader_recovery_state == v1::LEADER_RECOVERY_STATE_RECOVERING;
  const bool has_more = !partition.elr.empty() || partition.is_reassigning() ||
                        partition.last_known_leader != kNoLeader;
  PutVarint((is_recovering ? kIsRecovering : 0u) | (has_more ? kHasMore : 0u), row);
  if (has_more) {
    PutVarint(MaskOf(partition.elr, replicas), row);
    PutVarint(MaskOf(partition.adding, replicas), row);
    PutVarint(MaskOf(partition.removing, replicas), row);
    PutVarint(PlaceOf(partition.last_known_leader, replicas), row);
  }
  return row;
}

Partition DecodeRow(std::string_view row) {
  Partition partition;
  BrokerList& replicas = partition.replicas;
  for (uint64_t left = TakeVarint(row); left > 0; --left) {
    replicas.push_back(BrokerId{static_cast<int32_t>(TakeVarint(row))});
  }
  partition.isr = TakeMembers(replicas, row);
  partition.leader = TakeReplica(replicas, row);
  partition.leader_epoch = static_cast<int32_t>(TakeVarint(row));
  partition.partition_epoch = static_cast<int32_t>(TakeVarint(row));
  const uint64_t flags = TakeVarint(row);
  partition.leader_recovery_state = (flags & kIsRecovering) != 0
                                        ? v1::LEADER_RECOVERY_STATE_RECOVERING
                                        : v1::LEADER_RECOVERY_STATE_RECOVERED;
  if ((flags & kHasMore) != 0) {
    partition.elr = TakeMembers(replicas, row);
    partition.adding = TakeMembers(replicas, row);
    partition.removing = TakeMembers(replicas, row);
    partition.last_known_leader = TakeReplica(replicas, row);
  }
  return partition;
}

}  // namespace kvorum
