#pragma once

#include <memory>

#include "kvorum/v1/record.pb.h"
#include "server/base/ids.h"
#include "server/metadata/requests/requests_image.h"

namespace kvorum {

// A change over a RequestsImage. Owned by MetadataDelta; its thread.
class RequestsDelta {
 public:
  using Image = RequestsImage;
  using Cursor = RequestsCursor;

  explicit RequestsDelta(std::shared_ptr<const RequestsImage> base);

  void Replay(const v1::CompletedRequestRecord& record, Offset offset);
  void Replay(const v1::ExpireRequestsRecord& record, Offset offset);

  // The base itself while nothing was replayed.
  std::shared_ptr<const RequestsImage> Apply() const;

 private:
  // Released by the first change, before it: if nobody else holds the base, its nodes are then
  // changed in place instead of copied.
  std::shared_ptr<const RequestsImage> base_;
  RequestsImage image_;  // a copy of the base's, sharing its nodes
};

}  // namespace kvorum
