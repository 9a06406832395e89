#include "tests/sim/sim_process.h"

#include <algorithm>

#include "tests/sim/checkers/checks.h"
#include "tests/sim/sim_network.h"

namespace kvorum::sim {
namespace {

// Longer than any drain of this node and of its streams takes; past it the shutdown hangs.
constexpr Duration kShutdownLimit = std::chrono::seconds(60);
constexpr Duration kAgony = std::chrono::milliseconds(20);
constexpr Duration kStreamDrainLimit = std::chrono::seconds(3);

NodeConfig MakeConfig(const World& world, const SimController& machine) {
  const SimOptions& options = world.options;
  NodeConfig config;
  config.raft.cluster_id = options.cluster_id;
  config.raft.generation = world.generation;
  config.raft.self = machine.key();
  config.raft.advertised_address = machine.address();
  config.raft.bootstrap_voters = world.bootstrap_voters;
  for (const auto& [id, other] : world.controllers) {
    config.raft.bootstrap_servers.push_back(other->address());
  }
  config.raft.election_timeout = options.election_timeout;
  config.raft.fetch_timeout = options.fetch_timeout;
  config.raft.fetch_max_wait = options.fetch_max_wait;
  config.raft.request_timeout = options.request_timeout;
  config.raft.fetch_max_bytes = options.fetch_max_bytes;
  config.client_endpoint = machine.client_endpoint();
  config.controller.broker_session_timeout = options.broker_session_timeout;
  config.controller.max_idle_interval = options.max_idle_interval;
  config.controller.bootstrap_metadata_level = options.bootstrap_metadata_level;
  // Longer than anybody retries, on the fastest clock.
  config.controller.requests.max_age_ms = kRequestRetention.count();
  config.controller.max_pending_replies = options.max_pending_replies;
  config.snapshots = {.max_log_bytes = options.snapshots.max_log_bytes,
                      .max_interval = options.snapshots.max_interval,
                      .retention_bytes = options.snapshots.retention_bytes,
                      .retention_age = options.snapshots.retention_age,
                      .max_kept = options.snapshots.max_kept,
                      .chunk_bytes = options.snapshots.chunk_bytes};
  config.recent_batches_max_bytes = options.recent_batches_max_bytes;
  config.apply_max_bytes = options.apply_max_bytes;
  config.max_inflight_append_bytes = options.max_inflight_append_bytes;
  return config;
}

}  // namespace

SimProcess::SimProcess(World& world, SimController& machine, ProcessId id,
                       const RecoveredState& recovered, Random random)
    : world_(world),
      machine_(machine),
      id_(id),
      random_(random),
      storage_(world, id, machine.disk(), machine.disk_faults(), random_.Fork()),
      publisher_(world, *this, random_.Fork()),
      node_(std::make_unique<Node>(MakeConfig(world, machine),
                                   Node::Ports{.storage = storage_,
                                               .transport = *this,
                                               .host = *this,
                                               .feed = publisher_,
                                               .observer = *this},
                                   recovered, random_.Fork(), LocalNow())) {}

SimProcess::~SimProcess() = default;

Now SimProcess::LocalNow() const {
  return {.now = machine_.clock().ToLocal(world_.queue.now()), .wall_ms = machine_.WallMs()};
}

void SimProcess::Post(std::function<void(Now)> task) {
  events_.push_back(std::move(task));
  ScheduleTurn();
}

void SimProcess::PostCommand(std::function<void(Now)> task) {
  commands_.push_back(std::move(task));
  ScheduleTurn();
}

void SimProcess::OnStorageFailure(const absl::Status& status) {
  world_.log.Line("{} storage failure: {}", id_, Text(status));
  if (std::exchange(failed_, true)) {
    return;
  }
  const bool found_damage = machine_.damage().has_had_bad_chunk() && absl::IsDataLoss(status);
  KVORUM_CHECK(storage_.has_had_fault() || found_damage,
               "invariant 38 FailStop: {} gives up though its disk did what it was told: {}", id_,
               Text(status));
  if (found_damage) {
    world_.log.Hit(Mark::kChunkDamageNoticed);
  }
  // Production exits at once. Here the process lives a little longer, to see that the node does
  // nothing any more.
  world_.queue.After(DrawBetween(random_, {}, kAgony), [&world = world_, id = id_] {
    if (SimProcess* process = world.FindProcess(id)) {
      process->machine().Crash();
    }
  });
}

void SimProcess::OnSnapshotDamaged(const SnapshotId& id, const absl::Status& status) {
  KVORUM_CHECK(machine_.damage().has_had_bad_chunk(),
               "invariant 39 Quarantine: {} calls {} damaged, which is not: {}", id_, id,
               Text(status));
  world_.log.Hit(Mark::kDamagedSnapshotNotServed);
}

void SimProcess::OnRaftTrace(const raft::RaftTrace& trace) {
  world_.log.Hit(MarkOf(trace.kind));
  if (trace.kind == raft::RaftTraceKind::kSnapshotInstalled && storage_.chunk_reads() > 1) {
    // Its own first chunk, and one of what was there before.
    world_.log.Hit(Mark::kInstalledWhileLoading);
  }
  if (world_.log.printing() && trace.kind != raft::RaftTraceKind::kAppended &&
      trace.kind != raft::RaftTraceKind::kHighWatermark) {
    world_.log.Line("{} {}", id_, raft::ToText(trace));
  }
  world_.checks->OnTrace(*this, trace);
}

void SimProcess::OnLeadership(const raft::LeadershipChange& change) {
  world_.checks->OnLeadership(*this, change);
}

void SimProcess::OnActiveController(Epoch epoch, bool active) {
  world_.log.Line("{} {} the active controller of epoch {}", id_,
                  active ? "becomes" : "is no longer", epoch);
  world_.checks->OnActiveController(*this, epoch, active);
}

void SimProcess::Send(raft::SendRequest request) {
  KVORUM_CHECK(!failed_, "invariant 38 FailStop: {} sends after a storage failure", id_);
  world_.checks->OnRequestSent(*this, request);
  world_.network->SendRequest(id_, std::move(request));
}

// Lost where the link is cut at either end of the way; the caller then hears of it in time.
bool SimProcess::SendReadBarrier(const raft::Voter& leader, v1::ReadBarrierRequest request,
                                 BarrierDone done) {
  constexpr Duration kTimeout = std::chrono::seconds(1);
  auto once =
      [&world = world_, id = id_, done = std::move(done),
       is_done = std::make_shared<bool>(false)](absl::StatusOr<v1::ReadBarrierResponse> response) {
        if (world.FindProcess(id) != nullptr && !std::exchange(*is_done, true)) {
          done(std::move(response));
        }
      };
  world_.queue.After(kTimeout, [once] { once(absl::DeadlineExceededError("no barrier")); });
  const NetworkFaults& faults = world_.network_faults;
  const NodeId to = leader.key.node_id;
  const Duration back = DrawBetween(random_, faults.min_delay, faults.max_delay);
  world_.queue.After(
      DrawBetween(random_, faults.min_delay, faults.max_delay),
      [&world = world_, from = id_.node, to, back, once, request = std::move(request)] {
        SimProcess* receiver = world.RunningOn(to);
        if (receiver == nullptr || world.network->IsCut(from, to)) {
          return;
        }
        receiver->Post([&world, receiver, from, to, back, once, request](Now now) {
          receiver->node().HandleReadBarrier(
              now, request,
              [&world, from, to, back, once](absl::StatusOr<v1::ReadBarrierResponse> response) {
                if (!world.network->IsCut(to, from)) {
                  world.queue.After(back,
                                    [once, response = std::move(response)] { once(response); });
                }
              });
        });
      });
  return true;
}

void SimProcess::ScheduleTurn() {
  if (!in_turn_) {
    ScheduleTurnAt(world_.queue.now() + DrawBetween(random_, {}, world_.options.max_turn_delay));
  }
}

void SimProcess::ScheduleTurnAt(TimePoint when) {
  when = std::max({when, paused_until_, world_.queue.now()});
  if (when >= next_turn_) {
    return;
  }
  next_turn_ = when;
  world_.queue.At(when, [&world = world_, id = id_, generation = ++turn_generation_] {
    SimProcess* process = world.FindProcess(id);
    if (process != nullptr && process->turn_generation_ == generation) {
      process->RunTurn();
    }
  });
}

void SimProcess::PauseUntil(TimePoint when) {
  paused_until_ = when;
  next_turn_ = kNever;
  ++turn_generation_;
  publisher_.PauseUntil(when);
  ScheduleTurnAt(when);
}

void SimProcess::TakeEvents(Now now) {
  int budget = world_.options.max_turn_events;
  while (budget > 0 && !events_.empty()) {
    const std::function<void(Now)> event = std::move(events_.front());
    events_.pop_front();
    event(now);
    --budget;
  }
  if (!commands_.empty() && !node_->accepts_commands()) {
    world_.log.Hit(Mark::kBackpressure);
  }
  while (budget > 0 && !commands_.empty() && node_->accepts_commands()) {
    const std::function<void(Now)> command = std::move(commands_.front());
    commands_.pop_front();
    command(now);
    --budget;
  }
}

void SimProcess::RunTurn() {
  next_turn_ = kNever;
  in_turn_ = true;
  ++turns_;
  const Now now = LocalNow();
  TakeEvents(now);
  if (node_->NextDeadline() <= now.now) {
    node_->HandleTimer(now);
  }
  node_->Execute(now);
  in_turn_ = false;
  FinishTurn();
}

void SimProcess::RunAlone(const std::function<void(Now)>& event) {
  if (failed_) {
    return;
  }
  in_turn_ = true;
  const Now now = LocalNow();
  event(now);
  node_->Execute(now);
  in_turn_ = false;
  FinishTurn();
}

void SimProcess::FinishTurn() {
  world_.log.MixNow();
  world_.log.Mix(static_cast<uint64_t>(node_->core().epoch().value()));
  world_.log.Mix(static_cast<uint64_t>(node_->core().log_end_offset().value()));
  if (failed_) {
    if (!events_.empty()) {
      ScheduleTurn();
    }
    return;
  }
  world_.checks->OnTurn(*this);
  if (shutdown_began_.has_value()) {
    const Duration since = world_.queue.now() - *shutdown_began_;
    if (MayExit()) {
      // Not under the feet of this turn; unless something comes at the same instant.
      world_.queue.After({}, [&world = world_, id = id_] {
        SimProcess* process = world.FindProcess(id);
        if (process != nullptr && process->MayExit()) {
          process->machine().FinishShutdown();
        }
      });
    }
    KVORUM_CHECK(since < kShutdownLimit, "invariant 40 Bounded: {} does not shut down", id_);
    ScheduleTurnAt(world_.queue.now() + std::chrono::milliseconds(50));
  }
  if (!events_.empty() || (!commands_.empty() && node_->accepts_commands())) {
    ScheduleTurn();
  }
  const TimePoint deadline = node_->NextDeadline();
  if (deadline != kNever) {
    ScheduleTurnAt(machine_.clock().ToReal(deadline));
  }
}

bool SimProcess::MayExit() const {
  return node_->is_shut_down() && events_.empty() && commands_.empty() &&
         (publisher_.is_idle() || world_.queue.now() - *shutdown_began_ > kStreamDrainLimit);
}

void SimProcess::BeginShutdown() {
  if (shutdown_began_.has_value()) {
    return;
  }
  shutdown_began_ = world_.queue.now();
  publisher_.BeginShutdown();
  Post([this](Now now) { node_->BeginShutdown(now); });
}

void SimProcess::NoteAnswer(bool& answered) {
  KVORUM_CHECK(!answered, "invariant 40 Bounded: {} answered a request twice", id_);
  answered = true;
  --unanswered_;
}

void SimProcess::CheckMayAnswer(bool is_ok) const {
  KVORUM_CHECK(!failed_ || !is_ok, "invariant 38 FailStop: {} answers after a storage failure",
               id_);
}

void SimProcess::CheckNothingUnanswered() const {
  KVORUM_CHECK(unanswered_ == 0 && commands_.empty(),
               "invariant 40 Bounded: {} exits in order with {} requests unanswered", id_,
               unanswered_);
}

void SimProcess::Die() { publisher_.Die(); }

}  // namespace kvorum::sim
