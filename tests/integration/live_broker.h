#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "client/broker_session.h"
#include "client/controller_client.h"
#include "client/metadata_cache.h"
#include "client/metadata_watcher.h"
#include "tests/integration/test_util.h"

namespace kvorum::testing {

// A broker inside the test's process, made of the client library as any broker would make itself:
// what it has applied can be looked at the moment an answer arrives. Owned by a test; public
// methods are thread-safe, Start and Stop excepted.
class LiveBroker : private client::MetadataListener {
 public:
  // Subscribes to `node` first, and to the others when that one is gone.
  LiveBroker(const Cluster& cluster, int32_t id, int node);
  ~LiveBroker() override;

  bool Start();  // true: registered and unfenced
  void Stop();

  int32_t id() const { return id_; }
  // Exclusive end of what is applied, whether or not anybody was told.
  int64_t applied() const { return applied_.load(); }
  const client::MetadataCache& cache() const { return cache_; }
  client::WatcherStatus watcher() const { return watcher_->status(); }
  client::BrokerSessionStatus session() const { return session_.status(); }

 private:
  void OnReset(const v1::Reset& reset) override { cache_.OnReset(reset); }
  void OnSnapshotBegin() override { cache_.OnSnapshotBegin(); }
  std::optional<client::ApplyError> OnSnapshotRecords(const client::Records& records) override {
    return cache_.OnSnapshotRecords(records);
  }
  void OnSnapshotEnd(const v1::Position& position) override;
  std::optional<client::ApplyError> OnCommit(const client::CommittedRecords& commit) override;
  void OnBookmark(const v1::Bookmark& bookmark) override { cache_.OnBookmark(bookmark); }
  void OnApplied(int64_t offset);

  const int32_t id_;
  client::ControllerClient client_;
  client::MetadataCache cache_;
  client::BrokerSession session_;
  std::atomic<int64_t> applied_{0};
  std::unique_ptr<client::MetadataWatcher> watcher_;
};

}  // namespace kvorum::testing
