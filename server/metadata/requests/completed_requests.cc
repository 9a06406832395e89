#include "server/metadata/requests/completed_requests.h"

#include <fmt/format.h>

#include <utility>

#include "server/base/errors.h"
#include "server/metadata/record_codec.h"

namespace kvorum {
namespace {

// Room for the other fields, and for the other private records.
constexpr size_t kMaxStoredReplyBytes = kMaxPrivateBytes - 4096;

}  // namespace

absl::StatusOr<std::optional<Uuid>> ParseRequestId(const v1::WriteOptions& options) {
  if (options.request_id().empty()) {
    return std::optional<Uuid>();
  }
  const std::optional<Uuid> id = Uuid::Parse(options.request_id());
  if (!id.has_value() || id->is_zero()) {
    return MakeError(ErrorReason::kInvalidRequest,
                     fmt::format("options.request_id of {} bytes is no UUID; draw a random one, "
                                 "like 6f6f3a1c-2f0d-4a53-9a55-0f0a4d1f2b01",
                                 options.request_id().size()));
  }
  return id;
}

absl::StatusOr<const v1::CompletedRequestRecord*> FindCompleted(const RequestsImage& image,
                                                                const Uuid& id,
                                                                uint64_t body_hash) {
  const v1::CompletedRequestRecord* completed = image.Find(id);
  if (completed != nullptr && completed->body_hash() != body_hash) {
    return MakeError(ErrorReason::kRequestIdReused,
                     fmt::format("request_id {} was used for another request, completed at offset "
                                 "{}; draw a new one for each request",
                                 id, completed->offset()));
  }
  return completed;
}

absl::StatusOr<v1::MetadataRecord> CompleteRequest(const RequestIdentity& identity,
                                                   std::string reply, const OffsetAndEpoch& own,
                                                   int64_t wall_ms) {
  if (reply.size() > kMaxStoredReplyBytes) {
    return MakeError(ErrorReason::kPolicyViolation,
                     fmt::format("the reply of {} bytes is too large to be kept for a retry, at "
                                 "most {} are; split the request or send it without request_id",
                                 reply.size(), kMaxStoredReplyBytes));
  }
  v1::MetadataRecord record;
  v1::CompletedRequestRecord& completed = *record.mutable_completed_request();
  completed.set_request_id(identity.id.ToBytes());
  completed.set_body_hash(identity.body_hash);
  completed.set_reply(std::move(reply));
  completed.set_offset(own.offset.value());
  completed.set_epoch(own.epoch.value());
  completed.set_completed_ms(wall_ms);
  return record;
}

std::optional<v1::MetadataRecord> ExpireRequests(const RequestsImage& image,
                                                 const RequestRetention& retention, size_t added,
                                                 Offset aged_below) {
  const size_t count = image.by_offset.size() + added;
  size_t surplus = count > retention.max_count ? count - retention.max_count : 0;
  std::optional<int64_t> last;
  size_t expired = 0;
  for (const auto& entry : image.by_offset) {
    const bool is_old = entry.key < aged_below;
    if ((surplus == 0 && !is_old) || expired == kMaxExpiredPerRecord) {
      break;
    }
    last = entry.value->offset();
    surplus -= surplus > 0 ? 1 : 0;
    ++expired;
  }
  if (!last.has_value()) {
    return std::nullopt;
  }
  v1::MetadataRecord record;
  record.mutable_expire_requests()->set_below_offset(*last + 1);
  return record;
}

}  // namespace kvorum
