#pragma once

#include <cstdint>
#include <memory>

#include "kvorum/v1/record.pb.h"
#include "server/base/ids.h"
#include "server/base/persistent_map.h"
#include "server/base/uuid.h"

namespace kvorum {

// Mutations that were carried out under a request_id, with their replies: what makes a retry safe.
// Private to controllers. Immutable once shared (held as shared_ptr<const RequestsImage>); any
// thread. Only RequestsDelta makes new ones.
struct RequestsImage {
  PersistentMap<Uuid, std::shared_ptr<const v1::CompletedRequestRecord>> by_id;
  // The same by the offset of the record: the order in which they expire.
  PersistentMap<Offset, std::shared_ptr<const v1::CompletedRequestRecord>> by_offset;
  uint64_t state_hash = 0;

  // The request completed under `id`, or nullptr.
  const v1::CompletedRequestRecord* Find(const Uuid& id) const {
    const auto* found = by_id.Find(id);
    return found == nullptr ? nullptr : found->get();
  }
};

// Turns an image back into records, oldest first. Borrows the image.
class RequestsCursor {
 public:
  explicit RequestsCursor(const RequestsImage& image);

  // Sets `record` to the next one; false at the end.
  bool Next(v1::MetadataRecord& record);

 private:
  decltype(RequestsImage::by_offset)::const_iterator next_;
};

}  // namespace kvorum
