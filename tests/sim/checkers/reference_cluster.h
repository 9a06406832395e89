#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "kvorum/v1/broker.pb.h"
#include "kvorum/v1/feature.pb.h"
#include "kvorum/v1/record.pb.h"
#include "kvorum/v1/topic.pb.h"
#include "server/base/ids.h"
#include "server/metadata/metadata_image.h"
#include "tests/sim/checkers/reference_partition.h"
#include "tests/sim/event_log.h"

namespace kvorum::sim {

// Invariant 43: `what` says what is not so.
void RequireModel(bool holds, const std::string& what);

// The half of ReferenceModel where what happens is not told by operations alone: brokers, features
// and topics with their partitions. What an operation makes of a partition is taken from the log,
// and must obey the rules of reference_partition.h; and each change must belong to the operation
// that asked for it, or to a broker that comes, goes or leads. Owned by ReferenceModel.
class ReferenceCluster {
 public:
  using ResourceName = std::pair<int, std::string>;  // its type and name
  using Configs = std::map<ResourceName, std::map<std::string, std::string>>;

  // `configs` are read at every change.
  ReferenceCluster(const Configs& configs, EventLog& log) : configs_(configs), log_(log) {}

  // One commit of operations, in their order between these two: each takes the changes of
  // partitions that it asked for, and in the end none is left.
  void BeginCommit(const std::vector<v1::MetadataRecord>& records, bool is_transaction);
  void EndCommit();

  void CreateTopic(const v1::CreateTopicsResponse::Result& result);
  void Grow(const v1::CreatePartitionsRequest::Item& item,
            const v1::CreatePartitionsResponse::Result& result);
  void RemoveTopic(const std::string& name);
  void Elect(const v1::ElectLeadersRequest& request, const v1::ElectLeadersResponse& response);
  void Move(const v1::AlterPartitionReassignmentsRequest& request,
            const v1::AlterPartitionReassignmentsResponse& response);
  void Drain(int32_t broker, const v1::DrainBrokerResponse& response);
  void Undrain(int32_t broker);
  void Unregister(int32_t broker);
  void UpdateFeatures(const v1::UpdateFeaturesRequest& request);
  // Before and after a change of configs, which has effects where it changes this: what is in
  // effect for each topic.
  std::map<std::string, size_t> MinInsync() const;
  void ClearEligible(const std::map<std::string, size_t>& before,
                     const std::map<std::string, size_t>& after);

  // A commit that belongs to no operation of DomainClient; what is none of these is passed over.
  void ApplyForeign(const std::vector<v1::MetadataRecord>& records, Offset from);

  bool HasTopic(const std::string& name) const;
  // The broker is registered with that epoch and unfenced.
  bool HasSession(int32_t broker, int64_t epoch) const;
  bool HasFeatures() const;  // finalized ones, or of brokers
  int32_t metadata_level() const { return LevelOf("metadata.version"); }

  // The first difference to `image`, in words; empty: none.
  std::string Compare(const MetadataImage& image) const;

 private:
  struct Broker {
    std::string incarnation;
    int64_t epoch = 0;
    bool is_fenced = true;
    bool is_leaving = false;
    bool is_drained = false;
    std::map<std::string, std::pair<int32_t, int32_t>> features;

    friend bool operator==(const Broker&, const Broker&) = default;
  };
  struct Topic {
    std::string name;
    std::vector<ReferencePartition> partitions;
  };

  // Topics so large that nothing but their existence is followed.
  static bool IsFollowed(const std::string& name) { return !name.starts_with("large-"); }

  Topic* Find(const std::string& name);
  size_t MinInsyncOf(const std::string& topic) const;
  bool IsUncleanAllowed(const std::string& topic) const;
  int32_t LevelOf(const std::string& feature) const;
  std::set<int32_t> ActiveBrokers() const;
  ChangeCause MakeCause() const;
  ReferencePartition NewPartition(const Ids& replicas) const;

  // Of the change that comes next; null: there is none.
  const v1::PartitionChangeRecord* NextChange() const;
  const ReferencePartition* NextBefore();
  // Takes it. `cause.min_insync` is filled in.
  // REQUIRES: there is one.
  void TakeChange(ChangeCause cause);
  void Change(const v1::PartitionChangeRecord& record, ChangeCause cause);
  void NoteMarks(const ReferencePartition& before, const ReferencePartition& after,
                 const ChangeCause& cause);
  // The change that `info`, a result, tells of; `may_be_none`: or it says how it was.
  void TakeTold(const std::string& topic_id, const v1::PartitionInfo& info,
                const ChangeCause& cause, bool may_be_none);
  ReferencePartition* FindPartition(const std::string& topic_id, int32_t index);

  void Apply(const v1::RegisterBrokerRecord& record, Offset offset);
  void Apply(const v1::BrokerRegistrationChangeRecord& record);
  void Apply(const v1::PartitionRecord& record);
  // Who leaves by these records, and how.
  ChangeCause CauseOf(const std::vector<v1::MetadataRecord>& records) const;
  void RequireInNoList(int32_t broker) const;

  std::string CompareBrokers(const MetadataImage& image) const;
  std::string CompareTopics(const MetadataImage& image) const;

  const Configs& configs_;
  EventLog& log_;
  std::map<int32_t, Broker> brokers_;
  std::map<std::string, int32_t> features_;
  std::map<std::string, Topic> topics_;  // by id, bytes
  std::deque<v1::PartitionChangeRecord> changes_;
};

}  // namespace kvorum::sim
