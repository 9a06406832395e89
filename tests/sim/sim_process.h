#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <type_traits>
#include <utility>

#include "absl/status/statusor.h"
#include "server/base/check.h"
#include "server/base/random.h"
#include "server/node/node.h"
#include "server/node/ports.h"
#include "tests/sim/sim_controller.h"
#include "tests/sim/sim_publisher.h"
#include "tests/sim/sim_storage.h"
#include "tests/sim/world.h"

namespace kvorum::sim {

// One incarnation of a controller: a Node on a virtual loop with the ports around it. A turn takes
// some events, gives each to the node and ends with one Execute, as production's loop does. Dies
// with everything that was on its way to it. Owned by its SimController.
class SimProcess : public NodeHost, public NodeObserver, public PeerTransport {
 public:
  SimProcess(World& world, SimController& machine, ProcessId id, const RecoveredState& recovered,
             Random random);
  ~SimProcess() override;

  const ProcessId& id() const { return id_; }
  SimController& machine() { return machine_; }
  Node& node() { return *node_; }
  const Node& node() const { return *node_; }
  SimStorage& storage() { return storage_; }
  const SimStorage& storage() const { return storage_; }
  SimPublisher& publisher() { return publisher_; }
  Now LocalNow() const;

  // NodeHost.
  void Post(std::function<void(Now)> task) override;
  void OnStorageFailure(const absl::Status& status) override;
  // NodeObserver.
  void OnRaftTrace(const raft::RaftTrace& trace) override;
  void OnLeadership(const raft::LeadershipChange& change) override;
  void OnActiveController(Epoch epoch, bool active) override;
  void OnReadiness(bool) override {}
  void OnSnapshotDamaged(const SnapshotId& id, const absl::Status& status) override;
  // PeerTransport.
  void Send(raft::SendRequest request) override;
  bool SendReadBarrier(const raft::Voter& leader, v1::ReadBarrierRequest request,
                       BarrierDone done) override;

  // Client commands: wait while the node does not accept them.
  void PostCommand(std::function<void(Now)> task);
  void ScheduleTurn();
  void PauseUntil(TimePoint when);
  void BeginShutdown();
  // Runs `event` as a turn of its own, so that its effect can be told from others'.
  void RunAlone(const std::function<void(Now)>& event);

  bool has_failed() const { return failed_; }
  bool is_shutting_down() const { return shutdown_began_.has_value(); }
  bool is_in_turn() const { return in_turn_; }
  bool is_paused() const { return paused_until_ > world_.queue.now(); }
  uint64_t turns() const { return turns_; }

  // Wraps a reply: it must come exactly once, and after a storage failure say nothing but errors.
  template <typename T>
  std::function<void(absl::StatusOr<T>)> Once(std::function<void(absl::StatusOr<T>)> done) {
    ++unanswered_;
    return [this, done = std::move(done),
            answered = std::make_shared<bool>(false)](absl::StatusOr<T> result) {
      // A read of what is committed stays true whatever became of the disk.
      if constexpr (!std::is_same_v<T, controller::QueryReply>) {
        CheckMayAnswer(result.ok());
      }
      NoteAnswer(*answered);
      done(std::move(result));
    };
  }
  void NoteAnswer(bool& answered);
  void CheckMayAnswer(bool is_ok) const;
  void NoteRequest() { ++unanswered_; }
  void CheckNothingUnanswered() const;

  // The last thing before destruction: tells everybody who is connected.
  void Die();

 private:
  void ScheduleTurnAt(TimePoint when);
  void RunTurn();
  void TakeEvents(Now now);
  void FinishTurn();
  bool MayExit() const;

  World& world_;
  SimController& machine_;
  ProcessId id_;
  Random random_;

  std::deque<std::function<void(Now)>> events_;
  std::deque<std::function<void(Now)>> commands_;
  TimePoint next_turn_ = kNever;
  uint64_t turn_generation_ = 0;
  TimePoint paused_until_{};
  uint64_t turns_ = 0;
  bool in_turn_ = false;
  bool failed_ = false;
  int64_t unanswered_ = 0;
  std::optional<TimePoint> shutdown_began_;

  SimStorage storage_;
  SimPublisher publisher_;
  std::unique_ptr<Node> node_;  // posts to the loop from the beginning
};

}  // namespace kvorum::sim
