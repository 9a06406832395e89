#include "tests/sim/liveness.h"

#include <algorithm>
#include <map>

#include "server/base/check.h"
#include "tests/sim/checkers/checks.h"
#include "tests/sim/sim_network.h"
#include "tests/sim/sim_process.h"

namespace kvorum::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kCheckInterval = milliseconds(100);
constexpr Duration kProgressLimit = seconds(30);

}  // namespace

Liveness::Liveness(World& world, const Actors& actors, Random random)
    : world_(world),
      brokers_(actors.brokers),
      clients_(actors.clients),
      subscribers_(actors.subscribers),
      operator_(actors.quorum),
      random_(random) {}

void Liveness::ChooseCore() {
  std::vector<NodeId> voters;
  for (const auto& [id, machine] : world_.controllers) {
    if (!world_.IsVoter(id)) {
      continue;
    }
    if (world_.atlas.has_forgotten(id)) {
      world_.log.Hit(Mark::kLivenessWithQuarantine);
      core_.insert(id);  // must be helped by the others, and then works like them
    } else {
      voters.push_back(id);
    }
  }
  const size_t minority = world_.atlas.SpareVoters();
  const bool all = world_.options.liveness == LivenessMode::kAllHealthy;
  for (size_t i = 0; i < (all ? 0 : minority); ++i) {
    const size_t chosen = random_.Below(voters.size());
    others_.insert(voters[chosen]);
    voters.erase(voters.begin() + static_cast<int64_t>(chosen));
  }
  core_.insert(voters.begin(), voters.end());
}

// Who was not reached while all others moved, and is no voter, is found by nobody: it needs other
// settings.
void Liveness::GiveNewSettings() {
  for (const auto& [id, machine] : world_.controllers) {
    if (machine->is_up() && !world_.IsVoter(id) && !machine->KnowsSomebody()) {
      world_.log.Line("{} is told where the others are", id);
      machine->Crash();
      machine->Start();
    }
  }
}

void Liveness::StartEverybody() {
  GiveNewSettings();
  for (const auto& subscriber : subscribers_) {
    subscriber->Calm();
  }
  const bool down = world_.options.liveness == LivenessMode::kMinorityDown;
  for (const auto& [id, machine] : world_.controllers) {
    if (!others_.contains(id) || !down) {
      if (!machine->is_up()) {
        machine->Start();
      }
    } else if (machine->is_up()) {
      machine->Crash();
    }
  }
  for (const NodeId id : others_) {
    CutOff(id);
    for (const auto& broker : brokers_) {
      world_.cut_paths.insert({broker->id(), id});
    }
    for (int i = 0; i < world_.options.workload.clients; ++i) {
      world_.cut_paths.insert({kFirstClientActor + i, id});
    }
    for (const auto& subscriber : subscribers_) {
      world_.cut_paths.insert({subscriber->actor(), id});
    }
  }
  // One broker may be dead for good.
  const bool one_dead = brokers_.size() > 1 && random_.OneIn(1, 2);
  for (const auto& broker : brokers_) {
    broker->Calm();
    const bool stays_dead = one_dead && broker == brokers_.front();
    if (stays_dead && broker->is_up()) {
      broker->Crash();
    } else if (!stays_dead && !broker->is_up()) {
      broker->Start();
    }
  }
}

void Liveness::CutOff(NodeId id) {
  switch (world_.options.liveness) {
    case LivenessMode::kAllHealthy:
      return;
    case LivenessMode::kMinorityDown:
      world_.log.Hit(Mark::kLivenessWithMinorityDown);
      break;
    case LivenessMode::kMinoritySendOnly:
      world_.log.Hit(Mark::kLivenessWithSendOnlyNode);
      break;
    case LivenessMode::kMinorityHalfLinked:
      world_.log.Hit(Mark::kLivenessWithHalfLinkedNode);
      break;
  }
  for (const auto& [other, machine] : world_.controllers) {
    world_.network->CutLink(other, id);
    if (world_.options.liveness == LivenessMode::kMinorityHalfLinked) {
      world_.network->CutLink(id, other);
    }
  }
}

// Now that there is a leader, one that reaches all but the leader must not disturb the others:
// before, it might have won an election, rightly.
void Liveness::HalfLinkOthers() {
  const SimProcess* leader = Leader();
  if (world_.options.liveness != LivenessMode::kMinorityHalfLinked || leader == nullptr) {
    return;
  }
  world_.network->HealLinks();
  for (const NodeId id : others_) {
    world_.network->CutLink(id, leader->id().node);
    world_.network->CutLink(leader->id().node, id);
  }
}

void Liveness::RunFor(Duration length) {
  const TimePoint end = world_.queue.now() + length;
  while (world_.queue.RunNext(end)) {
  }
}

void Liveness::Run() {
  world_.log.Line("liveness phase");
  ChooseCore();
  StartEverybody();
  for (const auto& client : clients_) {
    client->Stop();
  }
  const SimOptions& options = world_.options;
  const TimePoint deadline = world_.queue.now() + options.election_timeout * 10 + seconds(30) +
                             options.broker_session_timeout * 2;
  std::string missing = Missing();
  while (!missing.empty() && world_.queue.now() < deadline) {
    RunFor(kCheckInterval);
    // Whoever shut down or lost its disk during the fault phase may only exit now.
    for (const auto& [id, machine] : world_.controllers) {
      if (!others_.contains(id) && !machine->is_up()) {
        machine->Start();
      }
    }
    for (const auto& broker : brokers_) {
      if (!broker->is_up() && broker != brokers_.front()) {
        broker->Start();
      }
    }
    missing = Missing();
  }
  KVORUM_CHECK(missing.empty(), "liveness: {}", missing);
  CheckQuorumChanges();
  if (!options.workload.large_commands) {
    CheckSnapshotsProgress();
  }
  HalfLinkOthers();
  CheckStaysQuiet();
}

SimProcess* Liveness::Leader() const {
  SimProcess* leader = nullptr;
  for (const auto& [id, machine] : world_.controllers) {
    SimProcess* process = machine->process();
    if (!others_.contains(id) && process != nullptr && process->node().core().is_leader()) {
      if (leader != nullptr) {
        return nullptr;
      }
      leader = process;
    }
  }
  return leader;
}

std::optional<Epoch> Liveness::LeaderEpoch() const {
  const SimProcess* leader = Leader();
  return leader == nullptr ? std::nullopt : std::optional(leader->node().core().epoch());
}

std::string Liveness::MissingInCore() const {
  const SimProcess* leader = Leader();
  if (leader == nullptr) {
    return "L1: not exactly one leader";
  }
  for (const auto& [id, machine] : world_.controllers) {
    if (others_.contains(id)) {
      continue;
    }
    const SimProcess* process = machine->process();
    if (process == nullptr || process->is_shutting_down()) {
      return fmt::format("L1: node {} is not up", id);
    }
    const raft::RaftCore& core = process->node().core();
    if (core.epoch() != leader->node().core().epoch() || core.leader_id() != leader->id().node) {
      return fmt::format("L1: node {} does not follow node {}", id, leader->id().node);
    }
    if (core.is_quarantined()) {
      return fmt::format("L3: node {} does not leave its quarantine", id);
    }
    if (target_.has_value() &&
        process->node().committed_image()->provenance().end_offset < *target_) {
      return fmt::format("L3: node {} has applied {} of {}", id,
                         process->node().committed_image()->provenance().end_offset, *target_);
    }
  }
  return "";
}

std::string Liveness::MissingInBrokers() const {
  for (const auto& broker : brokers_) {
    const Broker* known = world_.ghost.image()->brokers().Find(BrokerId(broker->id()));
    if (!broker->is_up()) {
      if (known != nullptr && !known->is_fenced) {
        return fmt::format("L6: broker {} is dead and not fenced", broker->id());
      }
      continue;
    }
    if (broker->applied_end() < *target_) {
      return fmt::format("L5: broker {} has applied {} of {}", broker->id(), broker->applied_end(),
                         *target_);
    }
    if (known == nullptr || known->is_fenced || known->epoch.value() != broker->broker_epoch()) {
      return fmt::format("L6: broker {} lives and is not unfenced", broker->id());
    }
  }
  return "";
}

// Also who asked for things of which there are none any more.
std::string Liveness::MissingInSubscribers() const {
  for (const auto& subscriber : subscribers_) {
    if (subscriber->applied_end() < *target_) {
      return fmt::format("L5: filtered subscriber {} is at {} of {}", subscriber->actor(),
                         subscriber->applied_end(), *target_);
    }
  }
  return "";
}

std::string Liveness::Missing() {
  if (std::string missing = MissingInCore(); !missing.empty()) {
    return missing;
  }
  for (const auto& client : clients_) {
    if (client->is_busy() && !final_puts_started_) {
      return "L4: a client's call is still pending";
    }
  }
  if (!final_puts_started_) {
    final_puts_started_ = true;
    for (const auto& client : clients_) {
      client->PutUntilAcknowledged();
    }
  }
  for (const auto& client : clients_) {
    if (!client->is_acknowledged()) {
      return "L2: a client's write is not acknowledged";
    }
  }
  if (!target_.has_value()) {
    target_ = world_.ghost.end_offset();
    return "L3: nobody was looked at";
  }
  if (std::string missing = MissingInQuorum(); !missing.empty()) {
    return missing;
  }
  if (std::string missing = MissingInBrokers(); !missing.empty()) {
    return missing;
  }
  return MissingInSubscribers();
}

std::string Liveness::MissingInQuorum() const {
  if (operator_.is_busy()) {
    return "L7: a change of the quorum is not answered";
  }
  const SimProcess* leader = Leader();
  if (leader == nullptr || leader->node().core().voters() != world_.CommittedVoters()) {
    return "L7: the newest voter set is not committed";
  }
  for (const auto& [id, voter] : world_.CommittedVoters().voters()) {
    const SimController& machine = *world_.controllers.at(id);
    if (!others_.contains(id) && machine.key() == voter.key && machine.address() != voter.address) {
      return fmt::format("L7: the quorum looks for node {} at {}, it is at {}", id,
                         voter.address.host, machine.address().host);
    }
  }
  return "";
}

// An observer becomes a voter.
void Liveness::CheckQuorumChanges() {
  if (world_.options.quorum_change_interval == Duration::zero()) {
    return;
  }
  for (const auto& [id, machine] : world_.controllers) {
    if (world_.CommittedVoters().Find(id) == nullptr && !others_.contains(id) &&
        world_.atlas.MayChange({.is_removal = false, .voter = machine->replica()})) {
      operator_.AddUntilVoter(id);
      RunUntil(
          [&, node = id] {
            return world_.IsVoter(node) ? std::string()
                                        : fmt::format("L7: node {} does not become a voter", node);
          },
          kProgressLimit);
      core_.insert(id);
      break;
    }
  }
  RunUntil([this] { return MissingInQuorum(); }, kProgressLimit);
}

void Liveness::RunUntil(const std::function<std::string()>& missing, Duration limit) {
  const TimePoint deadline = world_.queue.now() + limit;
  std::string left = missing();
  while (!left.empty() && world_.queue.now() < deadline) {
    RunFor(kCheckInterval);
    left = missing();
  }
  KVORUM_CHECK(left.empty(), "liveness: {}", left);
}

void Liveness::TriggerSnapshots(const std::shared_ptr<MadeSnapshots>& made) {
  v1::TriggerSnapshotRequest request;
  request.set_cluster_id(world_.options.cluster_id);
  for (const auto& [id, machine] : world_.controllers) {
    SimProcess* process = machine->process();
    if (others_.contains(id) || process == nullptr) {
      continue;
    }
    auto done = process->Once<v1::TriggerSnapshotResponse>(
        [made, node = id](const absl::StatusOr<v1::TriggerSnapshotResponse>& response) {
          if (response.ok()) {
            Offset& newest = (*made)[node];
            newest = std::max(newest, Offset(response->end().offset()));
          }
        });
    process->Post([process, request, done = std::move(done)](Now now) {
      process->node().HandleTriggerSnapshot(now, request, done);
    });
  }
}

std::string Liveness::MissingAfterSnapshots(const MadeSnapshots& made) const {
  for (const auto& [id, offset] : made) {
    const MemoryDisk& disk = world_.controllers.at(id)->disk();
    const std::vector<SnapshotManifest> kept = disk.manifests();
    if (kept.empty() || kept.back().id.offset < offset) {
      return fmt::format("L8: node {} has no snapshot at {}", id, offset);
    }
    if (kept.size() > world_.options.snapshots.max_kept) {
      return fmt::format("L8: node {} keeps {} snapshots, {} are wanted", id, kept.size(),
                         world_.options.snapshots.max_kept);
    }
    if (disk.start().end_offset != kept.front().id.offset) {
      return fmt::format("L8: the log of node {} begins at {}, its oldest snapshot is of {}", id,
                         disk.start().end_offset, kept.front().id.offset);
    }
  }
  return "";
}

// A snapshot after each of some writes, one more than are kept: the oldest must go, and the log
// that they hold.
void Liveness::CheckSnapshotsProgress() {
  const auto made = std::make_shared<MadeSnapshots>();
  SimClient& client = *clients_.front();
  for (size_t round = 0; round <= world_.options.snapshots.max_kept; ++round) {
    client.PutUntilAcknowledged();
    RunUntil([&] { return client.is_acknowledged() ? "" : "L2: a write is not acknowledged"; },
             kProgressLimit);
    const Offset wanted = world_.ghost.end_offset();
    made->clear();
    RunUntil(
        [&]() -> std::string {
          const SimProcess* leader = Leader();
          const bool is_done =
              leader != nullptr && made->size() == world_.controllers.size() - others_.size() &&
              std::all_of(made->begin(), made->end(),
                          [&](const auto& entry) { return entry.second >= wanted; });
          if (!is_done) {
            TriggerSnapshots(made);
          }
          return is_done ? "" : "L8: a snapshot is not made";
        },
        kProgressLimit);
  }
  RunUntil([&] { return MissingAfterSnapshots(*made); }, kProgressLimit);
}

}  // namespace kvorum::sim
