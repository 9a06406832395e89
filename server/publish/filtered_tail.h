#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
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
  const MetadataImage& before;
  const MetadataImage& after;
};

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

  // Begins at `image`.
  FilteredTail(std::shared_ptr<const SubscriptionFilter> filter, const MetadataImage& image,
               const Limits& limits);

  void OnCommit(const CommitInContext& commit);
  // After a run of commits: what was left out since the last entry becomes an empty one.
  void Flush();
  // A snapshot took the node past the end.
  void ResetTo(const MetadataImage& image);

  const SubscriptionFilter& filter() const { return *filter_; }
  const std::shared_ptr<const SubscriptionFilter>& shared_filter() const { return filter_; }
  const CommittedTail& tail() const { return tail_; }

  int subscribers = 0;
  TimePoint unused_since = kNever;  // while there are none

 private:
  // Where a partition that a commit touches stood, and stands.
  struct Touched {
    bool before = false;
    bool after = false;
  };
  using TouchedPartitions = std::map<PartitionKey, Touched>;

  void CountHosted(const MetadataImage& image);
  bool IsTopicInScope(const MetadataImage& image, const Uuid& id) const;
  bool IsPartitionInScope(const MetadataImage& image, const PartitionKey& key) const;
  TouchedPartitions FindTouched(const CommitInContext& commit) const;
  // Moves of the scope, where it is by host; the topics that came or went, whose records are told.
  std::set<Uuid> TellMoves(const CommitInContext& commit, const TouchedPartitions& touched,
                           v1::Commit& out);
  bool Passes(const CommitInContext& commit, const v1::MetadataRecord& record,
              const TouchedPartitions& touched) const;
  void AppendEntry(v1::Commit commit);

  std::shared_ptr<const SubscriptionFilter> filter_;
  Limits limits_;
  CommittedTail tail_;
  OffsetAndEpoch seen_;                    // commits below it are in entries, or left out
  std::map<Uuid, int32_t> hosted_counts_;  // partitions in the scope, by topic; if by host
};

}  // namespace kvorum::publish
