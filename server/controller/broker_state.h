#pragma once

#include <cstdint>

#include "server/metadata/brokers/brokers_image.h"

namespace kvorum::controller {

// Where a broker stands in its life, and where a heartbeat takes it (Kafka's BrokerControlState).
enum class BrokerState : uint8_t {
  kFenced,
  kUnfenced,
  kControlledShutdown,  // its leaderships have moved, or are about to; it serves its clients still
  kShutdownNow,         // fenced, and its process may exit
};

// What a heartbeat says, and what is true when it comes.
struct HeartbeatFacts {
  bool wants_fence = false;
  bool wants_shutdown = false;
  bool is_caught_up = false;  // may be unfenced
  bool leads = false;         // some partition
  // Every other active broker has applied that its leaderships moved.
  bool moves_are_applied = false;
};

BrokerState StateOf(const Broker& broker);

// The transitions of KIP-631 "Broker state machine".
BrokerState NextState(BrokerState current, const HeartbeatFacts& facts);

}  // namespace kvorum::controller
