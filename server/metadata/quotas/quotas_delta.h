#pragma once

#include <memory>

#include "kvorum/v1/record.pb.h"
#include "server/base/ids.h"
#include "server/metadata/quotas/quotas_image.h"

namespace kvorum {

// A change over a QuotasImage. Owned by MetadataDelta; its thread.
class QuotasDelta {
 public:
  using Image = QuotasImage;
  using Cursor = QuotasCursor;

  explicit QuotasDelta(std::shared_ptr<const QuotasImage> base);

  void Replay(const v1::ClientQuotaRecord& record, Offset offset);
  void Replay(const v1::RemoveClientQuotaRecord& record, Offset offset);

  // The base itself while nothing was replayed.
  std::shared_ptr<const QuotasImage> Apply() const;

 private:
  void Replace(std::shared_ptr<const ClientQuota> quota);

  // Released by the first change, before it: if nobody else holds the base, its nodes are then
  // changed in place instead of copied.
  std::shared_ptr<const QuotasImage> base_;
  QuotasImage image_;  // a copy of the base's, sharing its nodes
};

}  // namespace kvorum
