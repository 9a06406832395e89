#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kvorum/v1/stream.pb.h"
#include "server/base/ids.h"
#include "server/base/time.h"
#include "server/metadata/metadata_image.h"
#include "server/publish/committed_log.h"
#include "server/publish/committed_tail.h"
#include "server/publish/filtered_tail.h"
#include "server/publish/subscriber_sink.h"
#include "server/publish/subscription.h"

namespace kvorum::publish {

struct PublisherConfig {
  std::string cluster_id;
  uint64_t generation = 0;
  NodeId node_id;
  Duration bookmark_interval = std::chrono::milliseconds(1000);
  // A subscriber that is ahead of this node is told to go elsewhere after this long.
  Duration ahead_timeout = std::chrono::milliseconds(3000);
  // A delivery not taken for this long ends the stream; so does a lag of more committed offsets
  // than this, if it is not 0. The subscriber is told when it takes what is on its way, and cut off
  // if it has not after another stall_timeout.
  Duration stall_timeout = std::chrono::seconds(30);
  int64_t max_lag = 0;
  size_t tail_max_bytes = 64 << 20;
  size_t max_message_bytes = 128 << 10;
  size_t max_subscriptions = 10'000;
  size_t log_read_bytes = 1 << 20;           // of one read of batches older than the ring
  size_t max_filters = 1'000;                // different ones at a time
  size_t filtered_tail_max_bytes = 1 << 20;  // of the ring of each
  // The ring of a filter that nobody uses any more is kept for so long, for who comes back.
  Duration filter_linger = std::chrono::seconds(30);
};

// What the leader's identity is right now, for bookmarks and hints.
struct LeaderView {
  std::optional<NodeId> leader_id;
  Epoch epoch;
  Offset high_watermark;
  std::string leader_endpoint;  // client listener; empty: unknown

  friend bool operator==(const LeaderView&, const LeaderView&) = default;
};

// Serves committed metadata to any number of subscribers (KIP-595 has brokers fetch; we push). A
// deterministic machine of its own: facts in, Deliver out. Owned by the composition root; publish
// loop only. Bytes are encoded once, on arrival; a subscriber is a cursor.
class UpdatePublisher {
 public:
  UpdatePublisher(PublisherConfig config, CommittedLog& log);

  // --- from node, in order ---
  // REQUIRES: update.from is the end of the update before it (or any, for the first).
  void OnCommit(const CommittedUpdate& update);
  // The image after everything up to the last OnCommit; ends each run of commits.
  void OnImage(TimePoint now, std::shared_ptr<const MetadataImage> image);
  void OnLeader(LeaderView leader);

  // --- from subscribers ---
  // The sink must outlive the subscription: until its Close is called, or OnClosed returns.
  // A bad request closes the sink with an error.
  SubscriptionId Subscribe(TimePoint now, const v1::SubscribeRequest& request,
                           SubscriberSink& sink);
  void OnReady(TimePoint now, SubscriptionId id);  // the last delivery was taken
  void OnClosed(SubscriptionId id);  // the subscriber is gone; its sink is not used again

  void HandleTimer(TimePoint now);
  TimePoint NextDeadline() const;

  // Says GoAway to everybody and closes as their last delivery is taken.
  void BeginShutdown(TimePoint now);

  size_t subscription_count() const { return subscriptions_.size(); }
  size_t tail_bytes() const { return tail_.bytes(); }
  // Committed offsets that the subscriber furthest behind has not been sent.
  int64_t max_lag() const;
  // Streams that were ended because their subscriber was too slow.
  int64_t slow_endings() const { return slow_endings_; }

 private:
  absl::Status Validate(const v1::SubscribeRequest& request) const;
  absl::Status CheckRoomForFilter(const std::shared_ptr<const SubscriptionFilter>& filter) const;
  void PumpAll(TimePoint now);
  // Ends who is too far behind, pumps everybody else.
  void Serve(TimePoint now, Subscription& subscription);
  void Pump(TimePoint now, Subscription& subscription);
  // Sends what another one at the same place was sent, if there is such a message.
  bool SendShared(TimePoint now, Subscription& subscription);
  // Each adds to the message until it is full or nothing is left, and returns its bytes.
  size_t AddSnapshot(Subscription& subscription, Delivery& delivery, size_t bytes);
  size_t AddBookmark(Subscription& subscription, Delivery& delivery, size_t bytes);
  size_t AddCommits(Subscription& subscription, Delivery& delivery, size_t bytes);
  // Makes `current` the next commit, if there is one.
  bool HasNext(Subscription& subscription);
  TailEntryPtr NextEntry(Subscription& subscription);
  void Send(TimePoint now, Subscription& subscription, const Delivery& delivery);

  // What was committed since the last image, for each filter in use.
  void FeedFiltered(const MetadataImage& image);
  void LocateFiltered(Subscription& subscription);
  void Attach(Subscription& subscription);
  void Detach(Subscription& subscription);
  void DropUnusedFilters();
  TailEntryPtr NextFilteredEntry(Subscription& subscription);

  // Finds where the subscriber stands in this node's log, once the node has applied that far.
  void Locate(Subscription& subscription);
  void LocateAbove(Subscription& subscription);
  // The image at image_position_; null if the node is just making the next from it, which then is
  // on its way here.
  std::shared_ptr<const MetadataImage> NewestImage() const;
  // Begins with Hello for who has had none, and with `reset` for who did not ask for a snapshot.
  // Without an image at hand, the subscriber is located anew when one comes.
  void BeginSnapshot(Subscription& subscription, const v1::Reset* reset);
  static std::optional<std::string> NextChunk(Subscription& subscription);
  void ResetToSnapshot(Subscription& subscription, v1::Reset::Reason reason, std::string message);
  void BeginTail(Subscription& subscription);
  void StartLogRead(Subscription& subscription);
  void OnLogRead(SubscriptionId id, absl::StatusOr<std::vector<CommittedUpdate>> result);
  void OnEndConfirmed(SubscriptionId id, absl::StatusOr<Offset> end);
  void AddHello(Subscription& subscription, OffsetAndEpoch start, bool snapshot_follows);
  bool IsTooFarBehind(OffsetAndEpoch position) const;
  // Ends the stream of one who is too slow, for `why`.
  void EndSlow(TimePoint now, Subscription& subscription, const std::string& why);
  void OnStalled(TimePoint now, Subscription& subscription);
  void GoAway(Subscription& subscription, std::string message);
  void Close(SubscriptionId id, const absl::Status& status);

  v1::Position ToPosition(OffsetAndEpoch at) const;
  Subscription* Find(SubscriptionId id);

  PublisherConfig config_;
  CommittedLog& log_;
  CommittedTail tail_;
  // Held only where it is needed: the node changes an image that nobody holds in place, instead of
  // copying what changes.
  std::weak_ptr<const MetadataImage> image_;
  std::shared_ptr<const MetadataImage> filter_image_;  // the same, while filters are in use
  bool has_image_ = false;                             // false until the first OnImage
  OffsetAndEpoch image_position_;
  std::map<uint64_t, std::unique_ptr<FilteredTail>> filtered_;  // by filter id
  std::vector<CommittedUpdate> run_;  // since the last image, while filters are in use
  LeaderView leader_;
  // Messages made since the ring or the leader changed, for whoever stands where they begin. Most
  // subscribers do: they are served without looking anything up.
  struct SharedMessage {
    OffsetAndEpoch from;
    OffsetAndEpoch to;
    bool has_bookmark = false;
    Delivery delivery;
  };
  std::vector<SharedMessage> shared_;
  bool served_backwards_ = false;  // the last time all were served
  std::map<SubscriptionId, std::unique_ptr<Subscription>> subscriptions_;
  SubscriptionId next_id_{1};
  TimePoint now_{};  // of the event being handled, for answers of the log
  TimePoint next_tick_ = kNever;
  bool shutting_down_ = false;
  int64_t slow_endings_ = 0;
};

}  // namespace kvorum::publish
