#pragma once

#include <functional>
#include <optional>

#include "client/broker_session.h"
#include "client/metadata_cache.h"
#include "client/stream_assembler.h"

namespace kvorum::client {

// Between a watcher and a broker's cache: the controller hears of a position when the cache has it
// and `on_change` has returned, and of a record that the cache refuses. Owned by the broker; called
// on the watcher's thread.
//
//   auto endpoints = std::make_shared<Endpoints>(*ParseEndpoints("c1:7400,c2:7400,c3:7400"));
//   ControllerClient client(endpoints);
//   MetadataCache cache;
//   BrokerSession session(client, options, [&](int64_t epoch) { watcher.SetBroker(id, epoch); });
//   AcknowledgingListener listener(cache, session, [&] { Use(*cache.Snapshot()); });
//   MetadataWatcher watcher(endpoints, {}, listener);
//   session.Start();
//   watcher.Start();
class AcknowledgingListener : public MetadataListener {
 public:
  // Both must outlive the listener. `on_change` is called after each snapshot and commit.
  AcknowledgingListener(MetadataCache& cache, BrokerSession& session,
                        std::function<void()> on_change = {});

  void OnReset(const v1::Reset& reset) override { cache_.OnReset(reset); }
  void OnSnapshotBegin() override { cache_.OnSnapshotBegin(); }
  std::optional<ApplyError> OnSnapshotRecords(const Records& records) override;
  void OnSnapshotEnd(const v1::Position& position) override;
  std::optional<ApplyError> OnCommit(const CommittedRecords& commit) override;
  void OnBookmark(const v1::Bookmark& bookmark) override { cache_.OnBookmark(bookmark); }

 private:
  std::optional<ApplyError> Refused(std::optional<ApplyError> error);
  void OnApplied(const v1::Position& position);

  MetadataCache& cache_;
  BrokerSession& session_;
  const std::function<void()> on_change_;
};

}  // namespace kvorum::client
