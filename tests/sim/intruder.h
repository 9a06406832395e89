#pragma once

#include "server/base/random.h"
#include "server/raft/messages.h"
#include "tests/sim/sim_network.h"
#include "tests/sim/world.h"

namespace kvorum::sim {

// Sends what nobody in the cluster would: messages of other clusters, for other replicas, and of
// replicas that are no voters. Owned by the nemesis.
class Intruder {
 public:
  Intruder(World& world, Random random) : world_(world), random_(random) {}

  void Strike();

 private:
  NodeId DrawTarget();
  // Looks right to `to`, but for the sender.
  raft::RequestHeader MakeHeader(NodeId to);
  raft::RaftRequest DrawRequest(const raft::RequestHeader& header, NodeId to);
  void SendForeign();
  void SendRogueFetch();
  void SendRogueVote();

  World& world_;
  Random random_;
};

}  // namespace kvorum::sim
