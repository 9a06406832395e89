#include "server/metadata/topics/partition_change.h"

#include <algorithm>
#include <utility>

#include "server/base/mutants.h"

namespace kvorum {
namespace {

struct Elected {
  BrokerId leader = kNoLeader;
  bool is_clean = true;  // false: what it lacks is lost
};

// One partition on its way from `now` to a record.
class PartitionChangeBuilder {
 public:
  PartitionChangeBuilder(const PartitionNow& now, const PartitionTarget& target,
                         const ActiveBrokers& active)
      : now_(now), current_(now.partition), active_(active), election_(target.election) {
    next_ = current_;
    next_.replicas = target.replicas;
    next_.adding = InOrder(target.adding);
    next_.removing = InOrder(target.removing);
    next_.isr = InOrder(target.isr);
    next_.leader_recovery_state = target.leader_recovery_state;
    stopped_uncleanly_ = target.stopped_uncleanly;
    clears_eligible_ = target.clears_eligible;
  }

  std::optional<v1::MetadataRecord> Build() {
    CompleteReassignment();
    SetEligible();
    Elect();
    if (!KVORUM_MUTANT(MoveGoesOn) && CompleteReassignment()) {
      // Who was elected is all that it waited for.
      next_.elr = HasEnoughInSync() ? BrokerList() : InOrder(next_.elr);
    }
    SetLastKnownLeader();
    if (next_ == current_) {
      return std::nullopt;
    }
    const bool is_leader_set = next_.leader != current_.leader;
    const bool is_replica_dropped = !Without(current_.replicas, next_.replicas).empty();
    next_.leader_epoch += is_leader_set || is_replica_dropped ? 1 : 0;
    next_.partition_epoch += 1;
    return ToRecord();
  }

 private:
  // The members of `part` that are replicas, in the order of those.
  BrokerList InOrder(const BrokerList& part) const {
    return Filter(next_.replicas, [&part](BrokerId id) { return Contains(part, id); });
  }

  // KIP-455: done when all that is added is in sync without what is removed, somebody is, and, if
  // the partition gets fewer replicas, every one that stays.
  bool CompleteReassignment() {
    if (!next_.is_reassigning()) {
      return false;
    }
    const BrokerList isr = Without(next_.isr, next_.removing);
    const BrokerList replicas = Without(next_.replicas, next_.removing);
    const bool shrinks = next_.adding.size() < next_.removing.size();
    if (isr.empty() || !Without(next_.adding, isr).empty() ||
        (shrinks && !Without(replicas, isr).empty())) {
      return false;
    }
    next_.replicas = replicas;
    next_.isr = isr;
    next_.adding.clear();
    next_.removing.clear();
    return true;
  }

  bool HasEnoughInSync() const {
    return next_.isr.size() >= MinIsr(now_.topic, next_.replicas.size());
  }

  // KIP-966 "ELR invariants".
  void SetEligible() {
    if (clears_eligible_ || HasEnoughInSync()) {
      next_.elr.clear();
      return;
    }
    next_.elr = Filter(next_.replicas, [this](BrokerId id) {
      const bool was_safe = Contains(current_.isr, id) || Contains(current_.elr, id);
      const bool has_lost = id == stopped_uncleanly_ && !KVORUM_MUTANT(LostIsEligible);
      return was_safe && !Contains(next_.isr, id) && !has_lost;
    });
  }

  bool MayLead(BrokerId id) const {
    return active_.Contains(id) && id != stopped_uncleanly_ &&
           Contains(next_.isr.empty() ? next_.elr : next_.isr, id);
  }

  // The first of the election's order that may lead and is drained or not, as asked.
  BrokerId FindLeader(bool drained) const {
    const auto may_lead = [&](BrokerId id) {
      return MayLead(id) && active_.IsDrained(id) == drained;
    };
    if (election_ == Election::kPreferred && may_lead(next_.replicas.front())) {
      return next_.replicas.front();
    }
    if (may_lead(current_.leader)) {
      return current_.leader;
    }
    const auto found = std::find_if(next_.replicas.begin(), next_.replicas.end(), may_lead);
    return found == next_.replicas.end() ? kNoLeader : *found;
  }

  Elected ChooseLeader() const {
    for (const bool drained : {false, true}) {
      if (const BrokerId leader = FindLeader(drained); leader != kNoLeader) {
        return {leader};
      }
    }
    const BrokerId last = clears_eligible_ ? kNoLeader : current_.last_known_leader;
    if (next_.isr.empty() && next_.elr.empty() && active_.Contains(last) &&
        Contains(next_.replicas, last)) {
      return {last, /*is_clean=*/false};
    }
    if (election_ == Election::kUnclean) {
      for (const BrokerId id : next_.replicas) {
        if (active_.Contains(id)) {
          return {id, /*is_clean=*/false};
        }
      }
    }
    return {};
  }

  void Elect() {
    const Elected elected = ChooseLeader();
    next_.leader = elected.leader;
    if (elected.leader == kNoLeader) {
      return;
    }
    if (!elected.is_clean) {
      next_.isr = {elected.leader};
      next_.elr.clear();
      next_.leader_recovery_state = v1::LEADER_RECOVERY_STATE_RECOVERING;
    } else if (next_.isr.empty()) {
      next_.isr = {elected.leader};  // of the eligible: it has everything
      next_.elr = Without(next_.elr, next_.isr);
      if (HasEnoughInSync()) {
        next_.elr.clear();
      }
    }
  }

  void SetLastKnownLeader() {
    if (next_.leader != kNoLeader || clears_eligible_) {
      next_.last_known_leader = kNoLeader;
    } else if (current_.leader != kNoLeader) {
      next_.last_known_leader = current_.leader;
    }
    if (!Contains(next_.replicas, next_.last_known_leader)) {
      next_.last_known_leader = kNoLeader;
    }
  }

  v1::MetadataRecord ToRecord() const {
    v1::MetadataRecord record;
    v1::PartitionChangeRecord& change = *record.mutable_partition_change();
    change.set_topic_id(now_.key.topic_id.ToBytes());
    change.set_partition_index(now_.key.index);
    const auto fill = [](const BrokerList& list, auto* ids) {
      for (const BrokerId id : list) {
        ids->Add(id.value());
      }
    };
    if (next_.replicas != current_.replicas) {
      fill(next_.replicas, change.mutable_replicas());
    }
    fill(next_.isr, change.mutable_isr());
    fill(next_.elr, change.mutable_eligible_leader_replicas());
    fill(next_.adding, change.mutable_adding_replicas());
    fill(next_.removing, change.mutable_removing_replicas());
    if (next_.last_known_leader != kNoLeader) {
      change.add_last_known_elr(next_.last_known_leader.value());
    }
    change.set_leader(next_.leader.value());
    change.set_leader_epoch(next_.leader_epoch);
    change.set_partition_epoch(next_.partition_epoch);
    change.set_leader_recovery_state(next_.leader_recovery_state);
    return record;
  }

  const PartitionNow& now_;
  const Partition& current_;
  const ActiveBrokers& active_;
  const Election election_;
  std::optional<BrokerId> stopped_uncleanly_;
  bool clears_eligible_ = false;
  Partition next_;
};

}  // namespace

std::optional<v1::MetadataRecord> ChangePartition(const PartitionNow& now,
                                                  const PartitionTarget& target,
                                                  const ActiveBrokers& active) {
  return PartitionChangeBuilder(now, target, active).Build();
}

}  // namespace kvorum
