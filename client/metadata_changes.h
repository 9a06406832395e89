#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <utility>

#include "kvorum/v1/record.pb.h"
#include "kvorum/v1/stream.pb.h"

namespace kvorum::client {

// What a commit changed in a MetadataCache, by name: what is of interest is looked up in
// `cache.Snapshot()`, where what was removed is not there any more.
struct MetadataChanges {
  v1::Position position;    // the cache has everything below
  bool everything = false;  // a snapshot replaced it all; the sets below are empty
  std::set<int32_t> brokers;
  std::set<std::string> topics;                           // by name; also for their partitions
  std::set<std::pair<std::string, std::string>> entries;  // namespace and key
  bool settings = false;  // configs, quotas, access control, credentials, features, producer ids

  bool empty() const {
    return !everything && brokers.empty() && topics.empty() && entries.empty() && !settings;
  }
};

// The name of the topic with this id; empty: there is none.
using TopicNameOf = std::function<std::string(const std::string& topic_id)>;

// Adds what `record`, which is applied already, is about.
void AddChange(const v1::MetadataRecord& record, const TopicNameOf& name_of,
               MetadataChanges& changes);

}  // namespace kvorum::client
