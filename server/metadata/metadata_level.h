#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "kvorum/v1/record.pb.h"
#include "server/base/ids.h"
#include "server/metadata/metadata_image.h"

namespace kvorum {

// The level of the log's own language, feature "metadata.version". A record is only written when
// the finalized level has it, so that no controller or broker meets one that it does not know.
//   1  brokers, topics, partitions, entries: what a log without any level has
//   2  configs, quotas, access control, credentials, features, producer ids; brokers' features,
//      entries' namespaces and owners
//   3  the reasons that mutations are sent with
inline constexpr char kMetadataVersionFeature[] = "metadata.version";
inline constexpr int32_t kMinMetadataLevel = 1;
inline constexpr int32_t kMaxMetadataLevel = 3;

// The levels of kMetadataVersionFeature that a process can work with. Plain value.
struct LevelRange {
  int32_t min = kMinMetadataLevel;
  int32_t max = kMaxMetadataLevel;

  bool Contains(int32_t level) const { return level >= min && level <= max; }
  friend constexpr bool operator==(const LevelRange&, const LevelRange&) = default;
};

// What one voter said about itself; nullopt: nothing yet.
struct VoterLevels {
  NodeId node_id;
  std::optional<LevelRange> levels;
};

// The lowest level whose readers know `record` with all its fields. The only table of it: a new
// kind of record, or a new field, is added here.
int32_t MinMetadataLevel(const v1::MetadataRecord& record);

// OK if `level`, or what the records before it set, has each of `records`. Else
// UNSUPPORTED_VERSION.
absl::Status CheckLevelAllows(const std::vector<v1::MetadataRecord>& records, int32_t level);

// The lowest level that could hold `image`: what a downgrade must not go below. Counts domains and
// brokers, not what is in them.
int32_t MetadataLevelInUse(const MetadataImage& image);

}  // namespace kvorum
