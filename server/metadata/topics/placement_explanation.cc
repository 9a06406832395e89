#include "server/metadata/topics/placement_explanation.h"

#include <fmt/format.h>

#include <map>
#include <set>
#include <string>

#include "server/base/errors.h"
#include "server/metadata/topics/replica_placement.h"

namespace kvorum {
namespace {

struct Share {
  int32_t replicas = 0;
  int32_t leaders = 0;
};

// What the verdicts are made of.
struct Placement {
  bool is_assigned_by_hand = false;
  size_t partition_count = 0;
  size_t replication_factor = 0;
  size_t unfenced_count = 0;  // that may get replicas
  size_t rack_count = 0;
};

std::string WhyPlaced(const Broker& broker, const Share& share, const Placement& placement) {
  if (placement.is_assigned_by_hand) {
    return "named in the request's assignments";
  }
  if (broker.is_fenced) {
    return fmt::format(
        "fenced, but needed: only {} unfenced brokers for {} replicas of a partition",
        placement.unfenced_count, placement.replication_factor);
  }
  return fmt::format("its turn came {} times in the stripes over {} racks, {} times first",
                     share.replicas, placement.rack_count, share.leaders);
}

std::string WhyNotPlaced(const Broker& broker, const Placement& placement) {
  if (placement.is_assigned_by_hand) {
    return "not named in the request's assignments";
  }
  if (broker.is_drained) {
    return "drained: gets no new replicas until it is undrained";
  }
  if (broker.in_controlled_shutdown) {
    return "shutting down: gets no new replicas";
  }
  if (broker.is_fenced) {
    return fmt::format(
        "fenced: taken only where unfenced brokers run out, and there are {} for {} "
        "replicas of a partition",
        placement.unfenced_count, placement.replication_factor);
  }
  return fmt::format(
      "its turn did not come: {} partitions of {} replicas, striped over {} unfenced "
      "brokers",
      placement.partition_count, placement.replication_factor, placement.unfenced_count);
}

Placement Summarize(const std::vector<BrokerList>& partitions, bool is_assigned_by_hand,
                    const BrokersImage& brokers) {
  Placement placement;
  placement.is_assigned_by_hand = is_assigned_by_hand;
  placement.partition_count = partitions.size();
  placement.replication_factor = partitions.front().size();
  std::set<std::string> racks;
  for (const auto& [id, broker] : brokers.brokers) {
    if (MayGetReplicas(*broker)) {
      placement.unfenced_count += broker->is_fenced ? 0 : 1;
      racks.insert(broker->rack);
    }
  }
  placement.rack_count = racks.size();
  return placement;
}

}  // namespace

absl::Status CheckMayExplain(int topic_count, const BrokersImage& brokers) {
  const size_t verdicts = static_cast<size_t>(topic_count) * brokers.brokers.size();
  if (verdicts > kMaxVerdictsPerRequest) {
    return MakeError(
        ErrorReason::kPolicyViolation,
        fmt::format("explaining {} topics over {} brokers makes {} verdicts; the limit "
                    "is {}, explain fewer topics at a time",
                    topic_count, brokers.brokers.size(), verdicts, kMaxVerdictsPerRequest));
  }
  return absl::OkStatus();
}

v1::PlacementExplanation ExplainPlacement(const std::vector<BrokerList>& partitions,
                                          bool is_assigned_by_hand, const BrokersImage& brokers) {
  std::map<BrokerId, Share> shares;
  for (const BrokerList& replicas : partitions) {
    for (const BrokerId id : replicas) {
      ++shares[id].replicas;
    }
    ++shares[replicas.front()].leaders;
  }
  const Placement placement = Summarize(partitions, is_assigned_by_hand, brokers);
  v1::PlacementExplanation explanation;
  explanation.set_summary(
      is_assigned_by_hand
          ? fmt::format("{} partitions as assigned in the request", placement.partition_count)
          : fmt::format("{} partitions of {} replicas, striped over {} racks with {} unfenced "
                        "brokers: the first replica on an unfenced broker, the others on one "
                        "broker of each following rack, fenced brokers last",
                        placement.partition_count, placement.replication_factor,
                        placement.rack_count, placement.unfenced_count));
  for (const auto& [id, broker] : brokers.brokers) {
    const Share share = shares[id];
    auto& verdict = *explanation.add_brokers();
    verdict.set_broker_id(id.value());
    verdict.set_rack(broker->rack);
    verdict.set_replica_count(share.replicas);
    verdict.set_leader_count(share.leaders);
    verdict.set_reason(share.replicas > 0 ? WhyPlaced(*broker, share, placement)
                                          : WhyNotPlaced(*broker, placement));
  }
  return explanation;
}

}  // namespace kvorum
