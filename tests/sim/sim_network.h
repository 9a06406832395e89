#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "server/base/random.h"
#include "server/raft/effects.h"
#include "tests/sim/world.h"

namespace kvorum::sim {

// The network between controllers: delays, drops, duplicates and misroutes messages, one direction
// of one link at a time; refuses connections to machines whose process is gone. It also is where
// messages are shown to the checkers. Owned by the simulation.
class SimNetwork {
 public:
  SimNetwork(World& world, Random random) : world_(world), random_(random) {}

  void SendRequest(ProcessId from, raft::SendRequest request);

  // Delivers `request` to `to` as a turn of its own, out of thin air. The checkers hold the
  // receiver to it if the message must change nothing.
  enum class Effect { kMustChangeNothing, kAny };
  void Inject(NodeId to, raft::RaftRequest request, Effect effect);

  void CutLink(NodeId from, NodeId to) { cut_.insert({from, to}); }
  // What is sent before `until` arrives after it.
  void ClogLink(NodeId from, NodeId to, TimePoint until) { clogged_until_[{from, to}] = until; }
  // Links carry again, and some deliver what they had kept.
  void HealLinks();
  bool IsCut(NodeId from, NodeId to) const { return cut_.contains({from, to}); }

 private:
  struct Call {
    ProcessId from;
    NodeId to;
    NodeId sent_to;  // what the sender calls it: no node's id if it knows the address only
    raft::PeerAddress address;
    raft::CorrelationId id;
    raft::RaftRequest request;
  };
  using CallPtr = std::shared_ptr<const Call>;

  using Arrival = std::function<void()>;

  // Brings a message over: late, never, or long after the link was mended.
  void Carry(NodeId from, NodeId to, Arrival arrival);
  Duration DrawDelay(NodeId from, NodeId to);
  // A batch with a changed byte now and then, as a broken peer would send it.
  void MaybeDamage(raft::RaftResponse& response);
  void Deliver(const CallPtr& call);
  void Respond(SimProcess& process, const CallPtr& call, raft::RaftResponse response);
  void DeliverResponse(const CallPtr& call, const raft::RaftResponse& response);
  void Refuse(const CallPtr& call);
  void FailOnTimeout(const CallPtr& call);
  // True, once, while the caller still waits for this very call.
  bool TakeWaiting(const Call& call);
  NodeId MaybeMisroute(NodeId to);
  // The machine a request is meant for: by the address where the sender knows no id.
  NodeId Resolve(const raft::Voter& to) const;

  World& world_;
  Random random_;
  std::set<std::pair<NodeId, NodeId>> cut_;
  std::map<std::pair<NodeId, NodeId>, TimePoint> clogged_until_;
  std::vector<Arrival> kept_;  // by connections that are cut and will not know it
  // The newest unanswered call of each process to each peer.
  std::map<std::pair<ProcessId, NodeId>, raft::CorrelationId> waiting_;
};

}  // namespace kvorum::sim
