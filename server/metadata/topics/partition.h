#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/container/inlined_vector.h"
#include "kvorum/v1/record.pb.h"
#include "server/base/ids.h"
#include "server/base/uuid.h"

namespace kvorum {

inline constexpr BrokerId kNoLeader{-1};

// Of one partition, those that a reassignment adds and removes included: sets of them are one
// machine word.
inline constexpr size_t kMaxReplicas = 64;

// Up to four without an allocation: the replicas of nearly every partition.
using BrokerList = absl::InlinedVector<BrokerId, 4>;

inline bool Contains(const BrokerList& list, BrokerId id) {
  return std::find(list.begin(), list.end(), id) != list.end();
}

// The members of `list` that `keep` says yes to, in order.
template <typename Predicate>
BrokerList Filter(const BrokerList& list, Predicate keep) {
  BrokerList kept;
  for (const BrokerId id : list) {
    if (keep(id)) {
      kept.push_back(id);
    }
  }
  return kept;
}

// `list` without the members of `others`.
inline BrokerList Without(const BrokerList& list, const BrokerList& others) {
  return Filter(list, [&others](BrokerId id) { return !Contains(others, id); });
}

// One partition. Plain value; lists other than `replicas` are parts of it, in its order.
struct Partition {
  BrokerList replicas;          // preferred leader first
  BrokerList isr;               // in-sync replicas
  BrokerList elr;               // out of sync, but with everything acknowledged (KIP-966)
  BrokerList adding;            // by a reassignment under way
  BrokerList removing;          // by it, once it is done
  BrokerId leader = kNoLeader;  // of the in-sync replicas
  BrokerId last_known_leader = kNoLeader;  // while nobody leads: who led last, if known
  int32_t leader_epoch = 0;
  int32_t partition_epoch = 0;
  v1::LeaderRecoveryState leader_recovery_state = v1::LEADER_RECOVERY_STATE_RECOVERED;

  bool is_reassigning() const { return !adding.empty() || !removing.empty(); }
  // How many replicas it has when no reassignment is under way, or had before it (Kafka's
  // replication factor).
  size_t replication_factor() const { return replicas.size() - adding.size(); }

  // The record that creates this partition as it is.
  v1::PartitionRecord ToRecord(const Uuid& topic_id, int32_t index) const;

  friend bool operator==(const Partition&, const Partition&) = default;
};

// The partition that `record` creates, and the one that `change` makes of `current`.
Partition ToPartition(const v1::PartitionRecord& record);
Partition Changed(const Partition& current, const v1::PartitionChangeRecord& change);

// A partition in a dozen bytes: the lists are masks over the replicas. Equal partitions have equal
// rows, so that a row is also what the state hash is made of.
std::string EncodeRow(const Partition& partition);
Partition DecodeRow(std::string_view row);

// True if the partition of `row` has a replica on `broker`, without decoding the rest. Inline,
// since all partitions of the broker's topics are asked when it fails.
inline bool RowHasReplica(std::string_view row, BrokerId broker) {
  const auto wanted = static_cast<uint32_t>(broker.value());
  const auto* at = reinterpret_cast<const uint8_t*>(row.data());
  for (uint32_t left = *at++; left > 0; --left) {  // one byte: kMaxReplicas
    uint32_t id = 0;
    for (uint32_t shift = 0;; shift += 7) {
      const uint32_t byte = *at++;
      id |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        break;
      }
    }
    if (id == wanted) {
      return true;
    }
  }
  return false;
}

}  // namespace kvorum
