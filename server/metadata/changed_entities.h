#pragma once

#include <cstdint>
#include <vector>

#include "kvorum/v1/record.pb.h"
#include "server/metadata/metadata_image.h"

namespace kvorum {

// What WriteOptions.if_unchanged_since compares: the things that records write to, coarse enough to
// be what a caller reads before it decides. A topic with all its partitions; a name that a topic
// has or had; all configs of a resource; a quota's entity; the access control of a resource
// pattern; a user's credentials; a feature; the producer ids; a broker; an entry.
//
// A hash names an entity: two that share one make a needless refusal, never a wrong acceptance.
using EntityId = uint64_t;

// Those that `record` writes to, added to `entities`. `before`: the image it is written on.
void AddChangedEntities(const v1::MetadataRecord& record, const MetadataImage& before,
                        std::vector<EntityId>& entities);

}  // namespace kvorum
