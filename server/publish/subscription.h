#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/base/ids.h"
#include "server/base/time.h"
#include "server/metadata/image_writer.h"
#include "server/publish/committed_tail.h"
#include "server/publish/filtered_chunker.h"
#include "server/publish/filtered_tail.h"
#include "server/publish/subscriber_sink.h"

namespace kvorum::publish {

using SubscriptionId = StrongInt<struct SubscriptionIdTag, uint64_t>;

// One subscriber's cursor and nothing more: what it has been sent so far, and what the next message
// is made from. Owned by UpdatePublisher; publish loop only.
struct Subscription {
  enum class Phase {
    kLocating,    // waits until this node has applied as much as the subscriber
    kSnapshot,    // chunks of one immutable image
    kReadingLog,  // waits for batches that are older than the ring
    kTail,        // commits, from `backlog` and then the ring (its own, with a filter)
    kGoingAway,   // GoAway is out or about to be; closes when it was taken
    kEnding,      // was too slow: closes with `end` when what is on its way was taken
  };

  SubscriptionId id;
  SubscriberSink* sink = nullptr;
  std::string subscriber;  // for logs and people
  Phase phase = Phase::kLocating;
  bool ready = true;     // no delivery outstanding
  bool greeted = false;  // Hello is out or in the preamble
  bool go_away_sent = false;
  bool wants_snapshot = false;
  bool wants_leader = false;                         // to be served by the leader only
  std::shared_ptr<const SubscriptionFilter> filter;  // null: everything
  bool filter_changed = false;       // what the subscriber has was made with another one
  FilteredTail* filtered = nullptr;  // of `filter`, once located; owned by UpdatePublisher

  OffsetAndEpoch position;                          // everything below has been put into deliveries
  std::vector<EncodedUpdate> preamble;              // Hello, Reset: go out before anything else
  std::optional<ImageChunker> chunker;              // holds the image of the snapshot
  std::optional<FilteredChunker> filtered_chunker;  // instead, with a filter
  std::optional<EncodedUpdate> chunk;               // did not fit the message before
  OffsetAndEpoch snapshot_position;
  std::deque<TailEntryPtr> backlog;  // from the log; bounded by one read
  TailEntryPtr current;              // the next commit; partly sent if next_part > 0
  size_t next_part = 0;
  bool confirming_end = false;

  // Rides with the next commits; goes alone if they do not come in time.
  enum class Bookmark { kSent, kDue, kOverdue } bookmark = Bookmark::kSent;
  TimePoint ahead_deadline = kNever;
  TimePoint stall_deadline = kNever;
  absl::Status end;  // kEnding only
};

}  // namespace kvorum::publish
