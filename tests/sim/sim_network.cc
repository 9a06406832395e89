#include "tests/sim/sim_network.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "server/base/check.h"
#include "tests/sim/checkers/checks.h"
#include "tests/sim/sim_process.h"

namespace kvorum::sim {

namespace {

// More than this the connections' buffers do not hold.
constexpr size_t kMaxKeptMessages = 500;
constexpr Duration kMaxStaleDelay = std::chrono::seconds(5);

}  // namespace

void SimNetwork::Carry(NodeId from, NodeId to, Arrival arrival) {
  const NetworkFaults& faults = world_.network_faults;
  if (IsCut(from, to)) {
    if (kept_.size() < kMaxKeptMessages && random_.OneIn(faults.stale_permille, 1000)) {
      kept_.push_back(std::move(arrival));
    }
    return;
  }
  if (random_.OneIn(faults.drop_permille, 1000)) {
    world_.log.Hit(Mark::kMessageDropped);
    return;
  }
  world_.queue.After(DrawDelay(from, to), std::move(arrival));
}

void SimNetwork::HealLinks() {
  cut_.clear();
  clogged_until_.clear();
  for (Arrival& arrival : std::exchange(kept_, {})) {
    world_.log.Hit(Mark::kStaleMessage);
    world_.queue.After(DrawBetween(random_, {}, kMaxStaleDelay), std::move(arrival));
  }
}

Duration SimNetwork::DrawDelay(NodeId from, NodeId to) {
  const Duration delay =
      DrawBetween(random_, world_.network_faults.min_delay, world_.network_faults.max_delay);
  const auto clogged = clogged_until_.find({from, to});
  return clogged == clogged_until_.end()
             ? delay
             : delay + std::max(Duration::zero(), clogged->second - world_.queue.now());
}

// An address that was given to another machine meanwhile.
NodeId SimNetwork::MaybeMisroute(NodeId to) {
  if (!random_.OneIn(world_.network_faults.misroute_permille, 1000)) {
    return to;
  }
  std::vector<NodeId> others;
  for (const auto& [id, controller] : world_.controllers) {
    if (id != to) {
      others.push_back(id);
    }
  }
  if (others.empty()) {
    return to;
  }
  world_.log.Hit(Mark::kMessageMisrouted);
  return others[random_.Below(others.size())];
}

NodeId SimNetwork::Resolve(const raft::Voter& to) const {
  if (to.key.node_id >= NodeId{0}) {
    return to.key.node_id;
  }
  for (const auto& [id, controller] : world_.controllers) {
    if (controller->address() == to.address) {
      return id;
    }
  }
  return to.key.node_id;  // nobody is there
}

void SimNetwork::SendRequest(ProcessId from, raft::SendRequest request) {
  const auto call = std::make_shared<const Call>(Call{.from = from,
                                                      .to = Resolve(request.to),
                                                      .sent_to = request.to.key.node_id,
                                                      .address = request.to.address,
                                                      .id = request.id,
                                                      .request = std::move(request.request)});
  waiting_[{from, call->sent_to}] = call->id;
  // Timed by the sender's own clock; the difference does not matter here.
  world_.queue.After(request.timeout, [this, call] { FailOnTimeout(call); });
  Carry(from.node, call->to, [this, call] { Deliver(call); });
  if (random_.OneIn(world_.network_faults.duplicate_permille, 1000)) {
    world_.log.Hit(Mark::kMessageDuplicated);
    Carry(from.node, call->to, [this, call] { Deliver(call); });
  }
}

void SimNetwork::Deliver(const CallPtr& call) {
  world_.log.MixNow();
  if (IsCut(call->from.node, call->to)) {
    Carry(call->from.node, call->to, [this, call] { Deliver(call); });
    return;
  }
  const NodeId at = MaybeMisroute(call->to);
  SimProcess* process = world_.RunningOn(at);
  const auto machine = world_.controllers.find(call->to);
  const bool has_moved =
      machine != world_.controllers.end() && machine->second->address() != call->address;
  if (process == nullptr || has_moved) {
    if (!IsCut(call->to, call->from.node)) {
      world_.log.Hit(Mark::kConnectionRefused);
      world_.queue.After(DrawDelay(call->to, call->from.node), [this, call] { Refuse(call); });
    }
    return;
  }
  const bool is_for_anyone = raft::HeaderOf(call->request).receiver.node_id == raft::kAnyNode;
  if (at != call->to && !is_for_anyone) {
    Inject(at, call->request, Effect::kMustChangeNothing);
    return;
  }
  process->NoteRequest();
  process->Post([this, process, call](Now now) {
    world_.checks->OnRequestHandled(*process, call->request);
    process->node().HandleRaftRequest(
        now, call->request,
        [this, process, call,
         answered = std::make_shared<bool>(false)](raft::RaftResponse response) {
          process->CheckMayAnswer(true);
          process->NoteAnswer(*answered);
          Respond(*process, call, std::move(response));
        });
  });
}

void SimNetwork::Respond(SimProcess& process, const CallPtr& call, raft::RaftResponse response) {
  world_.checks->OnResponseSent(process, call->request, response);
  MaybeDamage(response);
  const bool twice = random_.OneIn(world_.network_faults.duplicate_permille, 1000);
  const auto shared = std::make_shared<const raft::RaftResponse>(std::move(response));
  for (int i = 0; i < (twice ? 2 : 1); ++i) {
    Carry(process.id().node, call->from.node,
          [this, call, shared] { DeliverResponse(call, *shared); });
  }
}

void SimNetwork::MaybeDamage(raft::RaftResponse& response) {
  auto* fetch = std::get_if<raft::FetchResponse>(&response);
  auto* chunk = std::get_if<raft::FetchSnapshotResponse>(&response);
  const bool has_bytes =
      (fetch != nullptr && !fetch->batches.empty()) || (chunk != nullptr && !chunk->chunk.empty());
  if (!has_bytes || !random_.OneIn(world_.network_faults.damage_permille, 1000)) {
    return;
  }
  if (chunk != nullptr) {
    world_.log.Hit(Mark::kSnapshotDamagedOnTheWay);
    chunk->chunk[random_.Below(chunk->chunk.size())] ^= 1;
    return;
  }
  world_.log.Hit(Mark::kBatchDamaged);
  RecordBatch& victim = fetch->batches[random_.Below(fetch->batches.size())];
  if (random_.OneIn(1, 2)) {
    victim.append_time_ms ^= 1;
  } else {
    victim.chain_hash ^= 1ULL << random_.Below(64);
  }
}

// Late and double answers reach the node too: it must tell by the correlation id.
void SimNetwork::DeliverResponse(const CallPtr& call, const raft::RaftResponse& response) {
  world_.log.MixNow();
  SimProcess* process = world_.FindProcess(call->from);
  if (process == nullptr) {
    return;
  }
  TakeWaiting(*call);
  process->Post([process, to = call->sent_to, id = call->id, response](Now now) {
    process->node().HandleRaftResponse(now, to, id, response);
  });
}

bool SimNetwork::TakeWaiting(const Call& call) {
  const auto it = waiting_.find({call.from, call.sent_to});
  if (it == waiting_.end() || it->second != call.id) {
    return false;
  }
  waiting_.erase(it);
  return true;
}

void SimNetwork::Refuse(const CallPtr& call) {
  SimProcess* process = world_.FindProcess(call->from);
  if (process == nullptr || !TakeWaiting(*call)) {
    return;
  }
  process->Post([process, call](Now now) {
    process->node().HandleSendFailure(now, call->sent_to, call->id, raft::SendFailure::kRefused);
  });
}

void SimNetwork::FailOnTimeout(const CallPtr& call) {
  SimProcess* process = world_.FindProcess(call->from);
  if (!TakeWaiting(*call) || process == nullptr) {
    return;
  }
  process->Post([process, call](Now now) {
    process->node().HandleSendFailure(now, call->sent_to, call->id, raft::SendFailure::kOther);
  });
}

void SimNetwork::Inject(NodeId to, raft::RaftRequest request, Effect effect) {
  SimProcess* process = world_.RunningOn(to);
  if (process == nullptr || process->has_failed() || process->is_paused()) {
    return;
  }
  const auto shared = std::make_shared<const raft::RaftRequest>(std::move(request));
  // What is due anyway must not be blamed on the message.
  process->RunAlone([process](Now now) { process->node().HandleTimer(now); });
  world_.checks->BeforeForeignMessage(*process);
  process->NoteRequest();
  process->RunAlone([this, process, shared](Now now) {
    process->node().HandleRaftRequest(
        now, *shared,
        [this, process, shared,
         answered = std::make_shared<bool>(false)](const raft::RaftResponse& response) {
          process->NoteAnswer(*answered);
          world_.checks->OnResponseSent(*process, *shared, response);
        });
  });
  if (effect == Effect::kMustChangeNothing) {
    world_.checks->AfterForeignMessage(*process, *shared);
  }
}

}  // namespace kvorum::sim
