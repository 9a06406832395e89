#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "server/base/ids.h"
#include "server/controller/commands.h"
#include "server/metadata/metadata_image.h"

namespace kvorum::sim {

// What the metadata must be after the operations of DomainClient, in maps of texts and numbers that
// anybody can follow: no code of the product but its messages. Operations are applied in the order
// of the committed log, each with the reply that was stored beside it; an operation that the reply
// says was carried out must also have been possible. What others do to the same things (sessions
// that end, brokers that come and go) is applied as the facts that the log holds. Owned by
// ModelChecker.
class ReferenceModel {
 public:
  // `command` was committed and answered with `reply`; its first record is at `from`.
  void Apply(const controller::Command& command, const controller::CommandReply& reply,
             Offset from);

  // A committed record that belongs to no operation of DomainClient.
  void ApplyForeign(const v1::MetadataRecord& record);

  // The first difference to `image`, in words; empty: they are the same in all that this model
  // knows.
  std::string Compare(const MetadataImage& image) const;

  // What DomainClient owns: topics and entries by these names, and all of the other domains.
  static bool IsOwnTopic(const std::string& name) { return name.starts_with("model-"); }
  static bool IsOwnKey(const std::string& key) { return key.starts_with("model/"); }

  // As it is now, for who draws operations; 0: no such key.
  int64_t VersionOf(const std::string& name_space, const std::string& key) const;

 private:
  class Applier;
  struct Entry {
    std::string value;
    int64_t version = 0;
    bool is_owned = false;
  };
  struct Topic {
    std::string id;
    int32_t partitions = 0;
  };
  using EntryName = std::pair<std::string, std::string>;
  using ResourceName = std::pair<int, std::string>;  // its type and name

  // Equal entities (bindings) have equal texts.
  static std::string TextOf(const google::protobuf::RepeatedPtrField<v1::QuotaEntity>& entity);
  static std::string TextOf(const v1::AclBinding& binding);

  std::string CompareEntries(const MetadataImage& image) const;
  std::string CompareConfigs(const MetadataImage& image) const;
  std::string CompareQuotas(const MetadataImage& image) const;
  std::string CompareAccess(const MetadataImage& image) const;
  std::string CompareTopics(const MetadataImage& image) const;
  std::string CompareBrokers(const MetadataImage& image) const;

  std::map<EntryName, Entry> entries_;
  std::map<EntryName, Offset> entry_changes_;  // the last write, deletions too
  std::map<ResourceName, std::map<std::string, std::string>> configs_;
  std::map<std::string, std::map<std::string, double>> quotas_;  // by the entity's text
  std::map<std::string, std::string> acls_;                      // binding's text to id
  std::map<std::pair<std::string, int>, int> credentials_;       // user and mechanism to iterations
  std::map<std::string, Topic> topics_;
  std::set<int32_t> drained_;
  int64_t next_producer_id_ = 0;
};

}  // namespace kvorum::sim
