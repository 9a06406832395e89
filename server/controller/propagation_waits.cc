#include "server/controller/propagation_waits.h"

#include <algorithm>
#include <limits>
#include <optional>

namespace kvorum::controller {
namespace {

using BrokerStatus = v1::Propagation::BrokerStatus;

constexpr Offset kLowest{-1};
constexpr Offset kHighest{std::numeric_limits<int64_t>::max()};

// One in controlled shutdown does: it must not lead, but its clients are still there.
bool Serves(const BrokersImage& brokers, BrokerId id) {
  const Broker* broker = brokers.Find(id);
  return broker != nullptr && !broker->is_fenced;
}

void AddIfWaitedFor(const BrokersImage& brokers, const auto& is_waited_for,
                    std::vector<BrokerId>& found) {
  for (const auto& [id, broker] : brokers.brokers) {
    if (is_waited_for(id)) {
      found.push_back(id);
    }
  }
}

}  // namespace

bool PropagationWaits::IsWaitedFor(const View& view, BrokerId broker) {
  // Fenced in the plan only: it serves until that is committed. Unfenced in the plan only: it will
  // serve without another look at what it has applied.
  return Serves(view.committed, broker) || Serves(view.latest, broker) ||
         view.unfencing.contains(broker) || view.sessions.IsComingBack(broker);
}

std::vector<BrokerId> PropagationWaits::EverybodyWaitedFor(const View& view) {
  const auto is_waited_for = [&view](BrokerId id) { return IsWaitedFor(view, id); };
  std::vector<BrokerId> found;
  AddIfWaitedFor(view.committed, is_waited_for, found);
  if (&view.committed != &view.latest) {
    AddIfWaitedFor(view.latest, is_waited_for, found);
    for (const auto& [id, end] : view.unfencing) {
      found.push_back(id);  // it may be in neither: unregistered since
    }
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
  }
  return found;
}

void PropagationWaits::Add(const View& view, const AppliedWait& wait, const v1::Position& position,
                           TimePoint deadline, Done done) {
  const WaitId id = next_id_++;
  Waiting& waiting = waits_[id];
  waiting.wait = wait;
  waiting.position = position;
  waiting.deadline = deadline;
  waiting.done = std::move(done);
  deadlines_.emplace(deadline, id);
  const bool is_by_name = wait.kind == v1::WAIT_APPLIED_BY;
  for (const BrokerId broker : is_by_name ? wait.brokers : EverybodyWaitedFor(view)) {
    Join(view, id, broker);
  }
  MaybeFinish(view, id);
}

void PropagationWaits::Join(const View& view, WaitId id, BrokerId broker) {
  Waiting& waiting = waits_.at(id);
  waiting.members.emplace(broker, Member());
  ++waiting.pending;
  const std::optional<Offset> applied = view.sessions.AppliedOffset(broker);
  const std::optional<Offset> rejected = view.sessions.RejectedOffset(broker);
  if (applied.has_value() && *applied >= waiting.end()) {
    SettleMember(view, waiting, broker, BrokerStatus::STATE_APPLIED);
  } else if (!IsWaitedFor(view, broker)) {
    SettleMember(view, waiting, broker, BrokerStatus::STATE_FENCED_MEANWHILE);
  } else if (rejected.has_value() && *rejected < waiting.end()) {
    SettleMember(view, waiting, broker, BrokerStatus::STATE_REJECTED);
  } else {
    pending_[broker].emplace(waiting.end(), id);
  }
}

void PropagationWaits::OnReport(const View& view, BrokerId broker) {
  if (!pending_.contains(broker)) {
    return;
  }
  if (const std::optional<Offset> applied = view.sessions.AppliedOffset(broker)) {
    Settle(view, broker, kLowest, *applied, BrokerStatus::STATE_APPLIED);
  }
  if (const std::optional<Offset> rejected = view.sessions.RejectedOffset(broker)) {
    Settle(view, broker, *rejected, kHighest, BrokerStatus::STATE_REJECTED);
  }
}

void PropagationWaits::OnBrokersChanged(const View& view) {
  std::vector<BrokerId> gone;
  for (const auto& [broker, waits] : pending_) {
    if (!IsWaitedFor(view, broker)) {
      gone.push_back(broker);
    }
  }
  for (const BrokerId broker : gone) {
    Settle(view, broker, kLowest, kHighest, BrokerStatus::STATE_FENCED_MEANWHILE);
  }
}

void PropagationWaits::Settle(const View& view, BrokerId broker, Offset above, Offset up_to,
                              State state) {
  const auto found = pending_.find(broker);
  if (found == pending_.end()) {
    return;
  }
  constexpr WaitId kLastId = std::numeric_limits<WaitId>::max();
  const auto first = found->second.upper_bound({above, kLastId});
  const auto last = found->second.upper_bound({up_to, kLastId});
  const std::vector<std::pair<Offset, WaitId>> settled(first, last);
  found->second.erase(first, last);
  if (found->second.empty()) {
    pending_.erase(found);
  }
  // Finishing one wait never touches what this broker still holds back in another.
  for (const auto& [position, id] : settled) {
    SettleMember(view, waits_.at(id), broker, state);
    MaybeFinish(view, id);
  }
}

void PropagationWaits::SettleMember(const View& view, Waiting& waiting, BrokerId broker,
                                    State state) {
  Member& member = waiting.members[broker];
  member.state = state;
  member.applied = view.sessions.AppliedOffset(broker).value_or(Offset(-1));
  if (state == BrokerStatus::STATE_REJECTED) {
    member.message = view.sessions.LastRejection(broker);
  }
  --waiting.pending;
  waiting.applied += state == BrokerStatus::STATE_APPLIED ? 1 : 0;
}

void PropagationWaits::MaybeFinish(const View& view, WaitId id) {
  const auto found = waits_.find(id);
  if (found == waits_.end()) {
    return;
  }
  const Waiting& waiting = found->second;
  const auto is_rejected = [](const auto& member) {
    return member.second.state == BrokerStatus::STATE_REJECTED;
  };
  if (waiting.wait.kind == v1::WAIT_APPLIED_BY_COUNT) {
    if (waiting.applied >= waiting.wait.count) {
      Finish(view, id, v1::Propagation::OUTCOME_APPLIED);
    } else if (waiting.applied + waiting.pending < waiting.wait.count) {
      Finish(view, id, v1::Propagation::OUTCOME_NOT_REACHABLE);
    }
    return;
  }
  if (waiting.pending > 0) {
    return;
  }
  // Who was fenced need not have it, unless it was asked for by name.
  const bool is_short =
      waiting.wait.kind == v1::WAIT_APPLIED_BY
          ? static_cast<size_t>(waiting.applied) < waiting.members.size()
          : std::any_of(waiting.members.begin(), waiting.members.end(), is_rejected);
  Finish(view, id,
         is_short ? v1::Propagation::OUTCOME_NOT_REACHABLE : v1::Propagation::OUTCOME_APPLIED);
}

void PropagationWaits::Finish(const View& view, WaitId id, v1::Propagation::Outcome outcome) {
  const auto found = waits_.find(id);
  const Waiting waiting = std::move(found->second);
  waits_.erase(found);
  deadlines_.erase({waiting.deadline, id});

  v1::Propagation propagation;
  *propagation.mutable_position() = waiting.position;
  propagation.set_outcome(outcome);
  for (const auto& [broker, member] : waiting.members) {
    v1::Propagation::BrokerStatus& status = *propagation.add_brokers();
    status.set_broker_id(broker.value());
    status.set_state(member.state);
    status.set_message(member.message);
    if (member.state != BrokerStatus::STATE_PENDING) {
      status.set_applied_offset(member.applied.value());
      continue;
    }
    status.set_applied_offset(view.sessions.AppliedOffset(broker).value_or(Offset(-1)).value());
    const auto pending = pending_.find(broker);
    pending->second.erase({waiting.end(), id});
    if (pending->second.empty()) {
      pending_.erase(pending);
    }
  }
  waiting.done(std::move(propagation));
}

void PropagationWaits::Expire(const View& view, TimePoint now) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    Finish(view, deadlines_.begin()->second, v1::Propagation::OUTCOME_TIMED_OUT);
  }
}

void PropagationWaits::InterruptAll(const View& view) {
  while (!waits_.empty()) {
    Finish(view, waits_.begin()->first, v1::Propagation::OUTCOME_LEADER_CHANGED);
  }
}

}  // namespace kvorum::controller
