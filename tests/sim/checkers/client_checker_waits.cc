// The part of ClientChecker that judges what is said of how far a write has come: invariant 41
// PropagationTrue.
#include <algorithm>
#include <charconv>
#include <string>

#include "server/base/check.h"
#include "tests/sim/checkers/client_checker.h"
#include "tests/sim/sim_process.h"

namespace kvorum::sim {
namespace {

using BrokerStatus = v1::Propagation::BrokerStatus;

// Of the words that the controller puts before those of the broker: "offset 17: …".
std::optional<Offset> RejectedOffset(const std::string& message) {
  constexpr std::string_view kBefore = "offset ";
  int64_t offset = 0;
  if (!message.starts_with(kBefore) ||
      std::from_chars(message.data() + kBefore.size(), message.data() + message.size(), offset)
              .ec != std::errc()) {
    return std::nullopt;
  }
  return Offset(offset);
}

int CountIn(const v1::Propagation& propagation, BrokerStatus::State state) {
  return static_cast<int>(
      std::count_if(propagation.brokers().begin(), propagation.brokers().end(),
                    [state](const auto& status) { return status.state() == state; }));
}

Mark MarkOf(v1::Propagation::Outcome outcome) {
  switch (outcome) {
    case v1::Propagation::OUTCOME_APPLIED:
      return Mark::kWaitApplied;
    case v1::Propagation::OUTCOME_TIMED_OUT:
      return Mark::kWaitTimedOut;
    case v1::Propagation::OUTCOME_LEADER_CHANGED:
      return Mark::kWaitLeaderChanged;
    default:
      return Mark::kWaitNotReachable;
  }
}

// Whether the outcome is the one that what is said of each broker comes to.
bool IsOutcomeOf(const controller::AppliedWait& wait, const v1::Propagation& propagation) {
  const int applied = CountIn(propagation, BrokerStatus::STATE_APPLIED);
  const int pending = CountIn(propagation, BrokerStatus::STATE_PENDING);
  const int rejected = CountIn(propagation, BrokerStatus::STATE_REJECTED);
  const bool is_by_name = wait.kind == v1::WAIT_APPLIED_BY;
  const bool are_all_there =
      !is_by_name ||
      std::equal(wait.brokers.begin(), wait.brokers.end(), propagation.brokers().begin(),
                 propagation.brokers().end(), [](BrokerId wanted, const BrokerStatus& status) {
                   return wanted.value() == status.broker_id();
                 });
  if (!are_all_there) {
    return false;
  }
  const bool is_by_count = wait.kind == v1::WAIT_APPLIED_BY_COUNT;
  switch (propagation.outcome()) {
    case v1::Propagation::OUTCOME_APPLIED:
      return is_by_count  ? applied >= wait.count
             : is_by_name ? applied == propagation.brokers_size()
                          : pending == 0 && rejected == 0;
    case v1::Propagation::OUTCOME_NOT_REACHABLE:
      return is_by_count  ? applied + pending < wait.count
             : is_by_name ? pending == 0 && applied < propagation.brokers_size()
                          : pending == 0 && rejected > 0;
    case v1::Propagation::OUTCOME_TIMED_OUT:
    case v1::Propagation::OUTCOME_LEADER_CHANGED:
      return pending > 0 && (!is_by_count || applied < wait.count);
    default:
      return false;
  }
}

}  // namespace

bool ClientChecker::HasApplied(int32_t broker, Offset end) const {
  const auto applied = world_.applied_by_broker.find(broker);
  return applied != world_.applied_by_broker.end() && applied->second >= end;
}

void ClientChecker::CheckStatus(const SimProcess& process, Offset end,
                                const BrokerStatus& status) const {
  switch (status.state()) {
    case BrokerStatus::STATE_APPLIED:
      KVORUM_CHECK(HasApplied(status.broker_id(), end),
                   "invariant 41 PropagationTrue: {} says that broker {} has applied {}",
                   process.id(), status.broker_id(), end);
      return;
    case BrokerStatus::STATE_REJECTED: {
      const std::optional<Offset> offset = RejectedOffset(status.message());
      const auto said = world_.rejected_by_broker.find(status.broker_id());
      KVORUM_CHECK(offset.has_value() && said != world_.rejected_by_broker.end() &&
                       said->second.contains(*offset) && *offset < end &&
                       status.applied_offset() <= offset->value(),
                   "invariant 41 PropagationTrue: {} says that broker {} rejects what is below {}: "
                   "{}",
                   process.id(), status.broker_id(), end, status.ShortDebugString());
      world_.log.Hit(Mark::kWaitRejected);
      return;
    }
    case BrokerStatus::STATE_FENCED_MEANWHILE: {
      const Broker* broker =
          process.node().committed_image()->brokers().Find(BrokerId(status.broker_id()));
      KVORUM_CHECK(broker == nullptr || broker->is_fenced || HasApplied(status.broker_id(), end),
                   "invariant 41 PropagationTrue: {} says that broker {} is fenced, and it serves "
                   "without {}",
                   process.id(), status.broker_id(), end);
      world_.log.Hit(Mark::kWaitFenced);
      return;
    }
    default:
      return;
  }
}

void ClientChecker::CheckPropagation(const SimProcess& process, const controller::AppliedWait& wait,
                                     const v1::Propagation& propagation) const {
  if (!wait.is_for_brokers() || propagation.outcome() == v1::Propagation::OUTCOME_UNSPECIFIED) {
    return;
  }
  world_.log.Hit(MarkOf(propagation.outcome()));
  const Offset end(propagation.position().offset());
  for (const BrokerStatus& status : propagation.brokers()) {
    CheckStatus(process, end, status);
  }
  KVORUM_CHECK(IsOutcomeOf(wait, propagation),
               "invariant 41 PropagationTrue: {} was asked for {} ({} of them): {}", process.id(),
               v1::Wait_Name(wait.kind), wait.count, propagation.ShortDebugString());
  if (propagation.outcome() != v1::Propagation::OUTCOME_APPLIED ||
      wait.kind != v1::WAIT_APPLIED_BY_ALL) {
    return;
  }
  for (const auto& [id, broker] : process.node().committed_image()->brokers().brokers) {
    KVORUM_CHECK(broker->is_fenced || HasApplied(id.value(), end),
                 "invariant 41 PropagationTrue: {} says that all have applied {}, and broker {} "
                 "serves and has not",
                 process.id(), end, id);
  }
}

}  // namespace kvorum::sim
