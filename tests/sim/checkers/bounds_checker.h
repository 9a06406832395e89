#pragma once

#include "server/publish/update_publisher.h"
#include "tests/sim/world.h"

namespace kvorum::sim {

// Invariant 40 Bounded: no queue grows beyond its limit. That each request is answered once is
// checked by SimProcess, that an idle cluster stays quiet by the liveness phase. Owned by Checks.
class BoundsChecker {
 public:
  explicit BoundsChecker(World& world) : world_(world) {}

  void OnTurn(const SimProcess& process) const;
  void OnPublisherTurn(const publish::UpdatePublisher& publisher) const;

 private:
  World& world_;
};

}  // namespace kvorum::sim
