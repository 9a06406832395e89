#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "kvorum/v1/record.pb.h"
#include "server/base/ids.h"

namespace kvorum::sim {

// Committed records by what a client can name: an independent, much simpler model of the metadata
// than the server's own. Checks on arrival what must hold of every record (invariant 33). Owned by
// the ghost log; one thread.
class RecordIndex {
 public:
  struct KeyVersion {
    Offset offset;
    std::optional<std::string> value;  // nullopt: removed
  };

  void Add(const v1::MetadataRecord& record, Offset offset);

  // A write that was definitely refused: its value must never be committed (invariant 25).
  void ForbidValue(const std::string& value);

  // What wrote `value`, if it is committed; values are unique in a run.
  std::optional<Offset> OffsetOfValue(const std::string& value) const;
  // The state of `key` in the log below `end`; nullptr: never written.
  const KeyVersion* KeyBelow(const std::string& key, Offset end) const;
  // True if `key` was removed at or above `from`.
  bool RemovedSince(const std::string& key, Offset from) const;

  const v1::RegisterBrokerRecord* Registration(int64_t broker_epoch) const;
  // True if broker `id` was unregistered at or above `from`.
  bool UnregisteredSince(int32_t id, Offset from) const;
  // True if broker `id` was ever drained (undrained), by a registration or a change of one.
  bool WasDrained(int32_t id, bool drained) const { return drained_.contains({id, drained}); }
  // The topic's name; nullptr: no such topic was ever created.
  const std::string* TopicName(const std::string& topic_id) const;
  bool NameWasCreated(const std::string& name) const { return names_.contains(name); }
  bool WasRemoved(const std::string& topic_id) const { return removed_.contains(topic_id); }
  // True if a topic of that name ever had the partition.
  bool HasPartition(const std::string& name, int32_t index) const {
    return grown_.contains({name, index});
  }
  // The partition at the given partition epoch; nullptr: it never had that.
  const v1::PartitionRecord* PartitionAt(const std::string& topic_id, int32_t index,
                                         int32_t partition_epoch) const;

 private:
  using PartitionKey = std::tuple<std::string, int32_t, int32_t>;

  void AddRegistration(const v1::RegisterBrokerRecord& record, Offset offset);
  void AddPartition(const v1::PartitionRecord& partition, Offset offset);
  void AddPartitionChange(const v1::PartitionChangeRecord& change, Offset offset);

  std::map<std::string, Offset> values_;
  std::set<std::string> forbidden_values_;
  std::map<std::string, std::vector<KeyVersion>> keys_;
  std::map<int64_t, v1::RegisterBrokerRecord> registrations_;
  std::map<int32_t, int64_t> newest_registration_;
  std::map<int32_t, std::vector<Offset>> unregistered_;
  std::set<std::pair<int32_t, bool>> drained_;
  std::map<std::string, std::string> topics_;  // id -> name, also of removed ones
  std::map<std::string, Offset> names_;
  std::map<std::string, Offset> removed_;
  std::set<std::pair<std::string, int32_t>> grown_;  // by name
  std::map<PartitionKey, v1::PartitionRecord> partitions_;
  std::map<std::pair<std::string, int32_t>, int32_t> newest_partition_epoch_;
};

}  // namespace kvorum::sim
