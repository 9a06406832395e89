#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "server/base/random.h"
#include "server/node/quorum_changes.h"
#include "tests/sim/client_call.h"
#include "tests/sim/controller_finder.h"
#include "tests/sim/fault_atlas.h"
#include "tests/sim/world.h"

namespace kvorum::sim {

// Whoever runs the quorum: makes observers voters, removes voters, the leader too, gives a machine
// a new disk (and so a new replica), hands leadership over. One request at a time; never one that
// could leave too few disks that remember everything. Owned by the simulation.
class QuorumOperator {
 public:
  QuorumOperator(World& world, Random random);

  void Start();
  // Begins nothing more.
  void Stop() { is_stopped_ = true; }
  bool is_busy() const { return is_busy_; }

  // For L7. Makes machine `node` a voter, asking until it is one.
  void AddUntilVoter(NodeId node);
  void TransferTo(NodeId target);

 private:
  void ScheduleNext();
  void Next();
  void Add(const SimController& machine);
  void Remove(const raft::Voter& voter);
  // The machine's disk is thrown away.
  void Replace(SimController& machine);
  // It gets another address, which it must tell the quorum itself if the operator does not.
  void Move(SimController& machine);
  void HandOver(NodeId successor);
  // The disk of who is to lead gets slow for a while, so that it does not catch up in time.
  void SlowDown(SimController& successor);
  void Send(QuorumCommand command, std::optional<uint64_t> asked);
  void OnResult(const QuorumCommand& command, std::optional<uint64_t> asked,
                const CallResult<QuorumReply>& result);
  const raft::Voter& DrawVoter();

  World& world_;
  Random random_;
  ControllerFinder finder_;
  std::optional<NodeId> must_add_;
  bool is_stopped_ = false;
  bool is_busy_ = false;
};

}  // namespace kvorum::sim
