#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "server/base/random.h"
#include "server/base/uuid.h"
#include "server/controller/commands.h"
#include "tests/sim/checkers/client_checker.h"
#include "tests/sim/checkers/model_checker.h"
#include "tests/sim/client_call.h"
#include "tests/sim/controller_finder.h"
#include "tests/sim/world.h"

namespace kvorum::sim {

// A client of all domains: entries in namespaces, topics, configs, quotas, access control,
// credentials, features, producer ids, draining and removal of brokers, elections, moves, and
// transactions of them. Every operation has a request_id and is sent until its fate is known, but
// no longer than the controllers surely remember it, and now and then once more after that. What
// becomes of it ModelChecker says. Owned by the simulation.
class DomainClient {
 public:
  DomainClient(World& world, ClientChecker& clients, ModelChecker& model, int actor, Random random);

  void Start() { ScheduleNext(); }
  // Ends after the call that is under way.
  void Stop() { is_stopped_ = true; }

 private:
  void ScheduleNext();
  void Next();
  void Send();
  void OnResult(const CallResult<controller::CommandReply>& result);
  // True if the same operation is to be sent again.
  bool MustRetry(const CallResult<controller::CommandReply>& result);

  controller::Command DrawCommand();
  controller::Command DrawOperation();
  controller::Command DrawTransaction();
  controller::Command DrawEntry();
  controller::Command DrawTopics();
  controller::Command DrawConfigs();
  controller::Command DrawQuotas();
  controller::Command DrawAcls();
  controller::Command DrawCredentials();
  controller::Command DrawBrokers();
  controller::Command DrawElection();
  controller::Command DrawMove();
  controller::Command DrawFeatures();
  template <typename Request>
  void DrawOptions(Request& request);
  std::string Draw(const char* prefix, uint64_t count);
  int32_t DrawBroker();

  World& world_;
  ClientChecker& clients_;
  ModelChecker& model_;
  const int actor_;
  Random random_;
  ControllerFinder finder_;
  bool is_stopped_ = false;
  int64_t operations_ = 0;
  int64_t values_ = 0;  // each is written once
  Provenance last_read_;
  // The operation whose fate is not known yet.
  std::optional<controller::Command> command_;
  Uuid id_;
  int attempts_ = 0;
  TimePoint first_sent_{};
};

}  // namespace kvorum::sim
