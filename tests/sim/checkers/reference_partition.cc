#include "tests/sim/checkers/reference_partition.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iterator>

namespace kvorum::sim {
namespace {

// The members of `ids` for which `keep` is true, in their order.
template <typename Predicate>
Ids Those(const Ids& ids, Predicate keep) {
  Ids kept;
  std::copy_if(ids.begin(), ids.end(), std::back_inserter(kept), keep);
  return kept;
}

bool IsWithin(const Ids& part, const Ids& whole) {
  return std::all_of(part.begin(), part.end(), [&](int32_t id) { return Has(whole, id); });
}

bool AreSameMembers(const Ids& a, const Ids& b) {
  return std::set<int32_t>(a.begin(), a.end()) == std::set<int32_t>(b.begin(), b.end());
}

// A part of the replicas, each once and in their order.
bool IsInOrder(const Ids& part, const Ids& replicas) {
  return part == Those(replicas, [&](int32_t id) { return Has(part, id); });
}

// KIP-455: whoever is added is in sync, somebody stays who is; of fewer replicas than before, all.
bool IsMoveDone(const ReferencePartition& partition) {
  const auto stays = [&](int32_t id) { return !Has(partition.removing, id); };
  const Ids isr = Those(partition.isr, stays);
  return partition.is_moving() && !isr.empty() && IsWithin(partition.adding, isr) &&
         (partition.adding.size() >= partition.removing.size() ||
          IsWithin(Those(partition.replicas, stays), isr));
}

class ChangeRules {
 public:
  ChangeRules(const ReferencePartition& before, const ReferencePartition& after,
              const ChangeCause& cause)
      : before_(before), after_(after), cause_(cause) {
    kept_ = Those(after.replicas,
                  [&](int32_t id) { return Has(before.isr, id) && id != cause.leaving; });
    safe_ = SafeOf(after.replicas);
  }

  const char* FirstBroken() {
    for (const auto rule : {&ChangeRules::Epochs, &ChangeRules::Lists, &ChangeRules::Replicas,
                            &ChangeRules::InSync, &ChangeRules::Leader, &ChangeRules::Recovery,
                            &ChangeRules::Eligible, &ChangeRules::LastKnownLeader}) {
      if (const char* broken = (this->*rule)(); broken != nullptr) {
        return broken;
      }
    }
    return nullptr;
  }

 private:
  const char* Epochs() {
    if (after_.partition_epoch != before_.partition_epoch + 1) {
      return "the partition epoch rises by one";
    }
    const bool is_dropped = !IsWithin(before_.replicas, after_.replicas);
    const bool must_rise = is_dropped || before_.leader != after_.leader;
    if (after_.leader_epoch != before_.leader_epoch + (must_rise ? 1 : 0)) {
      return "the leader epoch rises by one with another leader or without a replica, else never";
    }
    ReferencePartition same = before_;
    same.partition_epoch = after_.partition_epoch;
    return after_ == same ? "a change changes something" : nullptr;
  }

  const char* Lists() {
    for (const Ids* part : {&after_.isr, &after_.eligible, &after_.adding, &after_.removing}) {
      if (!IsInOrder(*part, after_.replicas)) {
        return "all lists are parts of the replicas, in their order";
      }
    }
    const Ids both = Those(after_.isr, [&](int32_t id) { return Has(after_.eligible, id); });
    return both.empty() ? nullptr : "who is in sync is not eligible too";
  }

  const char* Replicas() {
    const ReplicaMove move = Move();
    if (after_.replicas == move.replicas && AreSameMembers(after_.adding, move.adding) &&
        AreSameMembers(after_.removing, move.removing)) {
      return IsMoveDone(after_) ? "a move that is done ends" : nullptr;
    }
    const Ids rest = Those(move.replicas, [&](int32_t id) { return !Has(move.removing, id); });
    const bool is_done = !after_.is_moving() && after_.replicas == rest;
    return is_done && IsWithin(move.adding, after_.isr)
               ? nullptr
               : "replicas change as a move asks, and when all it adds are in sync";
  }

  const char* InSync() {
    if (cause_.is_leader_asking) {
      const bool is_leader_kept =
          Has(after_.isr, before_.leader) || !Has(after_.replicas, before_.leader);
      return is_leader_kept && std::all_of(after_.isr.begin(), after_.isr.end(),
                                           [this](int32_t id) { return IsActive(id); })
                 ? nullptr
                 : "a leader adds who is active, and stays in sync itself";
    }
    if (!kept_.empty()) {
      return AreSameMembers(after_.isr, kept_) ? nullptr : "who is in sync stays, nobody joins";
    }
    const bool may_lose_all =
        !cause_.move.has_value() || cause_.is_unclean_allowed ||
        (before_.isr.empty() && IsWithin(before_.eligible, cause_.move->replicas));
    if (!may_lose_all) {
      return "a move leaves somebody who has everything";
    }
    return after_.isr == (after_.leader == -1 ? Ids() : Ids{after_.leader})
               ? nullptr
               : "where nobody is in sync, the elected one is alone";
  }

  const char* Leader() {
    if ((after_.leader == -1) != after_.isr.empty()) {
      return "somebody leads where somebody is in sync, and nowhere else";
    }
    if (after_.leader != -1 && (!Has(after_.isr, after_.leader) || !IsActive(after_.leader))) {
      return "a leader is active and in sync";
    }
    if (!cause_.is_leader_asking && kept_.empty()) {
      return ElectedFromOutside();
    }
    const Ids may = MayLead(after_.isr);
    if (may.empty()) {
      return "somebody active is in sync";
    }
    const bool stays = after_.leader == before_.leader;
    const bool is_preferred = after_.leader == after_.replicas.front();
    const bool is_next = !Has(may, before_.leader) && after_.leader == may.front();
    return Has(may, after_.leader) && (stays || is_preferred || is_next)
               ? nullptr
               : "who leads goes on, or the preferred one does, or the next; drained ones last";
  }

  // Nobody in sync is left. Whom the move takes away may still be elected, and counts: it ends
  // after the election, if at all.
  const char* ElectedFromOutside() {
    const Ids replicas = Move().replicas;
    const Ids eligible = cause_.clears_eligible ? Ids() : SafeOf(replicas);
    if (const Ids may = MayLead(eligible); !may.empty()) {
      return after_.leader == may.front() ? nullptr : "the first who is eligible and active leads";
    }
    const int32_t last = cause_.clears_eligible ? -1 : before_.last_known_leader;
    if (eligible.empty() && IsActive(last) && Has(replicas, last)) {
      is_unclean_ = true;
      return after_.leader == last ? nullptr : "without eligible ones who led last leads";
    }
    if (after_.leader == -1) {
      return nullptr;
    }
    is_unclean_ = true;
    const Ids active = Those(replicas, [this](int32_t id) { return IsActive(id); });
    return cause_.is_unclean_allowed && after_.leader == active.front()
               ? nullptr
               : "who may lack something leads only where that is allowed, the first of them";
  }

  const char* Recovery() {
    if (after_.is_recovering && after_.isr.size() > 1) {
      return "who recovers is alone in sync";
    }
    if (is_unclean_) {
      return after_.is_recovering ? nullptr : "who was elected uncleanly must recover";
    }
    const bool may_end = cause_.is_leader_asking && before_.is_recovering;
    return after_.is_recovering == before_.is_recovering || (may_end && !after_.is_recovering)
               ? nullptr
               : "recovery begins with an unclean election and ends by the leader's word";
  }

  const char* Eligible() {
    const bool are_enough =
        after_.isr.size() >= std::min(cause_.min_insync, after_.replicas.size());
    if (are_enough || is_unclean_ || cause_.clears_eligible) {
      return after_.eligible.empty() ? nullptr : "nobody is eligible but where too few are in sync";
    }
    return after_.eligible == Those(safe_, [this](int32_t id) { return !Has(after_.isr, id); })
               ? nullptr
               : "who was in sync or eligible stays eligible while too few are in sync";
  }

  const char* LastKnownLeader() {
    int32_t expected = before_.leader != -1 ? before_.leader : before_.last_known_leader;
    if (after_.leader != -1 || cause_.clears_eligible || !Has(after_.replicas, expected)) {
      expected = -1;
    }
    return after_.last_known_leader == expected ? nullptr
                                                : "who led last is known while nobody leads";
  }

  ReplicaMove Move() const {
    return cause_.move.value_or(ReplicaMove{before_.replicas, before_.adding, before_.removing});
  }

  // Of `ids`, which surely have everything.
  Ids SafeOf(const Ids& ids) const {
    return Those(ids, [this](int32_t id) {
      return (Has(before_.isr, id) || Has(before_.eligible, id)) &&
             !(cause_.has_lost && id == cause_.leaving);
    });
  }

  bool IsActive(int32_t id) const { return id != cause_.leaving && cause_.active.contains(id); }

  // Of `ids`: the active ones, drained ones only where there is no other.
  Ids MayLead(const Ids& ids) const {
    const Ids active = Those(ids, [this](int32_t id) { return IsActive(id); });
    const Ids wanted = Those(active, [this](int32_t id) { return !cause_.drained.contains(id); });
    return wanted.empty() ? active : wanted;
  }

  const ReferencePartition& before_;
  const ReferencePartition& after_;
  const ChangeCause& cause_;
  Ids kept_;                 // in sync before, and nothing takes them out
  Ids safe_;                 // surely have everything
  bool is_unclean_ = false;  // the leader may lack something
};

}  // namespace

std::string ToText(const ReferencePartition& partition) {
  return fmt::format(
      "replicas {} isr {} eligible {} adding {} removing {} leader {} last known {} epochs {}/{}{}",
      partition.replicas, partition.isr, partition.eligible, partition.adding, partition.removing,
      partition.leader, partition.last_known_leader, partition.leader_epoch,
      partition.partition_epoch, partition.is_recovering ? " recovering" : "");
}

std::string BrokenRule(const ReferencePartition& before, const ReferencePartition& after,
                       const ChangeCause& cause) {
  const char* broken = ChangeRules(before, after, cause).FirstBroken();
  return broken == nullptr
             ? std::string()
             : fmt::format("{}: it was {} and became {}", broken, ToText(before), ToText(after));
}

std::string BrokenRule(const ReferencePartition& partition, const std::set<int32_t>& active) {
  const auto is_active = [&](int32_t id) { return active.contains(id); };
  const char* broken = nullptr;
  if (!std::all_of(partition.isr.begin(), partition.isr.end(), is_active)) {
    broken = "who is in sync is active";
  } else if (partition.isr.empty() != (partition.leader == -1)) {
    broken = "somebody leads where somebody is in sync";
  } else if (partition.leader == -1 &&
             std::any_of(partition.eligible.begin(), partition.eligible.end(), is_active)) {
    broken = "an active replica that is eligible leads";
  } else if (partition.leader == -1 && partition.eligible.empty() &&
             is_active(partition.last_known_leader)) {
    broken = "who led last leads when it is back and nobody is eligible";
  }
  return broken == nullptr ? std::string() : fmt::format("{}: {}", broken, ToText(partition));
}

}  // namespace kvorum::sim
