#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <vector>

#include "absl/status/status.h"
#include "kvorum/v1/record.pb.h"
#include "server/base/ids.h"
#include "server/metadata/changed_entities.h"
#include "server/metadata/metadata_image.h"

namespace kvorum::controller {

// When what was last written to, for WriteOptions.if_unchanged_since: of everything appended since
// this controller took office, or of the last 100,000 changes. Soft state: what it does not know
// any more is refused, never accepted. Owned by ActiveController; loop thread only. Deterministic.
class RecentChanges {
 public:
  explicit RecentChanges(size_t max_changes) : max_changes_(max_changes) {}

  // Nothing is known of what was written below `offset`.
  void Reset(Offset offset);

  // `record` is written at `offset` on `before`. In the order of the log.
  void Note(const v1::MetadataRecord& record, Offset offset, const MetadataImage& before);

  // OK if nothing that `records`, planned on `image`, write to was written to at or after `since`.
  // Else INVALID_UPDATE_VERSION.
  absl::Status CheckUnchanged(const std::vector<v1::MetadataRecord>& records,
                              const MetadataImage& image, Offset since) const;

  size_t size() const { return last_.size(); }

 private:
  struct Change {
    Offset offset;
    EntityId entity;
  };

  const size_t max_changes_;
  Offset floor_;                     // changes at or above it are known
  std::map<EntityId, Offset> last_;  // of each entity's last change
  std::deque<Change> order_;         // those, and the ones before them, by offset
  std::vector<EntityId> entities_;   // scratch
};

}  // namespace kvorum::controller
