#include "tests/sim/intruder.h"

#include <iterator>

#include "tests/sim/sim_process.h"

namespace kvorum::sim {
namespace {

constexpr NodeId kStranger{77};

}  // namespace

void Intruder::Strike() {
  switch (random_.Below(4)) {
    case 0:
      return SendRogueFetch();
    case 1:
      return SendRogueVote();
    default:
      return SendForeign();
  }
}

NodeId Intruder::DrawTarget() {
  auto it = world_.controllers.begin();
  std::advance(it, static_cast<int64_t>(random_.Below(world_.controllers.size())));
  return it->first;
}

raft::RequestHeader Intruder::MakeHeader(NodeId to) {
  const ReplicaKey& receiver = world_.controllers.at(to)->key();
  // A stranger, or a voter's node id on another disk: neither is a voter.
  const bool wiped = random_.OneIn(1, 2);
  const NodeId sender = wiped ? DrawTarget() : kStranger;
  return {.cluster_id = world_.options.cluster_id,
          .generation = world_.generation,
          .sender = {.node_id = sender, .directory_id = Uuid::FromRandom(random_)},
          .receiver = receiver,
          .client_endpoint = "intruder:1"};
}

raft::RaftRequest Intruder::DrawRequest(const raft::RequestHeader& header, NodeId to) {
  SimProcess* process = world_.RunningOn(to);
  const Epoch now = process == nullptr ? Epoch{0} : process->node().core().epoch();
  const Epoch epoch = now + static_cast<int32_t>(random_.Below(4));
  switch (random_.Below(4)) {
    case 0: {
      raft::VoteRequest vote;
      vote.header = header;
      vote.epoch = epoch;
      vote.log_end = {.offset = Offset{1 << 20}, .epoch = epoch};
      vote.pre_vote = random_.OneIn(1, 3);
      return vote;
    }
    case 1:
      return raft::BeginQuorumEpochRequest{.header = header, .leader_epoch = epoch};
    case 2:
      return raft::EndQuorumEpochRequest{
          .header = header, .leader_epoch = epoch, .preferred_candidates = {header.receiver}};
    default: {
      raft::FetchRequest fetch;
      fetch.header = header;
      fetch.current_leader_epoch = epoch;
      fetch.max_bytes = 1000;
      return fetch;
    }
  }
}

void Intruder::SendForeign() {
  const NodeId to = DrawTarget();
  raft::RequestHeader header = MakeHeader(to);
  header.sender = world_.controllers.at(DrawTarget())->key();
  switch (random_.Below(3)) {
    case 0:
      header.cluster_id = "another-cluster";
      break;
    case 1:
      header.generation += 1;
      break;
    default:
      header.receiver.directory_id = Uuid::FromRandom(random_);
      break;
  }
  world_.log.Hit(Mark::kForeignClusterMessage);
  world_.network->Inject(to, DrawRequest(header, to), SimNetwork::Effect::kMustChangeNothing);
}

// Acknowledges everything the leader has. If that counted, records on one disk would be committed.
void Intruder::SendRogueFetch() {
  const SimProcess* leader = world_.NewestLeader();
  if (leader == nullptr) {
    return;
  }
  const NodeId to = leader->id().node;
  const BatchEnd end = leader->storage().mirror().end();
  raft::FetchRequest fetch;
  fetch.header = MakeHeader(to);
  fetch.current_leader_epoch = leader->node().core().epoch();
  fetch.fetch_offset = end.end_offset;
  fetch.last_fetched_epoch = end.epoch;
  fetch.last_chain_hash = end.chain_hash;
  fetch.max_wait_ms = 100;
  fetch.max_bytes = 1000;
  world_.log.Hit(Mark::kRogueFetch);
  world_.network->Inject(to, fetch, SimNetwork::Effect::kMustChangeNothing);
}

void Intruder::SendRogueVote() {
  const NodeId to = DrawTarget();
  const SimProcess* process = world_.RunningOn(to);
  if (process == nullptr) {
    return;
  }
  raft::VoteRequest vote;
  vote.header = MakeHeader(to);
  vote.epoch = process->node().core().epoch() + static_cast<int32_t>(random_.Below(3));
  vote.log_end = {.offset = Offset{1 << 20}, .epoch = vote.epoch};
  vote.pre_vote = random_.OneIn(1, 2);
  world_.log.Hit(Mark::kRogueVote);
  world_.network->Inject(to, vote, SimNetwork::Effect::kAny);
}

}  // namespace kvorum::sim
