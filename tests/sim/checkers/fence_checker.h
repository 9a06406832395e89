#pragma once

#include <cstdint>
#include <map>
#include <utility>

#include "server/base/time.h"
#include "storage/types/storage_write.h"
#include "tests/sim/world.h"

namespace kvorum::sim {

// Invariant 34 FenceJustified: whoever fences a broker has itself not heard of it for a whole
// session, counted from when it became active, or was asked to. Owned by Checks.
class FenceChecker {
 public:
  explicit FenceChecker(World& world) : world_(world) {}

  void OnActiveController(const SimProcess& process, bool active);
  void OnContact(const SimProcess& process, int32_t broker, bool wants_fence);
  void OnSubmit(const SimProcess& process, const StorageWrite& write);

 private:
  struct Contact {
    TimePoint when;  // by the clock of the process
    TimePoint asked_for_fence = TimePoint::min();
  };

  // As the active controller has written it so far; not all of it is committed.
  struct Planned {
    bool is_fenced = false;
    bool is_leaving = false;  // in a controlled shutdown
  };

  void OnChange(const SimProcess& process, const v1::BrokerRegistrationChangeRecord& change);
  void CheckFence(const SimProcess& process, int32_t broker) const;

  World& world_;
  std::map<NodeId, TimePoint> active_since_;
  std::map<std::pair<NodeId, int32_t>, Contact> contacts_;
  std::map<std::pair<NodeId, int32_t>, Planned> planned_;
};

}  // namespace kvorum::sim
