#pragma once

#include <memory>

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

  void Replay(const v1::TopicRecord& record, Offset offset);
  void Replay(const v1::RemoveTopicRecord& record, Offset offset);
  void Replay(const v1::PartitionRecord& record, Offset offset);
  void Replay(const v1::PartitionChangeRecord& record, Offset offset);

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
  void Count(Topic& topic, const Change& change);
  void CountTraits(Topic& topic, const Change& change);
  void CountHosts(const Topic& topic, const Change& change);
  void CountLoads(const Change& change);
  void AddLoad(BrokerId broker, const BrokerLoad& before, const BrokerLoad& after);

  // Released by the first change, before it: if nobody else holds the base, its nodes are then
  // changed in place instead of copied.
  std::shared_ptr<const TopicsImage> base_;
  TopicsImage image_;  // a copy of the base's, sharing its nodes
};

}  // namespace kvorum
