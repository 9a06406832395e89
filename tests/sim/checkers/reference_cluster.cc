#include "tests/sim/checkers/reference_cluster.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>

#include "server/base/check.h"
#include "server/base/uuid.h"

namespace kvorum::sim {
namespace {

std::string BytesOf(const std::string& id) { return Uuid::Parse(id).value_or(Uuid()).ToBytes(); }

bool IsOk(const v1::ItemStatus& status) { return status.code() == 0; }

}  // namespace

void RequireModel(bool holds, const std::string& what) {
  KVORUM_CHECK(holds, "invariant 43 ModelAgrees: {}", what);
}

ReferenceCluster::Topic* ReferenceCluster::Find(const std::string& name) {
  const auto found = std::find_if(topics_.begin(), topics_.end(),
                                  [&](const auto& topic) { return topic.second.name == name; });
  return found == topics_.end() ? nullptr : &found->second;
}

bool ReferenceCluster::HasTopic(const std::string& name) const {
  return std::any_of(topics_.begin(), topics_.end(),
                     [&](const auto& topic) { return topic.second.name == name; });
}

ReferencePartition* ReferenceCluster::FindPartition(const std::string& topic_id, int32_t index) {
  const auto topic = topics_.find(topic_id);
  return topic == topics_.end() || topic->second.partitions.size() <= static_cast<size_t>(index)
             ? nullptr
             : &topic->second.partitions[static_cast<size_t>(index)];
}

bool ReferenceCluster::HasSession(int32_t broker, int64_t epoch) const {
  const auto found = brokers_.find(broker);
  return found != brokers_.end() && found->second.epoch == epoch && !found->second.is_fenced;
}

std::set<int32_t> ReferenceCluster::ActiveBrokers() const {
  std::set<int32_t> active;
  for (const auto& [id, broker] : brokers_) {
    if (!broker.is_fenced && !broker.is_leaving) {
      active.insert(id);
    }
  }
  return active;
}

ChangeCause ReferenceCluster::MakeCause() const {
  ChangeCause cause;
  cause.active = ActiveBrokers();
  for (const auto& [id, broker] : brokers_) {
    if (broker.is_drained) {
      cause.drained.insert(id);
    }
  }
  return cause;
}

size_t ReferenceCluster::MinInsyncOf(const std::string& topic) const {
  for (const ResourceName& resource : {ResourceName(v1::CONFIG_RESOURCE_TYPE_TOPIC, topic),
                                       ResourceName(v1::CONFIG_RESOURCE_TYPE_BROKER, "")}) {
    const auto configs = configs_.find(resource);
    if (configs != configs_.end() && configs->second.contains("min.insync.replicas")) {
      return std::stoul(configs->second.at("min.insync.replicas"));
    }
  }
  return 1;
}

bool ReferenceCluster::IsUncleanAllowed(const std::string& topic) const {
  for (const ResourceName& resource : {ResourceName(v1::CONFIG_RESOURCE_TYPE_TOPIC, topic),
                                       ResourceName(v1::CONFIG_RESOURCE_TYPE_BROKER, "")}) {
    const auto configs = configs_.find(resource);
    if (configs != configs_.end() && configs->second.contains("unclean.leader.election.enable")) {
      return configs->second.at("unclean.leader.election.enable") == "true";
    }
  }
  return false;
}

std::map<std::string, size_t> ReferenceCluster::MinInsync() const {
  std::map<std::string, size_t> in_effect;
  for (const auto& [id, topic] : topics_) {
    in_effect[topic.name] = MinInsyncOf(topic.name);
  }
  return in_effect;
}

// In sync are those that are active, the first of them leads.
ReferencePartition ReferenceCluster::NewPartition(const Ids& replicas) const {
  ReferencePartition partition;
  partition.replicas = replicas;
  for (const int32_t id : replicas) {
    const auto broker = brokers_.find(id);
    RequireModel(broker != brokers_.end() && !broker->second.is_drained &&
                     !broker->second.is_leaving &&
                     std::count(replicas.begin(), replicas.end(), id) == 1,
                 fmt::format("broker {} got a new replica of {}", id, replicas));
    if (!broker->second.is_fenced) {
      partition.isr.push_back(id);
    }
  }
  RequireModel(!replicas.empty() && Has(partition.isr, replicas.front()),
               fmt::format("the first of new replicas {} is fenced", replicas));
  partition.leader = replicas.front();
  return partition;
}

void ReferenceCluster::BeginCommit(const std::vector<v1::MetadataRecord>& records,
                                   bool is_transaction) {
  changes_.clear();
  for (const v1::MetadataRecord& record : records) {
    if (record.has_partition_change()) {
      changes_.push_back(record.partition_change());
    }
  }
  if (is_transaction && !changes_.empty()) {
    log_.Hit(Mark::kTransactionOfPartitions);
  }
}

void ReferenceCluster::EndCommit() {
  RequireModel(changes_.empty(),
               changes_.empty() ? "" : "nobody asked for " + changes_.front().ShortDebugString());
}

const v1::PartitionChangeRecord* ReferenceCluster::NextChange() const {
  return changes_.empty() ? nullptr : &changes_.front();
}

const ReferencePartition* ReferenceCluster::NextBefore() {
  return changes_.empty()
             ? nullptr
             : FindPartition(changes_.front().topic_id(), changes_.front().partition_index());
}

void ReferenceCluster::TakeChange(ChangeCause cause) {
  const v1::PartitionChangeRecord record = std::move(changes_.front());
  changes_.pop_front();
  Change(record, std::move(cause));
}

void ReferenceCluster::Change(const v1::PartitionChangeRecord& record, ChangeCause cause) {
  ReferencePartition* partition = FindPartition(record.topic_id(), record.partition_index());
  RequireModel(partition != nullptr, "no partition for " + record.ShortDebugString());
  const std::string& topic = topics_.at(record.topic_id()).name;
  cause.min_insync = MinInsyncOf(topic);
  ReferencePartition after = ToReferencePartition(record);
  if (after.replicas.empty()) {
    after.replicas = partition->replicas;
  }
  const std::string broken = BrokenRule(*partition, after, cause);
  KVORUM_CHECK(broken.empty(), "invariant 43 ModelAgrees: partition {} of {}: {}",
               record.partition_index(), topic, broken);
  NoteMarks(*partition, after, cause);
  *partition = std::move(after);
}

void ReferenceCluster::NoteMarks(const ReferencePartition& before, const ReferencePartition& after,
                                 const ChangeCause& cause) {
  if (before.leader == -1 && after.leader != -1) {
    log_.Hit(after.is_recovering ? Mark::kUncleanlyElected : Mark::kEligibleElected);
  }
  if (before.is_moving() && !after.is_moving()) {
    const bool is_cancel =
        cause.move.has_value() && cause.move->adding.empty() && cause.move->removing.empty();
    log_.Hit(is_cancel ? Mark::kMoveCancelled : Mark::kMoveDone);
  }
}

void ReferenceCluster::CreateTopic(const v1::CreateTopicsResponse::Result& result) {
  RequireModel(!HasTopic(result.name()), fmt::format("topic {} was created twice", result.name()));
  Topic& topic = topics_[BytesOf(result.topic_id())];
  topic.name = result.name();
  for (const v1::ReplicaAssignment& assignment : result.assignments()) {
    topic.partitions.push_back(
        NewPartition({assignment.replicas().begin(), assignment.replicas().end()}));
  }
}

void ReferenceCluster::Grow(const v1::CreatePartitionsRequest::Item& item,
                            const v1::CreatePartitionsResponse::Result& result) {
  Topic* topic = Find(item.name());
  RequireModel(topic != nullptr, fmt::format("topic {} grew and does not exist", item.name()));
  const size_t before = topic->partitions.size();
  for (const v1::ReplicaAssignment& assignment : result.assignments()) {
    topic->partitions.push_back(
        NewPartition({assignment.replicas().begin(), assignment.replicas().end()}));
  }
  const size_t after = topic->partitions.size();
  RequireModel(after > before && after == static_cast<size_t>(item.new_partition_count()),
               fmt::format("topic {} went from {} to {} partitions", item.name(), before, after));
}

void ReferenceCluster::RemoveTopic(const std::string& name) {
  RequireModel(
      std::erase_if(topics_, [&](const auto& topic) { return topic.second.name == name; }) == 1,
      fmt::format("topic {} was deleted and did not exist", name));
}

void ReferenceCluster::TakeTold(const std::string& topic_id, const v1::PartitionInfo& info,
                                const ChangeCause& cause, bool may_be_none) {
  const std::string id = BytesOf(topic_id);
  const ReferencePartition* partition = FindPartition(id, info.partition_index());
  RequireModel(partition != nullptr, "no partition for " + info.ShortDebugString());
  if (!may_be_none || *partition != ToReferencePartition(info)) {
    const v1::PartitionChangeRecord* next = NextChange();
    RequireModel(next != nullptr && next->topic_id() == id &&
                     next->partition_index() == info.partition_index(),
                 "nothing was done of " + info.ShortDebugString());
    TakeChange(cause);
  }
  RequireModel(*partition == ToReferencePartition(info),
               fmt::format("a partition is told to be {} and is {}", info.ShortDebugString(),
                           ToText(*partition)));
}

void ReferenceCluster::Elect(const v1::ElectLeadersRequest& request,
                             const v1::ElectLeadersResponse& response) {
  ChangeCause cause = MakeCause();
  cause.is_unclean_allowed = request.election_type() == v1::ELECTION_TYPE_UNCLEAN;
  for (const v1::ElectLeadersResponse::Result& result : response.results()) {
    if (IsOk(result.status())) {
      TakeTold(result.topic_id(), result.partition(), cause, /*may_be_none=*/false);
      log_.Hit(Mark::kLeaderElected);
    }
  }
}

void ReferenceCluster::Move(const v1::AlterPartitionReassignmentsRequest& request,
                            const v1::AlterPartitionReassignmentsResponse& response) {
  for (int i = 0; i < request.partitions_size(); ++i) {
    const auto& result = response.results(i);
    const ReferencePartition* partition =
        FindPartition(BytesOf(result.topic_id()), result.partition_index());
    if (!IsOk(result.status())) {
      continue;
    }
    RequireModel(partition != nullptr, "no partition for " + result.ShortDebugString());
    const v1::AlterPartitionReassignmentsRequest::Item& item = request.partitions(i);
    const auto without = [](const Ids& ids, const Ids& others) {
      Ids rest;
      std::copy_if(ids.begin(), ids.end(), std::back_inserter(rest),
                   [&](int32_t id) { return !Has(others, id); });
      return rest;
    };
    // As it would be without the move that is under way.
    const Ids base = without(partition->replicas, partition->adding);
    const Ids wanted = item.cancel() ? base : Ids(item.replicas().begin(), item.replicas().end());
    ChangeCause cause = MakeCause();
    ReplicaMove& move = cause.move.emplace();
    move.adding = without(wanted, base);
    move.removing = without(base, wanted);
    std::sort(move.removing.begin(), move.removing.end());
    move.replicas = wanted;
    move.replicas.insert(move.replicas.end(), move.removing.begin(), move.removing.end());
    cause.is_unclean_allowed = item.cancel() && IsUncleanAllowed(result.topic_name());
    const bool is_change = move.replicas != partition->replicas ||
                           move.adding.size() != partition->adding.size() ||
                           move.removing.size() != partition->removing.size();
    TakeTold(result.topic_id(), result.partition(), cause, /*may_be_none=*/!is_change);
    log_.Hit(Mark::kMoveAsked);
  }
}

void ReferenceCluster::Drain(int32_t broker, const v1::DrainBrokerResponse& response) {
  const auto found = brokers_.find(broker);
  RequireModel(found != brokers_.end(),
               fmt::format("broker {} was drained and is not registered", broker));
  found->second.is_drained = true;
  const ChangeCause cause = MakeCause();
  int32_t moved = 0;
  for (const ReferencePartition* next = NextBefore();
       next != nullptr && next->leader == broker && NextChange()->leader() != -1 &&
       std::equal(next->isr.begin(), next->isr.end(), NextChange()->isr().begin(),
                  NextChange()->isr().end()) &&
       !cause.drained.contains(NextChange()->leader());
       next = NextBefore()) {
    TakeChange(cause);
    ++moved;
  }
  int32_t remaining = 0;
  for (const auto& [id, topic] : topics_) {
    for (const ReferencePartition& partition : topic.partitions) {
      const bool is_leading = partition.leader == broker;
      remaining += is_leading ? 1 : 0;
      RequireModel(!is_leading ||
                       std::all_of(partition.isr.begin(), partition.isr.end(),
                                   [&](int32_t member) { return cause.drained.contains(member); }),
                   fmt::format("drained broker {} goes on leading {}: {}", broker, topic.name,
                               ToText(partition)));
    }
  }
  RequireModel(
      response.moved_leader_count() == moved && response.remaining_leader_count() == remaining,
      fmt::format("draining {} moved {} leaders of {}, and said {}", broker, moved,
                  moved + remaining, response.ShortDebugString()));
}

void ReferenceCluster::Undrain(int32_t broker) {
  const auto found = brokers_.find(broker);
  RequireModel(found != brokers_.end(),
               fmt::format("broker {} was undrained and is not registered", broker));
  found->second.is_drained = false;
}

void ReferenceCluster::Unregister(int32_t broker) {
  ChangeCause cause = MakeCause();
  cause.leaving = broker;
  cause.has_lost = true;
  for (const ReferencePartition* next = NextBefore();
       next != nullptr && (Has(next->isr, broker) || Has(next->eligible, broker));
       next = NextBefore()) {
    cause.is_unclean_allowed = IsUncleanAllowed(topics_.at(NextChange()->topic_id()).name);
    TakeChange(cause);
  }
  RequireInNoList(broker);
  RequireModel(brokers_.erase(broker) == 1,
               fmt::format("broker {} was removed and was not registered", broker));
  log_.Hit(Mark::kBrokerRemoved);
}

void ReferenceCluster::RequireInNoList(int32_t broker) const {
  for (const auto& [id, topic] : topics_) {
    for (const ReferencePartition& partition : topic.partitions) {
      RequireModel(!Has(partition.isr, broker) && !Has(partition.eligible, broker),
                   fmt::format("broker {} may have lost what it had, and of {} there is {}", broker,
                               topic.name, ToText(partition)));
    }
  }
}

void ReferenceCluster::ClearEligible(const std::map<std::string, size_t>& before,
                                     const std::map<std::string, size_t>& after) {
  ChangeCause cause = MakeCause();
  cause.clears_eligible = true;
  const auto is_changed = [&](const std::string& topic) {
    return before.at(topic) != after.at(topic);
  };
  for (const ReferencePartition* next = NextBefore();
       next != nullptr && is_changed(topics_.at(NextChange()->topic_id()).name) &&
       (!next->eligible.empty() || next->last_known_leader != -1);
       next = NextBefore()) {
    TakeChange(cause);
    log_.Hit(Mark::kEligibleCleared);
  }
  for (const auto& [id, topic] : topics_) {
    for (const ReferencePartition& partition : topic.partitions) {
      RequireModel(
          !is_changed(topic.name) ||
              (partition.eligible.empty() && partition.last_known_leader == -1),
          fmt::format("min.insync.replicas of {} changed, and {}", topic.name, ToText(partition)));
    }
  }
}

}  // namespace kvorum::sim
