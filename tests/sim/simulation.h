#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "server/base/random.h"
#include "tests/sim/checkers/checks.h"
#include "tests/sim/checkers/client_checker.h"
#include "tests/sim/checkers/model_checker.h"
#include "tests/sim/domain_client.h"
#include "tests/sim/filtered_subscriber.h"
#include "tests/sim/nemesis.h"
#include "tests/sim/options.h"
#include "tests/sim/quorum_operator.h"
#include "tests/sim/session_client.h"
#include "tests/sim/sim_broker.h"
#include "tests/sim/sim_client.h"
#include "tests/sim/sim_network.h"
#include "tests/sim/world.h"

namespace kvorum::sim {

struct RunResult {
  uint64_t hash = 0;  // over everything that happened
  uint64_t events = 0;
  int64_t committed = 0;  // offsets
  Marks marks;
};

// START HERE. One run: a world drawn from one seed, a phase with faults, a phase without. A broken
// invariant ends the process (KVORUM_CHECK). Use once.
class Simulation {
 public:
  explicit Simulation(SimOptions options);
  ~Simulation();

  RunResult Run();

 private:
  void MakeControllers();
  void MakeActors();

  World world_;
  Random random_;
  SimNetwork network_;
  Checks checks_;
  ClientChecker client_checker_;
  ModelChecker model_checker_;
  std::vector<std::unique_ptr<SimBroker>> brokers_;
  std::vector<std::unique_ptr<SimClient>> clients_;
  std::vector<std::unique_ptr<FilteredSubscriber>> subscribers_;
  std::vector<std::unique_ptr<SessionClient>> sessions_;
  std::unique_ptr<QuorumOperator> operator_of_quorum_;
  std::unique_ptr<Nemesis> nemesis_;
  std::unique_ptr<DomainClient> domain_client_;
};

}  // namespace kvorum::sim
