#pragma once

#include <fmt/core.h>

#include <compare>
#include <cstdint>

#include "server/base/strong_int.h"
#include "server/base/uuid.h"

namespace kvorum {

// Raft term. Epoch 0 means "nobody was ever elected"; leaders' epochs begin at 1 (KIP-595).
using Epoch = StrongInt<struct EpochTag, int32_t>;

// Position of a record in the replicated log, from 0. `*_end_offset`, `high_watermark`,
// `log_start_offset` and snapshot ids are exclusive-end positions ("everything below it");
// `last_*_offset` is inclusive.
using Offset = StrongInt<struct OffsetTag, int64_t>;

using NodeId = StrongInt<struct NodeIdTag, int32_t>;      // a controller, >= 0
using BrokerId = StrongInt<struct BrokerIdTag, int32_t>;  // >= 0
using BrokerEpoch = StrongInt<struct BrokerEpochTag, int64_t>;

// A place in the log: everything below `offset`, whose last record is of `epoch`. Equal
// (offset, epoch) on two nodes means equal logs below it (Raft §5.3).
struct OffsetAndEpoch {
  Offset offset;
  Epoch epoch;

  friend constexpr bool operator==(const OffsetAndEpoch&, const OffsetAndEpoch&) = default;
};

// True if a log that ends at `a` is at least as complete as one that ends at `b` (Raft §5.4.1).
constexpr bool IsUpToDate(const OffsetAndEpoch& a, const OffsetAndEpoch& b) {
  return a.epoch != b.epoch ? a.epoch > b.epoch : a.offset >= b.offset;
}

// A replica is a node id *and* the disk it was formatted on: a wiped disk is another replica, since
// it has forgotten its votes (KIP-853).
struct ReplicaKey {
  NodeId node_id;
  Uuid directory_id;

  friend constexpr auto operator<=>(const ReplicaKey&, const ReplicaKey&) = default;
};

}  // namespace kvorum

template <>
struct fmt::formatter<kvorum::ReplicaKey> : fmt::formatter<std::string> {
  template <typename Context>
  auto format(const kvorum::ReplicaKey& key, Context& context) const {
    return fmt::formatter<std::string>::format(fmt::format("{}@{}", key.node_id, key.directory_id),
                                               context);
  }
};

template <>
struct fmt::formatter<kvorum::OffsetAndEpoch> : fmt::formatter<std::string> {
  template <typename Context>
  auto format(const kvorum::OffsetAndEpoch& at, Context& context) const {
    return fmt::formatter<std::string>::format(fmt::format("{}/{}", at.offset, at.epoch), context);
  }
};
