#include "server/metadata/requests/requests_delta.h"

#include <optional>
#include <utility>

#include "server/base/check.h"
#include "server/metadata/entity_hash.h"

namespace kvorum {
namespace {

uint64_t HashOf(const v1::CompletedRequestRecord& record) {
  return EntityHash(v1::MetadataRecord::kCompletedRequest, record);
}

}  // namespace

RequestsDelta::RequestsDelta(std::shared_ptr<const RequestsImage> base)
    : base_(std::move(base)), image_(*base_) {}

void RequestsDelta::Replay(const v1::CompletedRequestRecord& record, Offset offset) {
  base_.reset();
  const std::optional<Uuid> id = Uuid::FromBytes(record.request_id());
  KVORUM_CHECK(id.has_value(), "offset {}: {}", offset, record.ShortDebugString());
  KVORUM_CHECK(image_.Find(*id) == nullptr, "offset {}: request {} completed twice", offset, *id);
  KVORUM_CHECK(record.offset() <= offset.value(), "offset {}: {}", offset,
               record.ShortDebugString());
  auto shared = std::make_shared<const v1::CompletedRequestRecord>(record);
  image_.by_offset.Insert(Offset(record.offset()), shared);
  image_.by_id.Insert(*id, std::move(shared));
  image_.state_hash += HashOf(record);
}

void RequestsDelta::Replay(const v1::ExpireRequestsRecord& record, Offset offset) {
  base_.reset();
  KVORUM_CHECK(record.below_offset() <= offset.value(), "offset {}: {}", offset,
               record.ShortDebugString());
  while (!image_.by_offset.empty() &&
         image_.by_offset.begin()->key < Offset(record.below_offset())) {
    const auto oldest = image_.by_offset.begin()->value;  // shared: it outlives both entries
    image_.state_hash -= HashOf(*oldest);
    image_.by_id.Erase(*Uuid::FromBytes(oldest->request_id()));
    image_.by_offset.Erase(Offset(oldest->offset()));
  }
}

std::shared_ptr<const RequestsImage> RequestsDelta::Apply() const {
  return base_ != nullptr ? base_ : std::make_shared<const RequestsImage>(image_);
}

}  // namespace kvorum
