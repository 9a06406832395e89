#include "tests/sim/controller_finder.h"

#include <iterator>
#include <map>
#include <string>

#include "server/base/errors.h"
#include "tests/sim/sim_controller.h"

namespace kvorum::sim {

ControllerFinder::ControllerFinder(World& world, Random random) : world_(world) {
  auto it = world_.controllers.begin();
  std::advance(it, static_cast<int64_t>(random.Below(world_.controllers.size())));
  target_ = it->first;
}

// In turns, so that a client that waits long for each answer has soon asked everybody.
void ControllerFinder::TryAnother() {
  auto next = world_.controllers.upper_bound(target_);
  target_ = (next == world_.controllers.end() ? world_.controllers.begin() : next)->first;
}

void ControllerFinder::OnError(const absl::Status& status) {
  if (GetErrorInfo(GetErrorReason(status)).retry != Retry::kOtherNode) {
    return;
  }
  const std::map<std::string, std::string> facts = GetErrorFacts(status);
  const auto endpoint = facts.find("leader_endpoint");
  const std::optional<NodeId> hint =
      endpoint == facts.end() ? std::nullopt : SimController::ParseClientEndpoint(endpoint->second);
  if (hint.has_value() && world_.controllers.contains(*hint)) {
    target_ = *hint;
  } else {
    TryAnother();
  }
}

}  // namespace kvorum::sim
