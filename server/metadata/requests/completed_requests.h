#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kvorum/v1/common.pb.h"
#include "kvorum/v1/record.pb.h"
#include "server/base/crc32c.h"
#include "server/base/ids.h"
#include "server/base/uuid.h"
#include "server/metadata/requests/requests_image.h"

namespace kvorum {

// How many completed requests are remembered, and for how long.
struct RequestRetention {
  size_t max_count = 100'000;
  int64_t max_age_ms = 15 * 60 * 1000;  // at least, by the clock of who forgets them
};
// One request among all that were ever sent: equal identity, the same request.
struct RequestIdentity {
  Uuid id;
  uint64_t body_hash = 0;
};
// Forgotten in one record at most, so that no single record takes long to apply.
inline constexpr size_t kMaxExpiredPerRecord = 512;

// The id of a mutation that wants to be carried out once, however often it is sent; nullopt: it has
// none. INVALID_REQUEST unless it is a UUID in its text form.
absl::StatusOr<std::optional<Uuid>> ParseRequestId(const v1::WriteOptions& options);

// What a retry must have in common with the first attempt: the kind of request and everything in it
// but its id and what it waits for.
template <typename Request>
uint64_t BodyHash(Request request) {
  v1::WriteOptions& options = *request.mutable_options();
  options.clear_request_id();
  options.clear_wait();
  options.clear_wait_timeout();
  options.clear_wait_count();
  options.clear_wait_broker_ids();
  const std::string& name = request.GetDescriptor()->full_name();
  return Hash64(request.SerializeAsString(), Hash64(name, 0));
}

// The request completed under `id`, or nullptr if there is none. REQUEST_ID_REUSED if
// it was another request.
absl::StatusOr<const v1::CompletedRequestRecord*> FindCompleted(const RequestsImage& image,
                                                                const Uuid& id, uint64_t body_hash);

// What remembers the request, for its own batch behind all other records. `own` is its own offset
// and epoch. POLICY_VIOLATION if the reply is too large to be kept: then nothing may be appended.
absl::StatusOr<v1::MetadataRecord> CompleteRequest(const RequestIdentity& identity,
                                                   std::string reply, const OffsetAndEpoch& own,
                                                   int64_t wall_ms);

// What forgets the oldest requests that are beyond `retention.max_count` with `added` more, or
// whose record is below `aged_below`, if there are any.
std::optional<v1::MetadataRecord> ExpireRequests(const RequestsImage& image,
                                                 const RequestRetention& retention, size_t added,
                                                 Offset aged_below);

}  // namespace kvorum
