#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "server/base/random.h"
#include "server/controller/commands.h"
#include "tests/sim/checkers/client_checker.h"
#include "tests/sim/client_call.h"
#include "tests/sim/controller_finder.h"
#include "tests/sim/world.h"

namespace kvorum::sim {

// One client: a call at a time, then a pause. Every written value is unique, so that each write can
// be recognised in the log. Owned by the simulation.
class SimClient {
 public:
  SimClient(World& world, ClientChecker& checker, int actor, Random random);

  void Start();
  // Ends after the call that is under way.
  void Stop() { is_stopped_ = true; }
  bool is_busy() const { return is_busy_; }

  // One (more) put to the active controller, retried until it is acknowledged.
  void PutUntilAcknowledged();
  bool is_acknowledged() const { return is_acknowledged_; }

 private:
  void ScheduleNext();
  void Next();
  controller::Command DrawCommand();
  controller::Query DrawQuery();
  v1::PutEntryRequest DrawPut();
  void DrawWait(v1::WriteOptions& options);
  controller::Command DrawTopicCommand();
  controller::Command DrawLargeCommand();
  NodeId RandomController();
  std::string DrawKey();
  std::string DrawTopicName();
  void SendCommand(controller::Command command);
  void SendQuery(controller::Query query);
  void OnCommandResult(const controller::Command& command,
                       const CallResult<controller::CommandReply>& result);
  void OnError(const absl::Status& status);
  // Of a write whose wait a lost leadership cut short: the next leader goes on with it.
  void AwaitApplied(v1::AwaitAppliedRequest request, int attempts_left);
  bool GoesOnWaiting(const controller::Command& command, const controller::CommandReply& reply);
  void NoteReply(const controller::Command& command, const controller::CommandReply& reply);
  template <typename T>
  void OnResult(const CallResult<T>& result);

  World& world_;
  ClientChecker& checker_;
  int actor_;
  Random random_;
  ControllerFinder finder_;
  bool is_stopped_ = false;
  bool is_busy_ = false;
  bool is_final_put_ = false;
  bool is_acknowledged_ = false;
  bool has_sent_large_ = false;
  int64_t operations_ = 0;
  std::map<std::string, int64_t> versions_;  // as this client last saw them
};

}  // namespace kvorum::sim
