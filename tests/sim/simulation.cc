#include "tests/sim/simulation.h"

#include <utility>

#include "tests/sim/liveness.h"
#include "tests/sim/sim_controller.h"
#include "tests/sim/sim_process.h"

namespace kvorum::sim {
namespace {

constexpr uint16_t kControllerPort = 7401;
// These draw from a stream of their own: a seed without them is as it was before.
constexpr uint64_t kSubscribersSalt = 0x6b766f72756d0002ULL;

}  // namespace

Simulation::Simulation(SimOptions options)
    : world_(std::move(options)),
      random_(world_.options.seed),
      network_(world_, random_.Fork()),
      checks_(world_),
      client_checker_(world_),
      model_checker_(world_) {
  world_.network = &network_;
  world_.checks = &checks_;
  MakeControllers();
  MakeActors();
  operator_of_quorum_ = std::make_unique<QuorumOperator>(world_, random_.Fork());
  nemesis_ = std::make_unique<Nemesis>(world_, brokers_, random_.Fork());
  domain_client_ = std::make_unique<DomainClient>(
      world_, client_checker_, model_checker_, kFirstClientActor + world_.options.workload.clients,
      random_.Fork());
}

Simulation::~Simulation() = default;

void Simulation::MakeControllers() {
  const SimOptions& options = world_.options;
  std::vector<raft::Voter> replicas;
  for (int i = 1; i <= options.voters + options.observers; ++i) {
    replicas.push_back({.key = {.node_id = NodeId(i), .directory_id = Uuid::FromRandom(random_)},
                        .address = {.host = fmt::format("c{}", i), .port = kControllerPort}});
  }
  world_.bootstrap_voters =
      raft::VoterSet(std::vector<raft::Voter>(replicas.begin(), replicas.begin() + options.voters));
  for (const raft::Voter& replica : replicas) {
    const int64_t drift =
        random_.Between(-options.max_clock_drift_ppm, options.max_clock_drift_ppm);
    world_.controllers.emplace(replica.key.node_id, std::make_unique<SimController>(
                                                        world_, replica, drift, random_.Fork()));
  }
}

void Simulation::MakeActors() {
  for (int i = 0; i < world_.options.brokers; ++i) {
    brokers_.push_back(std::make_unique<SimBroker>(world_, client_checker_, i, random_.Fork()));
  }
  for (int i = 0; i < world_.options.workload.clients; ++i) {
    clients_.push_back(std::make_unique<SimClient>(world_, client_checker_, kFirstClientActor + i,
                                                   random_.Fork()));
  }
  Random random(world_.options.seed ^ kSubscribersSalt);
  for (int i = 0; i < world_.options.filtered_subscribers; ++i) {
    subscribers_.push_back(std::make_unique<FilteredSubscriber>(world_, client_checker_,
                                                                model_checker_, i, random.Fork()));
  }
  for (int i = 0; i < world_.options.session_clients; ++i) {
    sessions_.push_back(std::make_unique<SessionClient>(world_, client_checker_, i, random.Fork()));
  }
}

RunResult Simulation::Run() {
  for (const auto& [id, machine] : world_.controllers) {
    machine->Start();
  }
  for (const auto& broker : brokers_) {
    broker->Start();
  }
  for (const auto& client : clients_) {
    client->Start();
  }
  for (const auto& subscriber : subscribers_) {
    subscriber->Start();
  }
  for (const auto& session : sessions_) {
    session->Start();
  }
  operator_of_quorum_->Start();
  domain_client_->Start();
  nemesis_->Start();
  const TimePoint end_of_faults = world_.queue.now() + world_.options.fault_phase;
  while (world_.queue.RunNext(end_of_faults)) {
  }
  nemesis_->Stop();
  operator_of_quorum_->Stop();
  domain_client_->Stop();
  for (const auto& session : sessions_) {
    session->Stop();
  }
  checks_.Sweep();
  Liveness(world_, {brokers_, clients_, subscribers_, *operator_of_quorum_}, random_.Fork()).Run();
  checks_.Sweep();
  model_checker_.CheckEnd();
  return {.hash = world_.log.hash(),
          .events = world_.queue.executed(),
          .committed = world_.ghost.end_offset().value(),
          .marks = world_.log.marks()};
}

}  // namespace kvorum::sim
