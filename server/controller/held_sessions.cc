#include "server/controller/held_sessions.h"

#include <algorithm>

namespace kvorum::controller {

void HeldSessions::Add(const Holder& holder, HoldId hold, Done done) {
  Held& held = held_[holder.broker];
  const Done before = std::exchange(held.done, std::move(done));
  held.epoch = holder.epoch;
  held.hold = hold;
  if (before) {
    before(v1::HoldSessionResponse());
  }
}

std::optional<HeldSessions::Holder> HeldSessions::Remove(HoldId hold) {
  const auto found = std::find_if(held_.begin(), held_.end(),
                                  [hold](const auto& held) { return held.second.hold == hold; });
  if (found == held_.end()) {
    return std::nullopt;
  }
  const Holder holder{found->first, found->second.epoch};
  const Done done = std::move(found->second.done);
  held_.erase(found);
  done(absl::CancelledError("the call was ended by its caller"));
  return holder;
}

void HeldSessions::End(BrokerId broker, std::optional<BrokerEpoch> epoch) {
  const auto found = held_.find(broker);
  if (found != held_.end() && found->second.epoch != epoch) {
    const Done done = std::move(found->second.done);
    held_.erase(found);
    done(v1::HoldSessionResponse());
  }
}

void HeldSessions::EndAll(const absl::Status& status) {
  for (const auto& [broker, held] : std::exchange(held_, {})) {
    held.done(status);
  }
}

}  // namespace kvorum::controller
