#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "server/base/time.h"
#include "storage/types/storage_write.h"
#include "tests/sim/world.h"

namespace kvorum::sim {

// Invariant 34 FenceJustified: whoever fences a broker, or gives its id to another process, has
// itself not heard of it for a whole session, counted from when it became active. Or it was asked
// to fence it; or it saw the connection of that process end. Owned by Checks.
class FenceChecker {
 public:
  explicit FenceChecker(World& world) : world_(world) {}

  void OnActiveController(const SimProcess& process, bool active);
  void OnContact(const SimProcess& process, int32_t broker, bool wants_fence);
  // The call that the broker keeps open has ended at `process`.
  void OnHoldEnded(const SimProcess& process, int32_t broker);
  void OnSubmit(const SimProcess& process, const StorageWrite& write);

 private:
  struct Contact {
    TimePoint when;  // by the clock of the process
    TimePoint asked_for_fence = TimePoint::min();
    bool is_gone = false;  // as far as the process can see, since then
  };

  // As the active controller has written it so far; not all of it is committed.
  struct Planned {
    bool is_registered = false;
    bool is_fenced = false;
    bool is_leaving = false;  // in a controlled shutdown
    std::string incarnation;
  };

  Planned PlannedAt(const SimProcess& process, int32_t broker) const;
  void OnRegistration(const SimProcess& process, const v1::RegisterBrokerRecord& record);
  void OnChange(const SimProcess& process, const v1::BrokerRegistrationChangeRecord& change);
  void CheckFence(const SimProcess& process, int32_t broker) const;
  void CheckTakeOver(const SimProcess& process, int32_t broker, const Planned& before) const;
  // How long `process` has not heard of the broker, since it is active.
  Duration Silence(const SimProcess& process, int32_t broker) const;

  World& world_;
  std::map<NodeId, TimePoint> active_since_;
  std::map<std::pair<NodeId, int32_t>, Contact> contacts_;
  std::map<std::pair<NodeId, int32_t>, Planned> planned_;
};

}  // namespace kvorum::sim
