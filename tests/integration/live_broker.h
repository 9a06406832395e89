#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "client/acknowledging_listener.h"
#include "client/broker_session.h"
#include "client/controller_client.h"
#include "client/metadata_cache.h"
#include "client/metadata_watcher.h"
#include "tests/integration/test_util.h"

namespace kvorum::testing {

// A broker inside the test's process, made of the client library as any broker would make itself:
// what it has applied can be looked at the moment an answer arrives. Owned by a test; public
// methods are thread-safe, Start and Stop excepted.
class LiveBroker {
 public:
  // Subscribes to `node` first, and to the others when that one is gone.
  LiveBroker(const Cluster& cluster, int32_t id, int node);
  ~LiveBroker();

  bool Start();  // true: registered and unfenced
  void Stop();

  int32_t id() const { return id_; }
  // Exclusive end of what is applied, whether or not anybody was told.
  int64_t applied() const { return applied_.load(); }
  const client::MetadataCache& cache() const { return cache_; }
  client::WatcherStatus watcher() const { return watcher_->status(); }
  client::BrokerSessionStatus session() const { return session_.status(); }

 private:
  const int32_t id_;
  client::ControllerClient client_;
  client::MetadataCache cache_;
  client::BrokerSession session_;
  std::atomic<int64_t> applied_{0};
  client::AcknowledgingListener listener_;
  std::unique_ptr<client::MetadataWatcher> watcher_;
};

}  // namespace kvorum::testing
