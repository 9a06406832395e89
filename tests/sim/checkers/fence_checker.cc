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
  if (wants_fence) {
    contact.asked_for_fence = contact.when;
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
        planned_[{process.id().node, record.register_broker().broker_id()}] = {
            .is_fenced = record.register_broker().fenced()};
      } else if (record.has_broker_registration_change()) {
        OnChange(process, record.broker_registration_change());
      }
    }
  }
}

void FenceChecker::OnChange(const SimProcess& process,
                            const v1::BrokerRegistrationChangeRecord& change) {
  const Broker* known =
      process.node().committed_image()->brokers().Find(BrokerId(change.broker_id()));
  Planned before;
  if (const auto it = planned_.find({process.id().node, change.broker_id()});
      it != planned_.end()) {
    before = it->second;
  } else if (known != nullptr) {
    before = {.is_fenced = known->is_fenced, .is_leaving = known->in_controlled_shutdown};
  }
  planned_[{process.id().node, change.broker_id()}] = {
      .is_fenced = change.fenced(), .is_leaving = change.in_controlled_shutdown()};
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
  const NodeId node = process.id().node;
  const auto active = active_since_.find(node);
  KVORUM_CHECK(active != active_since_.end(), "invariant 34 FenceJustified: {} is not active",
               process.id());
  TimePoint since = active->second;
  const auto contact = contacts_.find({node, broker});
  if (contact != contacts_.end()) {
    if (contact->second.asked_for_fence == process.LocalNow().now) {
      return;
    }
    since = std::max(since, contact->second.when);
  }
  const Duration silent = process.LocalNow().now - since;
  KVORUM_CHECK(silent >= world_.options.broker_session_timeout,
               "invariant 34 FenceJustified: {} fences broker {} after {} ms of silence",
               process.id(), broker,
               std::chrono::duration_cast<std::chrono::milliseconds>(silent).count());
}

}  // namespace kvorum::sim
