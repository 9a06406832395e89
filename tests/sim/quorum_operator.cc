#include "tests/sim/quorum_operator.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "server/base/check.h"
#include "server/base/errors.h"
#include "tests/sim/checkers/checks.h"
#include "tests/sim/sim_process.h"

namespace kvorum::sim {
namespace {

constexpr Duration kRetryDelay = std::chrono::milliseconds(200);

v1::QuorumVoter ToWire(const raft::Voter& voter) {
  v1::QuorumVoter wire;
  wire.set_node_id(voter.key.node_id.value());
  wire.set_directory_id(voter.key.directory_id.ToString());
  wire.mutable_controller_endpoint()->set_host(voter.address.host);
  wire.mutable_controller_endpoint()->set_port(voter.address.port);
  return wire;
}

}  // namespace

QuorumOperator::QuorumOperator(World& world, Random random)
    : world_(world), random_(random), finder_(world, random_.Fork()) {}

void QuorumOperator::Start() {
  if (world_.options.quorum_change_interval > Duration::zero()) {
    ScheduleNext();
  }
}

void QuorumOperator::ScheduleNext() {
  is_busy_ = false;
  const Duration mean = is_stopped_ ? kRetryDelay : world_.options.quorum_change_interval;
  if (!is_stopped_ || must_add_.has_value()) {
    world_.queue.After(DrawBetween(random_, {}, mean * 2), [this] { Next(); });
  }
}

const raft::Voter& QuorumOperator::DrawVoter() {
  const auto& voters = world_.CommittedVoters().voters();
  auto it = voters.begin();
  std::advance(it, static_cast<int64_t>(random_.Below(voters.size())));
  return it->second;
}

void QuorumOperator::Next() {
  if (is_busy_) {
    return;
  }
  if (must_add_.has_value()) {
    if (world_.IsVoter(*must_add_)) {
      must_add_.reset();
      return;
    }
    Add(*world_.controllers.at(*must_add_));
    return;
  }
  if (is_stopped_) {
    return;
  }
  std::vector<SimController*> observers;
  for (const auto& [id, machine] : world_.controllers) {
    if (!world_.IsVoter(id)) {
      observers.push_back(machine.get());
    }
  }
  // A voter whose disk was replaced goes first: it is of no use any more.
  for (const auto& [id, voter] : world_.CommittedVoters().voters()) {
    if (world_.controllers.at(id)->key() != voter.key && random_.OneIn(3, 4)) {
      Remove(voter);
      return;
    }
  }
  const uint64_t kind = random_.Below(12);
  if (world_.options.hesitant_successors && random_.OneIn(3, 4)) {
    HandOver(DrawVoter().key.node_id);
  } else if (kind < 4 && !observers.empty()) {
    Add(*observers[random_.Below(observers.size())]);
  } else if (kind < 6) {
    Remove(DrawVoter());
  } else if (kind < 8) {
    HandOver(DrawVoter().key.node_id);
  } else if (kind < 10) {
    Replace(*world_.controllers.at(DrawVoter().key.node_id));
    ScheduleNext();
  } else {
    Move(*world_.controllers.at(DrawVoter().key.node_id));
  }
}

void QuorumOperator::Add(const SimController& machine) {
  const FaultAtlas::Change change{.is_removal = false, .voter = machine.replica()};
  if (!world_.atlas.MayChange(change)) {
    ScheduleNext();
    return;
  }
  world_.log.Line("operator adds {}", machine.key());
  v1::AddVoterRequest request;
  *request.mutable_voter() = ToWire(machine.replica());
  Send(request, world_.atlas.OnAsked(change));
}

void QuorumOperator::Remove(const raft::Voter& voter) {
  const FaultAtlas::Change change{.is_removal = true, .voter = voter};
  if (!world_.atlas.MayChange(change)) {
    ScheduleNext();
    return;
  }
  world_.log.Line("operator removes {}", voter.key);
  v1::RemoveVoterRequest request;
  request.set_node_id(voter.key.node_id.value());
  request.set_directory_id(voter.key.directory_id.ToString());
  Send(request, world_.atlas.OnAsked(change));
}

void QuorumOperator::TransferTo(NodeId target) {
  world_.log.Line("operator hands leadership to {}", target);
  v1::TransferLeadershipRequest request;
  request.set_node_id(target.value());
  Send(request, std::nullopt);
}

void QuorumOperator::HandOver(NodeId successor) {
  if (!world_.options.hesitant_successors || random_.OneIn(1, 4)) {
    TransferTo(successor);
    return;
  }
  SlowDown(*world_.controllers.at(successor));
  is_busy_ = true;  // until it has something to write
  world_.queue.After(DrawBetween(random_, std::chrono::milliseconds(20), kRetryDelay * 2),
                     [this, successor] { TransferTo(successor); });
}

void QuorumOperator::SlowDown(SimController& successor) {
  DiskFaults& disk = successor.disk_faults();
  const Duration longest = world_.options.election_timeout;
  if (disk.max_delay > longest) {
    return;  // it is slow already
  }
  disk.min_delay = longest;
  disk.max_delay = longest * 2;
  world_.queue.After(longest, [this, &disk, slow = disk] {
    if (!is_stopped_ && disk.max_delay == slow.max_delay) {
      disk.min_delay = world_.options.disk.min_delay;
      disk.max_delay = world_.options.disk.max_delay;
    }
  });
}

void QuorumOperator::Replace(SimController& machine) {
  if (world_.atlas.MayForget(machine.id())) {
    world_.log.Hit(Mark::kDiskReplaced);
    machine.ReplaceDisk();
  }
}

void QuorumOperator::Move(SimController& machine) {
  // One at a time: who has moved finds the others, so those must be where the voter set says.
  const auto& voters = world_.CommittedVoters().voters();
  const bool all_found = std::all_of(voters.begin(), voters.end(), [this](const auto& entry) {
    return world_.controllers.at(entry.first)->replica() == entry.second;
  });
  if (!all_found || !world_.atlas.MayForget(machine.id())) {
    ScheduleNext();
    return;
  }
  machine.Move();
  world_.log.Hit(Mark::kVoterMoved);
  if (random_.OneIn(1, 2)) {
    ScheduleNext();
    return;
  }
  v1::UpdateVoterRequest request;
  *request.mutable_voter() = ToWire(machine.replica());
  Send(request, std::nullopt);
}

void QuorumOperator::Send(QuorumCommand command, std::optional<uint64_t> asked) {
  is_busy_ = true;
  ClientCall<QuorumReply> call;
  call.actor = kFirstClientActor;
  call.to = finder_.target();
  call.timeout = world_.options.workload.call_timeout;
  call.invoke = [command](SimProcess& process, Now now, TimePoint deadline, auto done) {
    process.node().HandleQuorumChange(now, command, deadline, std::move(done));
  };
  call.on_leave = [this](SimProcess& process, const absl::StatusOr<QuorumReply>& reply) {
    world_.checks->OnQuorumChangeAnswered(process, reply);
  };
  call.on_result = [this, command, asked](const CallResult<QuorumReply>& result) {
    OnResult(command, asked, result);
  };
  StartCall(world_, random_, std::move(call));
}

void QuorumOperator::OnResult(const QuorumCommand& command, std::optional<uint64_t> asked,
                              const CallResult<QuorumReply>& result) {
  using Kind = CallResult<QuorumReply>::Kind;
  const absl::Status& status = result.answer.status();
  world_.log.Line("operator hears of {}: {}", finder_.target(),
                  result.kind == Kind::kAnswered ? Text(status) : "nothing");
  const bool is_refused = result.kind == Kind::kRefused ||
                          (result.kind == Kind::kAnswered && !status.ok() &&
                           GetErrorInfo(GetErrorReason(status)).outcome == Outcome::kNotExecuted);
  if (result.kind != Kind::kAnswered) {
    finder_.TryAnother();
  } else if (!status.ok()) {
    finder_.OnError(status);
    world_.log.Hit(is_refused ? Mark::kQuorumChangeRefused : Mark::kQuorumChangeUnknown);
  } else {
    constexpr Mark kMarks[] = {Mark::kVoterAdded, Mark::kVoterRemoved, Mark::kVoterUpdated,
                               Mark::kLeadershipTransferred};
    world_.log.Hit(kMarks[command.index()]);
  }
  if (asked.has_value() && (is_refused || result.answer.ok())) {
    world_.atlas.OnAnswered(*asked);
  }
  ScheduleNext();
}

void QuorumOperator::AddUntilVoter(NodeId node) {
  must_add_ = node;
  if (!is_busy_) {
    ScheduleNext();
  }
}

}  // namespace kvorum::sim
