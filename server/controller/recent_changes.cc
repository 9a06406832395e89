#include "server/controller/recent_changes.h"

#include <fmt/format.h>

#include "server/base/errors.h"
#include "server/base/mutants.h"

namespace kvorum::controller {

void RecentChanges::Reset(Offset offset) {
  floor_ = offset;
  last_.clear();
  order_.clear();
}

void RecentChanges::Note(const v1::MetadataRecord& record, Offset offset,
                         const MetadataImage& before) {
  entities_.clear();
  AddChangedEntities(record, before, entities_);
  for (const EntityId entity : entities_) {
    // Thousands of partitions of one topic follow each other.
    if (!order_.empty() && order_.back().entity == entity) {
      order_.back().offset = offset;
    } else {
      order_.push_back({offset, entity});
    }
    last_[entity] = offset;
  }
  while (order_.size() > max_changes_) {
    const Change& oldest = order_.front();
    const auto last = last_.find(oldest.entity);
    if (last != last_.end() && last->second == oldest.offset) {
      last_.erase(last);
      floor_ = oldest.offset + 1;
    }
    order_.pop_front();
  }
}

absl::Status RecentChanges::CheckUnchanged(const std::vector<v1::MetadataRecord>& records,
                                           const MetadataImage& image, Offset since) const {
  std::vector<EntityId> entities;
  for (const v1::MetadataRecord& record : records) {
    AddChangedEntities(record, image, entities);
  }
  for (const EntityId entity : entities) {
    if (since < floor_) {
      return MakeError(
          ErrorReason::kInvalidUpdateVersion,
          fmt::format("if_unchanged_since is offset {}, but this controller knows only what was "
                      "written since {}; read again and decide anew",
                      since, floor_));
    }
    const auto last = last_.find(entity);
    if (last != last_.end() && last->second >= since && !KVORUM_MUTANT(ChangeOverlooked)) {
      return MakeError(
          ErrorReason::kInvalidUpdateVersion,
          fmt::format("something that the request writes to was written to at offset {}, and "
                      "if_unchanged_since is {}; read again and decide anew",
                      last->second, since));
    }
  }
  return absl::OkStatus();
}

}  // namespace kvorum::controller
