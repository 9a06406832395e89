#include "server/metadata/topics/replica_placement.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "server/base/check.h"
#include "server/base/errors.h"

namespace kvorum {
namespace {

template <typename T>
void Shuffle(std::vector<T>& items, Random& random) {
  for (size_t i = items.size(); i > 1; --i) {
    std::swap(items[i - 1], items[random.Below(i)]);
  }
}

// Brokers taken in turn: each round begins one further on, and gives each broker once.
class BrokerRing {
 public:
  void Add(BrokerId id) { brokers_.push_back(id); }

  void Start(Random& random) { start_ = brokers_.empty() ? 0 : random.Below(brokers_.size()); }

  void ShuffleBrokers(Random& random) { Shuffle(brokers_, random); }

  void BeginRound() {
    taken_ = 0;
    start_ = brokers_.empty() ? 0 : (start_ + 1) % brokers_.size();
  }

  std::optional<BrokerId> Next() {
    if (taken_ == brokers_.size()) {
      return std::nullopt;
    }
    return brokers_[(start_ + taken_++) % brokers_.size()];
  }

  size_t size() const { return brokers_.size(); }

 private:
  std::vector<BrokerId> brokers_;  // by id, until shuffled
  size_t start_ = 0;
  size_t taken_ = 0;  // in this round
};

struct Rack {
  BrokerRing unfenced;
  BrokerRing fenced;

  std::optional<BrokerId> Next() {
    const std::optional<BrokerId> id = unfenced.Next();
    return id.has_value() ? id : fenced.Next();
  }
};

// Places the partitions of one topic, one after the other.
class Placer {
 public:
  Placer(const BrokersImage& brokers, Random& random) : random_(random) {
    std::map<std::string, Rack> by_name;  // brokers without a rack share the one named ""
    for (const auto& [id, broker] : brokers.brokers) {
      if (!MayGetReplicas(*broker)) {
        continue;
      }
      Rack& rack = by_name[broker->rack];
      (broker->is_fenced ? rack.fenced : rack.unfenced).Add(id);
      ++broker_count_;
      unfenced_count_ += broker->is_fenced ? 0 : 1;
    }
    for (auto& [name, rack] : by_name) {
      rack.unfenced.Start(random);
      rack.fenced.Start(random);
      racks_.push_back(std::move(rack));
    }
    first_rack_ = racks_.empty() ? 0 : random.Below(racks_.size());
  }

  size_t broker_count() const { return broker_count_; }
  size_t unfenced_count() const { return unfenced_count_; }

  // REQUIRES: 1 <= replica_count <= broker_count; unfenced_count >= 1.
  BrokerList PlacePartition(size_t replica_count) {
    if (placed_ == unfenced_count_ && unfenced_count_ > 1) {
      ShuffleAll();  // or the same lists would come again
    }
    for (Rack& rack : racks_) {
      rack.unfenced.BeginRound();
      rack.fenced.BeginRound();
    }
    BrokerList replicas;
    const size_t leaders_rack = AddLeader(replicas);
    bool was_skipped = false;
    size_t rack = first_rack_;
    while (replicas.size() < replica_count) {
      if (!was_skipped && rack == leaders_rack) {
        was_skipped = true;  // once: it has the leader already
      } else if (const std::optional<BrokerId> id = racks_[rack].Next()) {
        replicas.push_back(*id);
      }
      rack = (rack + 1) % racks_.size();
    }
    first_rack_ = (first_rack_ + 1) % racks_.size();
    ++placed_;
    return replicas;
  }

 private:
  // Adds an unfenced broker of the first rack that has one; returns the rack.
  size_t AddLeader(BrokerList& replicas) {
    for (size_t i = 0; i < racks_.size(); ++i) {
      const size_t rack = (first_rack_ + i) % racks_.size();
      if (const std::optional<BrokerId> id = racks_[rack].unfenced.Next()) {
        replicas.push_back(*id);
        return rack;
      }
    }
    KVORUM_CHECK(false, "no unfenced broker in {} racks", racks_.size());
  }

  void ShuffleAll() {
    Shuffle(racks_, random_);
    for (Rack& rack : racks_) {
      rack.unfenced.ShuffleBrokers(random_);
      rack.fenced.ShuffleBrokers(random_);
    }
    placed_ = 0;
  }

  Random& random_;
  std::vector<Rack> racks_;  // by name, until shuffled
  size_t first_rack_ = 0;    // where the next partition begins
  size_t placed_ = 0;        // since the last shuffle
  size_t broker_count_ = 0;
  size_t unfenced_count_ = 0;
};

}  // namespace

bool MayGetReplicas(const Broker& broker) {
  return !broker.in_controlled_shutdown && !broker.is_drained;
}

absl::StatusOr<std::vector<BrokerList>> PlaceReplicas(const PlacementSpec& spec,
                                                      const BrokersImage& brokers, Random& random) {
  Placer placer(brokers, random);
  if (placer.unfenced_count() == 0) {
    return MakeError(ErrorReason::kInvalidReplicationFactor,
                     fmt::format("none of the {} registered brokers is unfenced, stays and is not "
                                 "drained, so nothing can be placed; start or undrain a broker",
                                 brokers.brokers.size()));
  }
  const size_t limit = std::min(placer.broker_count(), kMaxReplicas);
  if (spec.replication_factor < 1 || static_cast<size_t>(spec.replication_factor) > limit) {
    return MakeError(
        ErrorReason::kInvalidReplicationFactor,
        fmt::format("replication factor {} with {} brokers that may get replicas and a limit of "
                    "{}; use 1 to {}, or add brokers",
                    spec.replication_factor, placer.broker_count(), kMaxReplicas, limit));
  }
  std::vector<BrokerList> partitions;
  partitions.reserve(static_cast<size_t>(spec.partition_count));
  for (int32_t i = 0; i < spec.partition_count; ++i) {
    partitions.push_back(placer.PlacePartition(static_cast<size_t>(spec.replication_factor)));
  }
  return partitions;
}

}  // namespace kvorum
