#include "server/metadata/requests/requests_image.h"

namespace kvorum {

RequestsCursor::RequestsCursor(const RequestsImage& image) : next_(image.by_offset.begin()) {}

bool RequestsCursor::Next(v1::MetadataRecord& record) {
  if (next_ == decltype(next_)()) {
    return false;
  }
  *record.mutable_completed_request() = *next_->value;
  ++next_;
  return true;
}

}  // namespace kvorum
