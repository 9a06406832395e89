#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kvorum/v1/record.pb.h"
#include "server/base/ids.h"
#include "server/base/random.h"
#include "server/metadata/limits.h"
#include "server/metadata/metadata_image.h"
#include "server/metadata/metadata_level.h"

namespace kvorum {

// Soft state of the active controller about brokers, never in records (KIP-631). Implemented by the
// controller; loop thread only.
class BrokerLiveness {
 public:
  virtual ~BrokerLiveness() = default;

  // True while the broker's last heartbeat is younger than the session timeout.
  virtual bool HasLiveSession(BrokerId broker) const = 0;
  // True if that session's process is known to be gone, and nothing was heard of it since.
  virtual bool IsKnownGone(BrokerId /*broker*/) const { return false; }
  // Exclusive end of what the broker said it has applied; nullopt: unknown.
  virtual std::optional<Offset> AppliedOffset(BrokerId broker) const = 0;
  virtual std::optional<int64_t> HeartbeatAgeMs(BrokerId broker) const = 0;
  // What the broker last said it could not apply; empty: nothing.
  virtual std::string LastRejection(BrokerId broker) const = 0;
};

// What a mutating command may look at. Borrowed for the call.
struct CommandContext {
  const MetadataImage& image;  // `latest`: with everything appended so far
  Offset next_offset;          // what the first record of this command will get
  int64_t wall_ms = 0;         // Unix milliseconds; for records that carry a time
  Random& random;              // for topic ids and placement
  const BrokerLiveness& liveness;
  // All of them, for what the whole quorum must understand. Few commands ask, so it is a question.
  std::function<std::vector<VoterLevels>()> voters;
  MetadataLimits limits = {};
};

// Decided facts and the reply, whose header is the node's to fill. Without records the reply waits
// for everything appended so far, since it was decided on it.
template <typename Response>
struct CommandResult {
  std::vector<v1::MetadataRecord> records;
  Response response;
  // True: the records are one commit and fit one batch. False: they may be cut at any point
  // (SplitIntoBatches), each prefix being a valid state.
  bool is_atomic = true;
};

// What a read may look at. Borrowed for the call.
struct QueryContext {
  const MetadataImage& image;
  const BrokerLiveness* liveness = nullptr;  // null where it is not known (standbys)
};

// The commands and queries are overload sets over the request type, one function each, in
// */*_commands.h; commands.h includes them all:
//   absl::StatusOr<CommandResult<v1::PutEntryResponse>> Execute(const CommandContext&,
//                                                               const v1::PutEntryRequest&);
//   absl::StatusOr<v1::GetEntryResponse> Query(const QueryContext&, const v1::GetEntryRequest&);
// Pure: the image, the request and the random stream decide. An error appends nothing.

}  // namespace kvorum
