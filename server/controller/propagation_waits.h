#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "kvorum/v1/common.pb.h"
#include "server/base/ids.h"
#include "server/base/time.h"
#include "server/controller/applied_wait.h"
#include "server/controller/broker_sessions.h"
#include "server/metadata/brokers/brokers_image.h"

namespace kvorum::controller {

// Committed writes whose replies wait for brokers to apply them. The set of a wait is fixed when it
// is added and only shrinks. Owned by ActiveController; loop thread only. Every wait is answered
// exactly once.
//
// Costs O(log waits) for each broker of each wait, once, however many reports come between.
class PropagationWaits {
 public:
  using Done = std::function<void(v1::Propagation)>;

  // What is known of the brokers right now. Borrowed for a call.
  struct View {
    const BrokersImage& committed;
    const BrokersImage& latest;
    const BrokerSessions& sessions;
    // Brokers with an unfencing that is planned and not committed: they will serve from its commit
    // on, until whatever was planned after it is committed, too.
    const std::map<BrokerId, Offset>& unfencing;
  };

  // `position` is committed. May answer inside the call.
  void Add(const View& view, const AppliedWait& wait, const v1::Position& position,
           TimePoint deadline, Done done);

  // What `broker` has applied, or cannot apply, may have changed.
  void OnReport(const View& view, BrokerId broker);
  // Brokers may have been fenced or unregistered, or have fallen silent on their way back.
  void OnBrokersChanged(const View& view);

  // Answers those whose deadline has passed: committed, and who is still pending.
  void Expire(const View& view, TimePoint now);
  // Answers all: who led so far knows no more, and AwaitApplied asks the next leader.
  void InterruptAll(const View& view);

  // No earlier than this does Expire have anything to do.
  TimePoint NextDeadline() const { return deadlines_.empty() ? kNever : deadlines_.begin()->first; }
  size_t size() const { return waits_.size(); }

 private:
  using State = v1::Propagation::BrokerStatus::State;
  using WaitId = uint64_t;

  struct Member {
    State state = v1::Propagation::BrokerStatus::STATE_PENDING;
    Offset applied;       // when it left STATE_PENDING
    std::string message;  // of a rejection
  };
  struct Waiting {
    AppliedWait wait;
    v1::Position position;
    TimePoint deadline;
    std::map<BrokerId, Member> members;
    int pending = 0;
    int applied = 0;
    Done done;

    Offset end() const { return Offset(position.offset()); }
  };

  // Serves, or is on its way back and will serve without being asked again.
  static bool IsWaitedFor(const View& view, BrokerId broker);
  static std::vector<BrokerId> EverybodyWaitedFor(const View& view);

  void Join(const View& view, WaitId id, BrokerId broker);
  // `broker` is waited for no more by the waits whose position is in (above, up_to].
  void Settle(const View& view, BrokerId broker, Offset above, Offset up_to, State state);
  void SettleMember(const View& view, Waiting& waiting, BrokerId broker, State state);
  void MaybeFinish(const View& view, WaitId id);
  void Finish(const View& view, WaitId id, v1::Propagation::Outcome outcome);

  std::map<WaitId, Waiting> waits_;
  WaitId next_id_ = 1;
  // For each broker that some wait still waits for: the position and the wait.
  std::map<BrokerId, std::set<std::pair<Offset, WaitId>>> pending_;
  std::set<std::pair<TimePoint, WaitId>> deadlines_;
};

}  // namespace kvorum::controller
