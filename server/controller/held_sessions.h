#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "kvorum/v1/broker.pb.h"
#include "server/base/ids.h"

namespace kvorum::controller {

// Names an open call of HoldSession, for as long as this process runs.
using HoldId = uint64_t;

// How such a call ended: its caller has left, or its deadline is over, which tells nothing of the
// process.
enum class HoldEnd { kCallerGone, kExpired };

// The calls that brokers keep open to show that their processes run: at most one each. Owned by
// ActiveController; loop thread only. Every `done` is called once, by whichever comes first: a
// newer call, the end of the incarnation, of this leadership, or of the call itself.
class HeldSessions {
 public:
  using Done = std::function<void(absl::StatusOr<v1::HoldSessionResponse>)>;
  struct Holder {
    BrokerId broker;
    BrokerEpoch epoch;
  };

  // Answers the broker's call before this one.
  void Add(const Holder& holder, HoldId hold, Done done);

  // The caller of `hold` is gone. Who it was; nullopt: the call was answered before.
  std::optional<Holder> Remove(HoldId hold);

  // Answers the broker's call, if it is not of `epoch`; nullopt: whatever it is of. With OK: that
  // is planned only, and what becomes of it heartbeats tell.
  void End(BrokerId broker, std::optional<BrokerEpoch> epoch);
  void EndAll(const absl::Status& status);

 private:
  struct Held {
    BrokerEpoch epoch;
    HoldId hold = 0;
    Done done;
  };

  std::map<BrokerId, Held> held_;
};

}  // namespace kvorum::controller
