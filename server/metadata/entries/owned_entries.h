#pragma once

#include <vector>

#include "kvorum/v1/record.pb.h"
#include "server/base/ids.h"
#include "server/metadata/metadata_image.h"

namespace kvorum {

// The records that remove what lives with the broker's session, by namespace and key. Whoever ends
// a session (fences, unregisters, or registers a new incarnation) puts them right before the record
// that does, so that they are in its batch.
std::vector<v1::MetadataRecord> RemoveOwnedEntries(const MetadataImage& image, BrokerId owner);

}  // namespace kvorum
