#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "client/cached_settings.h"
#include "client/metadata_changes.h"
#include "client/stream_assembler.h"
#include "kvorum/v1/record.pb.h"

namespace kvorum::client {

struct CachedBroker {
  int64_t epoch = -1;
  std::string incarnation_id;  // 16 bytes
  std::vector<v1::Endpoint> endpoints;
  std::string rack;
  std::vector<v1::SupportedFeature> features;
  bool fenced = true;
  bool in_controlled_shutdown = false;
  bool drained = false;
  std::vector<std::string> log_dirs;  // of 16 bytes
  std::vector<std::string> offline_log_dirs;
};

struct CachedPartition {
  std::vector<int32_t> replicas;
  std::vector<int32_t> isr;
  std::vector<int32_t> adding_replicas;
  std::vector<int32_t> removing_replicas;
  std::vector<int32_t> eligible_leader_replicas;
  std::vector<int32_t> last_known_elr;
  int32_t leader = -1;
  int32_t leader_epoch = 0;
  int32_t partition_epoch = 0;
  v1::LeaderRecoveryState leader_recovery_state = v1::LEADER_RECOVERY_STATE_RECOVERED;
};

struct CachedTopic {
  std::string id;  // 16 bytes
  std::string name;
  int32_t min_insync_replicas = 1;
  std::map<int32_t, CachedPartition> partitions;
};

struct CachedEntry {
  std::string value;
  int64_t version = 0;
  std::optional<v1::EntryOwner> owner;  // whose session it lives with
};

// The metadata at one position. Immutable.
struct MetadataSnapshot {
  v1::Position position;
  std::map<int32_t, CachedBroker> brokers;
  std::map<std::string, std::shared_ptr<const CachedTopic>> topics;   // by name
  std::map<std::string, std::shared_ptr<const CachedEntry>> entries;  // of the default namespace
  // The others, by namespace and key.
  std::map<std::pair<std::string, std::string>, std::shared_ptr<const CachedEntry>>
      namespace_entries;
  std::shared_ptr<const CachedSettings> settings = std::make_shared<const CachedSettings>();
  // Of everything above but the position: equal where the contents are equal, in any process.
  uint64_t digest = 0;
};

// A broker's local copy of the metadata, fed by a MetadataWatcher as its listener. Owned by the
// application. Thread-safe. A record that it does not know, or that does not fit what it has, is
// refused, and then the watcher stops: a copy that guesses is worse than none. So a filter that has
// partitions has to have topics too.
class MetadataCache : public MetadataListener {
 public:
  MetadataCache();
  ~MetadataCache() override;

  // The state after the last commit. Commits cost what they change; the first call after a commit
  // copies the maps (topics and entries by pointer). After an error: the last one taken before.
  std::shared_ptr<const MetadataSnapshot> Snapshot() const;

  // Calls `listener` after each snapshot, and after each commit that changed something of the
  // cache: in order, on the watcher's thread, with no lock held, so that it may call the cache.
  // What it looks up there has at least the change. Add all before the watcher starts.
  using ChangeListener = std::function<void(const MetadataChanges&)>;
  void AddListener(ChangeListener listener);

  // Waits until the cache has everything below `position`: with a write's position, to read what
  // was written. False when that takes too long. Not on the watcher's thread.
  bool AwaitPosition(const v1::Position& position, std::chrono::milliseconds timeout) const;

  v1::Position position() const;
  uint64_t digest() const;
  // Why the cache stopped; empty while it works.
  std::string error() const;

  void OnReset(const v1::Reset& reset) override;
  void OnSnapshotBegin() override;
  std::optional<ApplyError> OnSnapshotRecords(const Records& records) override;
  void OnSnapshotEnd(const v1::Position& position) override;
  std::optional<ApplyError> OnCommit(const CommittedRecords& commit) override;
  void OnBookmark(const v1::Bookmark& bookmark) override;

 private:
  class State;

  std::optional<ApplyError> Refuse(ApplyError error);
  std::optional<ApplyError> Apply(const CommittedRecords& commit, MetadataChanges& changes);
  void Tell(const MetadataChanges& changes) const;

  std::vector<ChangeListener> listeners_;  // set before the watcher starts
  mutable std::mutex mutex_;               // guards all below
  mutable std::condition_variable position_changed_;
  std::unique_ptr<State> state_;
  std::unique_ptr<State> incoming_;  // a snapshot on its way in
  v1::Position position_;
  std::string error_;
  mutable std::shared_ptr<const MetadataSnapshot> snapshot_;  // never null
  mutable bool snapshot_is_stale_ = false;
};

}  // namespace kvorum::client
