#include "tests/sim/checkers/record_index.h"

#include <algorithm>

#include "server/base/check.h"
#include "server/base/overloaded.h"
#include "server/metadata/record_visit.h"

namespace kvorum::sim {

void RecordIndex::Add(const v1::MetadataRecord& record, Offset offset) {
  VisitRecord(
      record,
      Overloaded{
          [](const v1::NoOpRecord&) {},
          [&](const v1::RegisterBrokerRecord& r) { AddRegistration(r, offset); },
          [&](const v1::UnregisterBrokerRecord& r) {
            unregistered_[r.broker_id()].push_back(offset);
          },
          [&](const v1::BrokerRegistrationChangeRecord& r) {
            KVORUM_CHECK(newest_registration_.contains(r.broker_id()) &&
                             newest_registration_.at(r.broker_id()) == r.broker_epoch(),
                         "invariant 33 BrokerEpoch: offset {} changes broker {} of epoch {}",
                         offset, r.broker_id(), r.broker_epoch());
            drained_.insert({r.broker_id(), r.drained()});
          },
          [&](const v1::TopicRecord& r) {
            KVORUM_CHECK(topics_.emplace(r.topic_id(), r.name()).second,
                         "topic id of {} at offset {} was used before", r.name(), offset);
            names_.emplace(r.name(), offset);
          },
          [&](const v1::RemoveTopicRecord& r) { removed_.emplace(r.topic_id(), offset); },
          [&](const v1::PartitionRecord& r) { AddPartition(r, offset); },
          [&](const v1::PartitionChangeRecord& r) { AddPartitionChange(r, offset); },
          [&](const v1::EntryRecord& r) {
            KVORUM_CHECK(r.version() == offset.value(), "entry {} at offset {} has version {}",
                         r.key(), offset, r.version());
            KVORUM_CHECK(
                values_.emplace(r.value(), offset).second,
                "invariant 24 ExactlyOnce: the write of {} at offset {} is committed twice",
                r.key(), offset);
            KVORUM_CHECK(
                !forbidden_values_.contains(r.value()),
                "invariant 25 DefiniteMeansAbsent: the refused write of {} is committed at "
                "offset {}",
                r.key(), offset);
            keys_[r.key()].push_back({.offset = offset, .value = r.value()});
          },
          [&](const v1::RemoveEntryRecord& r) {
            keys_[r.key()].push_back({.offset = offset, .value = std::nullopt});
          },
          // Settings and what is private have no second model here: equal state hashes judge them.
          [](const auto&) {},
      });
}

void RecordIndex::AddRegistration(const v1::RegisterBrokerRecord& record, Offset offset) {
  const v1::RegisterBrokerRecord* before = Registration(record.broker_epoch());
  const bool is_again = before != nullptr && before->broker_id() == record.broker_id() &&
                        before->incarnation_id() == record.incarnation_id();
  KVORUM_CHECK(is_again || record.broker_epoch() == offset.value(),
               "invariant 33 BrokerEpoch: registration at offset {} has epoch {}", offset,
               record.broker_epoch());
  const auto [newest, is_first] =
      newest_registration_.emplace(record.broker_id(), record.broker_epoch());
  KVORUM_CHECK(is_first || newest->second < record.broker_epoch() ||
                   (is_again && newest->second == record.broker_epoch()),
               "invariant 33 BrokerEpoch: broker {} went from epoch {} to {}", record.broker_id(),
               newest->second, record.broker_epoch());
  newest->second = record.broker_epoch();
  drained_.insert({record.broker_id(), record.drained()});
  registrations_.emplace(record.broker_epoch(), record);
}

void RecordIndex::AddPartition(const v1::PartitionRecord& partition, Offset offset) {
  KVORUM_CHECK(topics_.contains(partition.topic_id()), "partition of no topic at offset {}",
               offset);
  KVORUM_CHECK(partition.isr_size() > 0, "partition without in-sync replicas at offset {}", offset);
  grown_.insert({topics_.at(partition.topic_id()), partition.partition_index()});
  newest_partition_epoch_[{partition.topic_id(), partition.partition_index()}] =
      partition.partition_epoch();
  partitions_.emplace(
      PartitionKey(partition.topic_id(), partition.partition_index(), partition.partition_epoch()),
      partition);
}

void RecordIndex::AddPartitionChange(const v1::PartitionChangeRecord& change, Offset offset) {
  int32_t& newest = newest_partition_epoch_[{change.topic_id(), change.partition_index()}];
  const v1::PartitionRecord* before =
      PartitionAt(change.topic_id(), change.partition_index(), newest);
  KVORUM_CHECK(before != nullptr, "change of an unknown partition at offset {}", offset);
  KVORUM_CHECK(change.partition_epoch() == newest + 1,
               "partition epoch goes from {} to {} at offset {}", newest, change.partition_epoch(),
               offset);
  // Nobody in sync: nobody leads, and what is eligible (KIP-966) is out of sync.
  KVORUM_CHECK(change.leader() < 0 || std::find(change.isr().begin(), change.isr().end(),
                                                change.leader()) != change.isr().end(),
               "leader {} is not in sync at offset {}", change.leader(), offset);
  newest = change.partition_epoch();
  v1::PartitionRecord after = *before;
  if (!change.replicas().empty()) {
    *after.mutable_replicas() = change.replicas();
  }
  *after.mutable_adding_replicas() = change.adding_replicas();
  *after.mutable_removing_replicas() = change.removing_replicas();
  *after.mutable_eligible_leader_replicas() = change.eligible_leader_replicas();
  *after.mutable_last_known_elr() = change.last_known_elr();
  *after.mutable_isr() = change.isr();
  after.set_leader(change.leader());
  after.set_leader_epoch(change.leader_epoch());
  after.set_partition_epoch(change.partition_epoch());
  after.set_leader_recovery_state(change.leader_recovery_state());
  partitions_.emplace(
      PartitionKey(change.topic_id(), change.partition_index(), change.partition_epoch()),
      std::move(after));
}

void RecordIndex::ForbidValue(const std::string& value) {
  KVORUM_CHECK(!values_.contains(value),
               "invariant 25 DefiniteMeansAbsent: a write is refused that is committed at {}",
               values_.at(value));
  forbidden_values_.insert(value);
}

std::optional<Offset> RecordIndex::OffsetOfValue(const std::string& value) const {
  const auto it = values_.find(value);
  return it == values_.end() ? std::nullopt : std::optional(it->second);
}

const RecordIndex::KeyVersion* RecordIndex::KeyBelow(const std::string& key, Offset end) const {
  const auto it = keys_.find(key);
  if (it == keys_.end()) {
    return nullptr;
  }
  const auto above =
      std::partition_point(it->second.begin(), it->second.end(),
                           [end](const KeyVersion& version) { return version.offset < end; });
  return above == it->second.begin() ? nullptr : &*std::prev(above);
}

bool RecordIndex::RemovedSince(const std::string& key, Offset from) const {
  const auto it = keys_.find(key);
  return it != keys_.end() &&
         std::any_of(it->second.begin(), it->second.end(), [from](const KeyVersion& version) {
           return version.offset >= from && !version.value;
         });
}

const v1::RegisterBrokerRecord* RecordIndex::Registration(int64_t broker_epoch) const {
  const auto it = registrations_.find(broker_epoch);
  return it == registrations_.end() ? nullptr : &it->second;
}

bool RecordIndex::UnregisteredSince(int32_t id, Offset from) const {
  const auto it = unregistered_.find(id);
  return it != unregistered_.end() && !it->second.empty() && it->second.back() >= from;
}

const std::string* RecordIndex::TopicName(const std::string& topic_id) const {
  const auto it = topics_.find(topic_id);
  return it == topics_.end() ? nullptr : &it->second;
}

const v1::PartitionRecord* RecordIndex::PartitionAt(const std::string& topic_id, int32_t index,
                                                    int32_t partition_epoch) const {
  const auto it = partitions_.find({topic_id, index, partition_epoch});
  return it == partitions_.end() ? nullptr : &it->second;
}

}  // namespace kvorum::sim
