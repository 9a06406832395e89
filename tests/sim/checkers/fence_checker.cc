#include "tests/sim/checkers/fence_checker.h"

#include <algorithm>
#include <utility>

#include "server/base/check.h"
#include "server/metadata/record_codec.h"
#include "tests/sim/sim_process.h"

namespace kvorum::sim {

void FenceChecker::OnActiveController(const SimProcess& process, bool active) {
  const NodeId node = process.id().node;
  if (active) {
    active_since_[node] = process.LocalNow().now;
  } else {
    active_since_.erase(node);
  }
  const auto is_here = [node](const auto& entry) { return entry.first.first == node; };
  std::erase_if(contacts_, is_here);
  std::erase_if(planned_, is_here);
}

void FenceChecker::OnContact(const SimProcess& process, int32_t broker, bool wants_fence) {
  if (!process.node().active_controller().is_active()) {
    return;
  }
  Contact& contact = contacts_[{process.id().node, broker}];
  contact.when = process.LocalNow().now;
  contact.is_gone = false;
  if (wants_fence) {
    contact.asked_for_fence = contact.when;
  }
}

void FenceChecker::OnHoldEnded(const SimProcess& process, int32_t broker) {
  const auto contact = contacts_.find({process.id().node, broker});
  if (contact != contacts_.end()) {
    contact->second.is_gone = true;
  }
}

void FenceChecker::OnSubmit(const SimProcess& process, const StorageWrite& write) {
  if (!process.node().active_controller().is_active()) {
    return;
  }
  for (const RecordBatch& batch : write.append) {
    if (batch.is_control) {
      continue;
    }
    const absl::StatusOr<std::vector<v1::MetadataRecord>> records = DecodeRecords(*batch.payload);
    KVORUM_CHECK(records.ok(), "batch at {}: {}", batch.base_offset, records.status().ToString());
    for (const v1::MetadataRecord& record : *records) {
      if (record.has_register_broker()) {
        OnRegistration(process, record.register_broker());
      } else if (record.has_unregister_broker()) {
        const std::pair key{process.id().node, record.unregister_broker().broker_id()};
        planned_[key] = {};
        contacts_.erase(key);
      } else if (record.has_broker_registration_change()) {
        OnChange(process, record.broker_registration_change());
      }
    }
  }
}

FenceChecker::Planned FenceChecker::PlannedAt(const SimProcess& process, int32_t broker) const {
  const auto it = planned_.find({process.id().node, broker});
  if (it != planned_.end()) {
    return it->second;
  }
  const Broker* known = process.node().committed_image()->brokers().Find(BrokerId(broker));
  return known == nullptr ? Planned()
                          : Planned{.is_registered = true,
                                    .is_fenced = known->is_fenced,
                                    .is_leaving = known->in_controlled_shutdown,
                                    .incarnation = known->incarnation.ToBytes()};
}

void FenceChecker::OnRegistration(const SimProcess& process,
                                  const v1::RegisterBrokerRecord& record) {
  const int32_t broker = record.broker_id();
  const Planned before = PlannedAt(process, broker);
  if (before.is_registered && before.incarnation != record.incarnation_id()) {
    CheckTakeOver(process, broker, before);
    // The session of the new one begins with its first heartbeat; until then it serves nobody.
    contacts_.erase({process.id().node, broker});
  }
  planned_[{process.id().node, broker}] = {.is_registered = true,
                                           .is_fenced = record.fenced(),
                                           .is_leaving = record.in_controlled_shutdown(),
                                           .incarnation = record.incarnation_id()};
}

void FenceChecker::OnChange(const SimProcess& process,
                            const v1::BrokerRegistrationChangeRecord& change) {
  const Planned before = PlannedAt(process, change.broker_id());
  Planned& after = planned_[{process.id().node, change.broker_id()}];
  after = before;
  after.is_fenced = change.fenced();
  after.is_leaving = change.in_controlled_shutdown();
  if (before.is_fenced == change.fenced()) {
    return;  // it is drained, say, or enters its shutdown
  }
  world_.log.Hit(change.fenced() ? Mark::kBrokerFenced : Mark::kBrokerUnfenced);
  // Who is in a controlled shutdown has asked for this some heartbeats ago.
  if (change.fenced() && !before.is_leaving) {
    CheckFence(process, change.broker_id());
  }
}

void FenceChecker::CheckFence(const SimProcess& process, int32_t broker) const {
  const auto contact = contacts_.find({process.id().node, broker});
  if (contact != contacts_.end() && contact->second.asked_for_fence == process.LocalNow().now) {
    return;
  }
  const Duration silent = Silence(process, broker);
  KVORUM_CHECK(silent >= world_.options.broker_session_timeout,
               "invariant 34 FenceJustified: {} fences broker {} after {} ms of silence",
               process.id(), broker,
               std::chrono::duration_cast<std::chrono::milliseconds>(silent).count());
}

void FenceChecker::CheckTakeOver(const SimProcess& process, int32_t broker,
                                 const Planned& before) const {
  const auto contact = contacts_.find({process.id().node, broker});
  if (contact == contacts_.end() && before.is_fenced) {
    return;  // nobody has heard of it since this process became active, nor does it serve
  }
  if (contact != contacts_.end()) {
    const bool has_ended =
        before.is_fenced && contact->second.asked_for_fence == contact->second.when;
    if (contact->second.is_gone || has_ended) {
      return;
    }
  }
  const Duration silent = Silence(process, broker);
  KVORUM_CHECK(
      silent >= world_.options.broker_session_timeout,
      "invariant 34 FenceJustified: {} gives the id of broker {} away after {} ms of silence",
      process.id(), broker, std::chrono::duration_cast<std::chrono::milliseconds>(silent).count());
}

Duration FenceChecker::Silence(const SimProcess& process, int32_t broker) const {
  const NodeId node = process.id().node;
  const auto active = active_since_.find(node);
  KVORUM_CHECK(active != active_since_.end(), "invariant 34 FenceJustified: {} is not active",
               process.id());
  const auto contact = contacts_.find({node, broker});
  const TimePoint since =
      contact == contacts_.end() ? active->second : std::max(active->second, contact->second.when);
  return process.LocalNow().now - since;
}

}  // namespace kvorum::sim
