#pragma once

#include <cstdint>

#include "kvorum/v1/record.pb.h"
#include "server/base/crc32c.h"

namespace kvorum {

// An entity's share in the state hash: of the record that would create it as it is, under the
// number of its kind, so that equal bytes of two kinds differ. Records hold no maps, so their
// encoding is the same on every node.
template <typename Record>
uint64_t EntityHash(v1::MetadataRecord::RecordCase kind, const Record& record) {
  return Hash64(record.SerializeAsString(), static_cast<uint64_t>(kind));
}

}  // namespace kvorum
