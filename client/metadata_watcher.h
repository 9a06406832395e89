#pragma once

#include <google/protobuf/repeated_ptr_field.h>
#include <grpcpp/client_context.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "client/endpoints.h"
#include "client/stream_assembler.h"
#include "kvorum/v1/stream.pb.h"

namespace kvorum::client {

struct MetadataWatcherOptions {
  std::string cluster_id;     // empty: not checked
  std::string subscriber_id;  // for people, at most 256 bytes
  // Where to begin; absent: with a snapshot.
  std::optional<v1::Position> resume_from;
  uint64_t resume_filter_id = 0;  // that it was reached with; see WatcherStatus
  v1::SubscribeFilter filter;     // empty: everything
  v1::Source source = v1::SOURCE_LOCAL;
  std::string first_endpoint;  // tried first; empty: any, so that subscribers spread
  // How long a node may take to say Hello. Longer than a controller that is behind waits before it
  // says GoAway (3 s).
  std::chrono::milliseconds hello_timeout{4000};
  // A stream that is silent for three bookmark intervals is dead; never less than this.
  std::chrono::milliseconds min_silence{500};
};

struct WatcherStatus {
  bool live = false;     // a stream is open and past its snapshot
  std::string endpoint;  // that serves, or served last
  int32_t node_id = -1;
  std::optional<v1::Position> position;  // everything below has been handed to the listener
  uint64_t filter_id = 0;                // names the filter it was reached with; 0: none
  StreamCounters counters;
  int64_t stream_count = 0;  // opened so far
  std::string last_error;    // why the last stream ended
  // Set: the watcher has stopped for good (see MetadataWatcher).
  std::string fatal_error;
};

// Follows the committed metadata: keeps one stream open, resumes from what the listener has
// applied after any break, moves to another controller when one falls silent, says GoAway or is
// ahead of the other. Stops for good when the listener refuses a record, and when the cluster says
// that this subscriber is in the wrong place (INCONSISTENT_CLUSTER_ID, INVALID_REQUEST).
// Owned by the application; the listener, called on the watcher's own thread, must outlive it.
// Public methods are thread-safe, Start and Stop excepted.
class MetadataWatcher {
 public:
  MetadataWatcher(std::shared_ptr<Endpoints> endpoints, MetadataWatcherOptions options,
                  MetadataListener& listener);
  ~MetadataWatcher();  // stops
  MetadataWatcher(const MetadataWatcher&) = delete;
  MetadataWatcher& operator=(const MetadataWatcher&) = delete;

  void Start();
  // Returns when the listener is called no more. Must not be called by the listener.
  void Stop();

  // Subscribes as this broker from the next stream on.
  void SetBroker(int32_t broker_id, int64_t broker_epoch);

  WatcherStatus status() const;

 private:
  class Stream;
  // How a stream ended.
  struct StreamEnd {
    std::string reason;
    std::string go_to;             // another node to try first; empty: any
    bool fatal = false;            // do not come back
    bool forget_position = false;  // the position is of no use there: begin with a snapshot
    bool made_progress = false;
  };

  void Run();
  StreamEnd RunStream(const std::string& endpoint);
  StreamEnd ReadStream(Stream& stream);
  static StreamEnd ClassifyStatus(const grpc::Status& status);
  void OnStreamEnd(const StreamEnd& end);
  v1::SubscribeRequest MakeRequest() const;
  void PublishProgress(bool live);
  bool stopping() const;
  void WaitToRetry(std::chrono::milliseconds pause);

  const std::shared_ptr<Endpoints> endpoints_;
  const MetadataWatcherOptions options_;
  StreamAssembler assembler_;  // watcher thread only
  std::thread thread_;

  mutable std::mutex mutex_;  // guards all below; never held while the listener runs
  std::condition_variable wake_;
  bool stopping_ = false;
  grpc::ClientContext* open_context_ = nullptr;  // to cancel a blocked read
  std::optional<int32_t> broker_id_;
  int64_t broker_epoch_ = -1;
  WatcherStatus status_;
};

}  // namespace kvorum::client
