#pragma once

#include <memory>
#include <string_view>

#include "kvorum/v1/record.pb.h"
#include "server/base/ids.h"
#include "server/metadata/configs/configs_image.h"
#include "server/metadata/topics/topics_image.h"

namespace kvorum {

// A change over a ConfigsImage. Owned by MetadataDelta; its thread.
class ConfigsDelta {
 public:
  using Image = ConfigsImage;
  using Cursor = ConfigsCursor;

  explicit ConfigsDelta(std::shared_ptr<const ConfigsImage> base);

  // `topics`: as they are at this record. A topic's configs need the topic.
  void Replay(const v1::ConfigRecord& record, Offset offset, const TopicsImage& topics);
  void Replay(const v1::RemoveConfigRecord& record, Offset offset);
  // A topic's configs go with it, by its own record. REQUIRES: `topics` no longer has it.
  void Replay(const v1::RemoveTopicRecord& record, Offset offset, const TopicsImage& topics);

  // The base itself while nothing was replayed.
  std::shared_ptr<const ConfigsImage> Apply() const;

 private:
  // Released by the first change, before it: if nobody else holds the base, its nodes are then
  // changed in place instead of copied.
  std::shared_ptr<const ConfigsImage> base_;
  ConfigsImage image_;  // a copy of the base's, sharing its nodes
};

}  // namespace kvorum
