#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "kvorum/v1/stream.pb.h"
#include "server/base/ids.h"
#include "server/base/time.h"
#include "server/metadata/metadata_image.h"
#include "server/publish/committed_tail.h"
#include "server/publish/committed_update.h"
#include "server/publish/subscription_filter.h"

namespace kvorum::publish {

// A committed batch with the metadata before and after it. Borrowed for a call.
struct CommitInContext {
  const CommittedUpdate& update;
  const std::vector<v1::MetadataRecord>& records;  // none for a control batch
  const std::vector<std::optional<Uuid>>& topics;  // TopicsOf(records, before)
  const MetadataImage& before;
  const MetadataImage& after;
};

// The topic that each of `records`, written on `before`, belongs to; nullopt: none. A config names
// its topic, and a name may pass from one topic to another within a commit.
std::vector<std::optional<Uuid>> TopicsOf(const std::vector<v1::MetadataRecord>& records,
                                          const MetadataImage& before);

// The newest commits as all subscribers with one filter see them: encoded once, as they arrive,
// since only then are the images before and after at hand. What is left out is covered by the next
// entry, so that entries are contiguous and positions advance. Owned by UpdatePublisher; publish
// loop only.
class FilteredTail {
 public:
  struct Limits {
    uint64_t generation = 0;
    size_t max_bytes = 0;
    size_t max_message_bytes = 0;
  };

  // Begins at `start`.
  FilteredTail(std::shared_ptr<const SubscriptionFilter> filter, OffsetAndEpoch start,
               const Limits& limits);

  void OnCommit(const CommitInContext& commit);
  // After a run of commits: what was left out since the last entry becomes an empty one.
  void Flush();
  // A snapshot took the node past the end.
  void ResetTo(OffsetAndEpoch position);

  const SubscriptionFilter& filter() const { return *filter_; }
  const std::shared_ptr<const SubscriptionFilter>& shared_filter() const { return filter_; }
  const CommittedTail& tail() const { return tail_; }

  int subscribers = 0;
  TimePoint unused_since = kNever;  // while there are none

 private:
  // Whether a thing that a commit touches was in the scope before it, and is in it after.
  struct Move {
    bool before = false;
    bool after = false;
  };
  struct Touched {
    std::map<Uuid, Move> topics;
    std::map<PartitionKey, Move> partitions;
  };

  bool IsTopicInScope(const MetadataImage& image, const Uuid& id) const;
  bool IsPartitionInScope(const MetadataImage& image, const PartitionKey& key) const;
  Touched FindTouched(const CommitInContext& commit) const;
  // What enters the scope appears whole in `entered`, what leaves it is told in `left`. By host
  // only: other scopes do not move.
  void TellMoves(const CommitInContext& commit, const Touched& touched, v1::Commit& left,
                 v1::Commit& entered) const;
  void AddWholeTopic(const CommitInContext& commit, const Topic& topic, v1::Commit& entered) const;
  void AddIfWanted(const v1::MetadataRecord& record, Offset offset, v1::Commit& out) const;
  // Whether the commit's record number `index` is told as it is.
  bool Passes(const CommitInContext& commit, size_t index, const Touched& touched) const;
  void AppendEntry(v1::Commit commit);

  std::shared_ptr<const SubscriptionFilter> filter_;
  Limits limits_;
  CommittedTail tail_;
  OffsetAndEpoch seen_;  // commits below it are in entries, or left out
};

}  // namespace kvorum::publish
