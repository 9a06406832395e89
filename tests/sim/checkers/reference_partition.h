#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "kvorum/v1/record.pb.h"

namespace kvorum::sim {

using Ids = std::vector<int32_t>;

inline bool Has(const Ids& ids, int32_t id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

// One partition as ReferenceCluster knows it. Plain value; -1: no broker.
struct ReferencePartition {
  Ids replicas;
  Ids isr;
  Ids eligible;  // to lead, though not in sync (KIP-966)
  Ids adding;
  Ids removing;
  int32_t leader = -1;
  int32_t last_known_leader = -1;
  int32_t leader_epoch = 0;
  int32_t partition_epoch = 0;
  bool is_recovering = false;

  bool is_moving() const { return !adding.empty() || !removing.empty(); }
  friend bool operator==(const ReferencePartition&, const ReferencePartition&) = default;
};

std::string ToText(const ReferencePartition& partition);

// What a record, or an answer, says: PartitionRecord, PartitionChangeRecord and PartitionInfo name
// their fields alike.
template <typename Message>
ReferencePartition ToReferencePartition(const Message& message) {
  const auto ids = [](const auto& field) { return Ids(field.begin(), field.end()); };
  ReferencePartition partition;
  partition.replicas = ids(message.replicas());
  partition.isr = ids(message.isr());
  partition.eligible = ids(message.eligible_leader_replicas());
  partition.adding = ids(message.adding_replicas());
  partition.removing = ids(message.removing_replicas());
  partition.leader = message.leader();
  partition.last_known_leader = message.last_known_elr().empty() ? -1 : message.last_known_elr(0);
  partition.leader_epoch = message.leader_epoch();
  partition.partition_epoch = message.partition_epoch();
  partition.is_recovering = message.leader_recovery_state() == v1::LEADER_RECOVERY_STATE_RECOVERING;
  return partition;
}

// What an operator wants of the replicas.
struct ReplicaMove {
  Ids replicas;
  Ids adding;
  Ids removing;
};

// Why a partition changes, and what is so while it does.
struct ChangeCause {
  std::set<int32_t> active;  // registered, unfenced, not shutting down
  std::set<int32_t> drained;
  size_t min_insync = 1;          // as the configs say
  int32_t leaving = -1;           // is in sync no more, and leads nothing
  bool has_lost = false;          // it may lack what it once had
  bool is_leader_asking = false;  // its leader chose who is in sync
  bool is_unclean_allowed = false;
  bool clears_eligible = false;     // min.insync.replicas is about to change
  std::optional<ReplicaMove> move;  // else the replicas stay who they are
};

// The first rule that a change from `before` to `after` breaks, in words; empty: none. The rules
// are those of KIP-455, KIP-704, KIP-841 and KIP-966, each by itself and about the result: nothing
// here builds a change.
std::string BrokenRule(const ReferencePartition& before, const ReferencePartition& after,
                       const ChangeCause& cause);

// The same of a partition between changes, with the brokers as they are.
std::string BrokenRule(const ReferencePartition& partition, const std::set<int32_t>& active);

}  // namespace kvorum::sim
