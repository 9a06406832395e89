#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "server/base/ids.h"
#include "server/controller/commands.h"
#include "server/metadata/metadata_image.h"
#include "tests/sim/checkers/reference_cluster.h"
#include "tests/sim/event_log.h"

namespace kvorum::sim {

// What the metadata must be after the operations of DomainClient, in maps of texts and numbers that
// anybody can follow: no code of the product but its messages. Operations are applied in the order
// of the committed log, each with the reply that was stored beside it; an operation that the reply
// says was carried out must also have been possible. What others do to the same things (sessions
// that end, brokers that come and go) is applied as the facts that the log holds, and so is who
// leads which partition: ReferenceCluster has the rules that such facts obey. Owned by
// ModelChecker.
class ReferenceModel {
 public:
  explicit ReferenceModel(EventLog& log) : cluster_(configs_, log) {}
  ReferenceModel(const ReferenceModel&) = delete;
  ReferenceModel& operator=(const ReferenceModel&) = delete;

  // `command` was committed by `records`, the first at `from`, and answered with `reply`.
  void Apply(const controller::Command& command, const controller::CommandReply& reply,
             const std::vector<v1::MetadataRecord>& records, Offset from);

  // Committed records, the first at `from`, that belong to no operation of DomainClient.
  void ApplyForeign(const std::vector<v1::MetadataRecord>& records, Offset from);

  // The first difference to `image`, in words; empty: they are the same in all that this model
  // knows.
  std::string Compare(const MetadataImage& image) const;

  // What DomainClient owns: topics and entries by these names, and settings of all kinds.
  static bool IsOwnTopic(const std::string& name) { return name.starts_with("model-"); }
  static bool IsOwnKey(const std::string& key) { return key.starts_with("model/"); }

  // As it is now, for who draws operations; 0: no such key.
  int64_t VersionOf(const std::string& name_space, const std::string& key) const;

 private:
  class Applier;
  struct Entry {
    std::string value;
    int64_t version = 0;
    int32_t owner = -1;  // a broker, of that epoch
    int64_t owner_epoch = 0;
  };
  using EntryName = std::pair<std::string, std::string>;

  // Equal entities (bindings) have equal texts.
  static std::string TextOf(const google::protobuf::RepeatedPtrField<v1::QuotaEntity>& entity);
  static std::string TextOf(const v1::AclBinding& binding);

  std::string CompareEntries(const MetadataImage& image) const;
  std::string CompareConfigs(const MetadataImage& image) const;
  std::string CompareQuotas(const MetadataImage& image) const;
  std::string CompareAccess(const MetadataImage& image) const;
  std::string CompareProducerIds(const MetadataImage& image) const;

  void ApplyForeign(const v1::MetadataRecord& record);
  // Nothing is written that the finalized metadata.version, or that of a record before, has not.
  void RequireLevels(const std::vector<v1::MetadataRecord>& records) const;
  // What the first level does not have is not there.
  bool IsPlain() const;

  std::map<EntryName, Entry> entries_;
  std::map<EntryName, Offset> entry_changes_;  // the last write, deletions too
  ReferenceCluster::Configs configs_;
  ReferenceCluster cluster_;
  std::map<std::string, std::map<std::string, double>> quotas_;  // by the entity's text
  std::map<std::string, std::string> acls_;                      // binding's text to id
  std::map<std::pair<std::string, int>, int> credentials_;       // user and mechanism to iterations
  int64_t next_producer_id_ = 0;
};

}  // namespace kvorum::sim
