#pragma once

#include <map>
#include <memory>

#include "server/metadata/metadata_image.h"
#include "tests/sim/world.h"

namespace kvorum::sim {

// What the nodes make of the log: invariants 20 ApplyInOrderOnce, 21 StateHashAgree,
// 22 SpeculationReverted. That a plan equals what gets committed the active controller checks
// itself; here it follows from 21. Owned by Checks.
class ImageChecker {
 public:
  explicit ImageChecker(World& world) : world_(world) {}

  void OnStart(const ProcessId& id);
  void OnActiveController(const SimProcess& process, Epoch epoch, bool active);
  void OnTurn(const SimProcess& process);

 private:
  void CheckImage(const SimProcess& process, const MetadataImage& image) const;

  World& world_;
  std::map<NodeId, std::shared_ptr<const MetadataImage>> images_;  // as last seen
  std::map<NodeId, bool> has_planned_ahead_;  // was active with a plan that was not committed
};

}  // namespace kvorum::sim
