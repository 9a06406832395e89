#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "server/base/random.h"
#include "server/base/uuid.h"
#include "server/controller/commands.h"
#include "tests/sim/checkers/client_checker.h"
#include "tests/sim/checkers/stream_checker.h"
#include "tests/sim/client_call.h"
#include "tests/sim/controller_finder.h"
#include "tests/sim/sim_stream.h"
#include "tests/sim/world.h"

namespace kvorum::sim {

// What simulated brokers support, where they say so.
inline constexpr char kSimFeature[] = "sim.feature";
inline constexpr int32_t kMaxSimFeatureLevel = 2;

// A broker: registers with the active controller, heartbeats, follows the metadata stream of any
// controller and resumes elsewhere when it ends, and, as the leader of partitions, changes their
// in-sync replicas. Lives as long as the simulation; each life is one broker process. Owned by the
// simulation.
class SimBroker : public SimStream::Reader {
 public:
  SimBroker(World& world, ClientChecker& checker, int id, Random random);

  int id() const { return id_; }
  bool is_up() const { return is_up_; }
  bool is_leaving() const { return is_leaving_; }
  std::optional<int64_t> broker_epoch() const { return broker_epoch_; }
  Offset applied_end() const;
  std::optional<BookmarkCount> bookmarks() const;  // of the stream that is open

  void Start();
  void Crash();
  // Asks to be fenced and then stops.
  void Leave();
  void CutStream();
  // By mistake, a second process with this broker's id: it asks to be registered, and if it may,
  // ends.
  void StartTwin();
  // From now on it reads without delay, wants to serve, and changes no in-sync replicas.
  void Calm();

  // SimStream::Reader.
  void OnStreamMessage(const std::string& bytes) override;
  void OnStreamEnd(const absl::Status& status) override;

 private:
  static constexpr Duration kRetryDelay = std::chrono::milliseconds(100);

  // Runs `task` after about `delay`, unless this life is over by then.
  void Later(Duration delay, void (SimBroker::*task)());
  void Register();
  v1::RegisterBrokerRequest MakeRegistration(const Uuid& incarnation) const;
  // A registration that need not wait for the session before it.
  void NoteTakeOver(SimProcess& process, const controller::Command& command);
  void OnRegistered(const CallResult<controller::CommandReply>& result);
  void SendReport(controller::BrokerReport report, bool wants_fence,
                  void (SimBroker::*on_result)(const CallResult<controller::BrokerReportReply>&));
  void Heartbeat();
  // The call that stays open while this process lives, and what the controller's side hears when
  // the connection is gone.
  void KeepHold();
  void EndHold();
  void OnHeartbeat(const CallResult<controller::BrokerReportReply>& result);
  void AcknowledgeLater();
  void Acknowledge();
  void OnAcknowledged(const CallResult<controller::BrokerReportReply>& result);
  void Subscribe();
  void EndStream();
  bool Rejects(const v1::MetadataUpdate& update);
  void TryAgain();
  void WatchStream();
  void ChangeIsr();
  std::optional<v1::AlterPartitionRequest> DrawIsrChange();

  template <typename T>
  void Call(ClientCall<T> call, void (SimBroker::*on_result)(const CallResult<T>&));
  void SendCommand(controller::Command command,
                   void (SimBroker::*on_result)(const CallResult<controller::CommandReply>&));
  void OnIsrChanged(const CallResult<controller::CommandReply>& result);

  World& world_;
  ClientChecker& checker_;
  int id_;
  Random random_;
  ControllerFinder finder_;
  bool is_up_ = false;
  bool is_leaving_ = false;
  bool is_calm_ = false;
  bool wants_fence_ = false;
  int life_ = 0;
  Uuid incarnation_;
  std::optional<int64_t> broker_epoch_;
  struct Hold {
    ProcessId process;
    controller::HoldId id = 0;
  };
  std::optional<Hold> hold_;  // open
  controller::HoldId holds_ = 0;

  StreamChecker::State state_;  // applied by the streams before this one
  std::shared_ptr<SimStream> stream_;
  std::optional<StreamChecker> stream_checker_;
  std::optional<NodeId> stream_hint_;
  TimePoint last_message_{};
  Duration read_delay_{};
  std::optional<Offset> rejected_;  // could not be applied; until more is
  bool is_stuck_ = false;           // there, and does not try again yet
};

template <typename T>
void SimBroker::Call(ClientCall<T> call, void (SimBroker::*on_result)(const CallResult<T>&)) {
  call.actor = id_;
  call.to = finder_.target();
  call.timeout = world_.options.workload.call_timeout;
  call.on_result = [this, on_result, life = life_, to = call.to](CallResult<T> result) {
    if (!is_up_ || life_ != life) {
      return;
    }
    if (result.kind != CallResult<T>::Kind::kAnswered) {
      // Else another call has found somebody meanwhile.
      if (finder_.target() == to) {
        finder_.TryAnother();
      }
    } else if (!result.answer.ok()) {
      finder_.OnError(result.answer.status());
    }
    (this->*on_result)(result);
  };
  StartCall(world_, random_, std::move(call));
}

}  // namespace kvorum::sim
