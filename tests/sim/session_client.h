#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "server/base/random.h"
#include "server/controller/commands.h"
#include "tests/sim/checkers/client_checker.h"
#include "tests/sim/checkers/session_checker.h"
#include "tests/sim/client_call.h"
#include "tests/sim/controller_finder.h"
#include "tests/sim/world.h"

namespace kvorum::sim {

// A client that is a session: writes to the active controller, and reads of any controller with the
// furthest position that it has seen, or that it was told by somebody else, as `min_position`. Some
// of its positions are none. In half of the seeds it
// also lists page by page, now and then going on at another controller. A call at a time. Owned by
// the simulation.
class SessionClient {
 public:
  SessionClient(World& world, ClientChecker& clients, int number, Random random);

  void Start() { ScheduleNext(); }
  // Ends after the call that is under way.
  void Stop() { is_stopped_ = true; }

 private:
  void ScheduleNext();
  void Next();
  void Write();
  void OnWriteResult(const controller::Command& command,
                     const CallResult<controller::CommandReply>& result);
  void Read();
  SessionChecker::Read DrawRead();
  void List();
  void AskForPage();
  void OnPage(const CallResult<controller::QueryReply>& result);
  v1::Position DrawPosition(SessionChecker::Read& read);
  controller::Query DrawQuery(const v1::Position& min_position);
  std::string DrawKey();
  NodeId RandomController();

  World& world_;
  ClientChecker& clients_;
  SessionChecker checker_;
  int actor_;
  Random random_;
  ControllerFinder finder_;
  bool is_stopped_ = false;
  int64_t operations_ = 0;
  std::optional<SessionChecker::PagedList> list_;  // under way
  NodeId list_from_;                               // who gave its first page
  // Of which it is not known what became: the value, and the position that came instead.
  std::optional<std::pair<std::string, v1::Position>> lost_write_;
};

}  // namespace kvorum::sim
