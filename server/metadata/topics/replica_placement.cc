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

// Brokers taken in turn: each partition that asks begins one further on, and gets each broker once.
// One that does not ask leaves it where it is, or brokers of racks that leaders pass by would be
// passed by too.
class BrokerRing {
 public:
  void Add(BrokerId id) { brokers_.push_back(id); }

  void Start(Random& random) { start_ = brokers_.empty() ? 0 : random.Below(brokers_.size()); }

  // The next partition begins behind `id`, if that is one of its brokers.
  // REQUIRES: not shuffled yet.
  void StartBehind(BrokerId id) {
    const auto found = std::lower_bound(brokers_.begin(), brokers_.end(), id);
    if (found != brokers_.end() && *found == id) {
      start_ = static_cast<size_t>(found - brokers_.begin());
    }
  }

  void ShuffleBrokers(Random& random) { Shuffle(brokers_, random); }

  // The next broker for a partition, by its number; nullopt: it has got them all.
  std::optional<BrokerId> Next(size_t partition) {
    if (partition != asked_by_ && !brokers_.empty()) {
      asked_by_ = partition;
      taken_ = 0;
      start_ = (start_ + 1) % brokers_.size();
    }
    if (taken_ == brokers_.size()) {
      return std::nullopt;
    }
    return brokers_[(start_ + taken_++) % brokers_.size()];
  }

 private:
  std::vector<BrokerId> brokers_;  // by id, until shuffled
  size_t start_ = 0;
  size_t asked_by_ = 0;  // the last partition that did
  size_t taken_ = 0;     // by it
};

struct Rack {
  std::string name;
  BrokerRing unfenced;
  BrokerRing fenced;

  std::optional<BrokerId> Next(size_t partition) {
    const std::optional<BrokerId> id = unfenced.Next(partition);
    return id.has_value() ? id : fenced.Next(partition);
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
      rack.name = name;
      rack.unfenced.Start(random);
      rack.fenced.Start(random);
      racks_.push_back(std::move(rack));
    }
    first_rack_ = racks_.empty() ? 0 : random.Below(racks_.size());
  }

  // Goes on where the partitions in `before` left off. A stripe asks another rack first for each
  // partition, so as many of them as there are racks tell where each rack is.
  // REQUIRES: nothing was placed yet.
  void GoOnBehind(const PartitionList& before, const BrokersImage& brokers) {
    const int32_t first = before.size() - static_cast<int32_t>(racks_.size());
    for (auto next = before.From(first); next != before.end(); ++next) {
      const BrokerList& replicas = next->partition.replicas;
      // Backwards: of a rack's brokers the first is where it began, of all the leader.
      for (auto id = replicas.rbegin(); id != replicas.rend(); ++id) {
        const Broker* broker = brokers.Find(*id);
        if (broker == nullptr) {
          continue;
        }
        const auto rack =
            std::lower_bound(racks_.begin(), racks_.end(), broker->rack,
                             [](const Rack& a, const std::string& name) { return a.name < name; });
        if (rack != racks_.end() && rack->name == broker->rack) {
          rack->unfenced.StartBehind(*id);
          rack->fenced.StartBehind(*id);
          first_rack_ = static_cast<size_t>(rack - racks_.begin() + 1) % racks_.size();
        }
      }
    }
  }

  size_t broker_count() const { return broker_count_; }
  size_t unfenced_count() const { return unfenced_count_; }

  // REQUIRES: 1 <= replica_count <= broker_count; unfenced_count >= 1.
  BrokerList PlacePartition(size_t replica_count) {
    if (placed_ == unfenced_count_ && unfenced_count_ > 1) {
      ShuffleAll();  // or the same lists would come again
    }
    ++partition_;
    BrokerList replicas;
    const size_t leaders_rack = AddLeader(replicas);
    bool was_skipped = false;
    size_t rack = first_rack_;
    while (replicas.size() < replica_count) {
      if (!was_skipped && rack == leaders_rack) {
        was_skipped = true;  // once: it has the leader already
      } else if (const std::optional<BrokerId> id = racks_[rack].Next(partition_)) {
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
      if (const std::optional<BrokerId> id = racks_[rack].unfenced.Next(partition_)) {
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
  size_t partition_ = 0;     // counts them, from 1
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
  if (spec.before != nullptr) {
    placer.GoOnBehind(*spec.before, brokers);
  }
  std::vector<BrokerList> partitions;
  partitions.reserve(static_cast<size_t>(spec.partition_count));
  for (int32_t i = 0; i < spec.partition_count; ++i) {
    partitions.push_back(placer.PlacePartition(static_cast<size_t>(spec.replication_factor)));
  }
  return partitions;
}

}  // namespace kvorum
