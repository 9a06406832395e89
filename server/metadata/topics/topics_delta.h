#pragma once

#include <memory>
#include <string_view>

#include "kvorum/v1/record.pb.h"
#include "server/base/ids.h"
#include "server/metadata/topics/topics_image.h"

namespace kvorum {

// A change over a TopicsImage. Owned by MetadataDelta; its thread.
class TopicsDelta {
 public:
  using Image = TopicsImage;
  using Cursor = TopicsCursor;

  explicit TopicsDelta(std::shared_ptr<const TopicsImage> base);
  TopicsDelta(TopicsDelta&&) = default;

  void Replay(const v1::TopicRecord& record, Offset offset);
  void Replay(const v1::RemoveTopicRecord& record, Offset offset);
  void Replay(const v1::PartitionRecord& record, Offset offset);
  void Replay(const v1::PartitionChangeRecord& record, Offset offset);

  // The config min.insync.replicas of a topic that exists, and the default of all brokers; 0: not
  // set any more. Eligible leaders stay as they are: records say what becomes of them.
  void SetMinInsyncConfig(std::string_view topic_name, int32_t value);
  void SetDefaultMinInsync(int32_t value);

  // As it is so far.
  const TopicsImage& image() const { return image_; }

  // The base itself while nothing was replayed.
  std::shared_ptr<const TopicsImage> Apply() const;

 private:
  // One partition that appears, changes or goes (before or after null), in everything that is kept
  // about it but the list of partitions itself: hash, counts, loads and indexes.
  struct Change {
    const Partition* before = nullptr;
    const Partition* after = nullptr;
  };
  template <typename Record>
  Topic& CheckedFind(const Record& record, Offset offset);
  // After what it follows from has changed: counts again who is at or below the minimum.
  void UpdateMinInsync(Topic& topic);
  void Count(Topic& topic, const Change& change);
  void CountTraits(Topic& topic, const Change& change);
  void CountHosts(const Topic& topic, const Change& change);
  void CountLoads(const Change& change);
  void AddLoad(BrokerId broker, const BrokerLoad& before, const BrokerLoad& after);

  // Released by the first change, before it: if nobody else holds the base, its nodes are then
  // changed in place instead of copied.
  std::shared_ptr<const TopicsImage> base_;
  TopicsImage image_;  // a copy of the base's, sharing its nodes
  // The topic that was changed last, since records come by topic: null after anything that may have
  // moved or shared its node.
  mutable Topic* last_topic_ = nullptr;
};

}  // namespace kvorum
