#pragma once

#include "absl/status/status.h"
#include "server/base/random.h"
#include "tests/sim/world.h"

namespace kvorum::sim {

// Where a client believes the active controller is: follows hints, and guesses after silence. Plain
// value of its owner.
class ControllerFinder {
 public:
  ControllerFinder(World& world, Random random);

  NodeId target() const { return target_; }
  // An answer that says where to go, or nothing useful.
  void OnError(const absl::Status& status);
  void TryAnother();

 private:
  World& world_;
  NodeId target_;
};

}  // namespace kvorum::sim
