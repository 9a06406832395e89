#pragma once

#include <map>
#include <string>
#include <string_view>

#include "kvorum/v1/record.pb.h"
#include "kvorum/v1/stream.pb.h"

namespace kvorum::sim {

// The kind that subscribers know `record` by; empty: it is never on a stream.
std::string_view KindOf(const v1::MetadataRecord& record);

// Metadata as the simplest program would keep it: a name for each thing, and the record that makes
// it. Of a part of the metadata just as of the whole. Plain value.
class Things {
 public:
  // What `record` makes, changes or removes; KVORUM_CHECKs that what it changes is there. `who`:
  // for messages.
  void Apply(const v1::MetadataRecord& record, const std::string& who);
  // `scope` is told of no more.
  void Forget(const v1::LeftScope& scope);

  size_t size() const { return by_name_.size(); }
  // Whether the thing that `record` makes is there, just as it says.
  bool Has(const v1::MetadataRecord& record) const;
  // A name that is in one of both only, or that differs; empty: they are equal.
  std::string DifferenceTo(const Things& other) const;

 private:
  void RemoveTopic(const std::string& topic_id, const std::string& topic_name);
  void ErasePrefix(const std::string& prefix);
  v1::MetadataRecord Find(const std::string& name, const std::string& who) const;

  std::map<std::string, std::string> by_name_;
};

}  // namespace kvorum::sim
