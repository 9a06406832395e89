#include "server/controller/broker_state.h"

namespace kvorum::controller {

BrokerState StateOf(const Broker& broker) {
  if (broker.is_fenced) {
    return BrokerState::kFenced;
  }
  return broker.in_controlled_shutdown ? BrokerState::kControlledShutdown : BrokerState::kUnfenced;
}

BrokerState NextState(BrokerState current, const HeartbeatFacts& facts) {
  switch (current) {
    case BrokerState::kFenced:
      if (facts.wants_shutdown) {
        return BrokerState::kShutdownNow;
      }
      return !facts.wants_fence && facts.is_caught_up ? BrokerState::kUnfenced
                                                      : BrokerState::kFenced;
    case BrokerState::kUnfenced:
      if (facts.wants_fence) {
        return facts.wants_shutdown ? BrokerState::kShutdownNow : BrokerState::kFenced;
      }
      if (facts.wants_shutdown) {
        return facts.leads ? BrokerState::kControlledShutdown : BrokerState::kShutdownNow;
      }
      return BrokerState::kUnfenced;
    case BrokerState::kControlledShutdown:
      return !facts.leads && facts.moves_are_applied ? BrokerState::kShutdownNow
                                                     : BrokerState::kControlledShutdown;
    case BrokerState::kShutdownNow:
      break;
  }
  return BrokerState::kShutdownNow;
}

}  // namespace kvorum::controller
