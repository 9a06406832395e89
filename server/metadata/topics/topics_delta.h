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
  // The two halves of every change of a partition: hash, index and counts.
  void Add(Topic& topic, int32_t index, Partition partition);
  void Forget(const Topic& topic, int32_t index, const Partition& partition);

  // Released by the first change, before it: if nobody else holds the base, its nodes are then
  // changed in place instead of copied.
  std::shared_ptr<const TopicsImage> base_;
  TopicsImage image_;  // a copy of the base's, sharing its nodes
};

}  // namespace kvorum
