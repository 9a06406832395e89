#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "kvorum/v1/stream.pb.h"
#include "server/metadata/metadata_image.h"
#include "tests/sim/checkers/things.h"

namespace kvorum::sim {

// What a subscriber asked to see, read as the words of stream.proto say: beside the product's own
// reading, and simpler, since it always looks at the whole. Plain value.
class Scope {
 public:
  Scope() = default;  // everything
  explicit Scope(const v1::SubscribeRequest& request);

  bool is_everything() const { return filter_.ByteSizeLong() == 0; }
  bool is_by_host() const { return host_.has_value(); }

  // Removals of topics are told to whoever wants something that goes with them.
  bool WantsKindOf(const v1::MetadataRecord& record) const;
  // By name, prefix or id; not by host.
  bool WantsTopic(const std::string& topic_id, const std::string& name) const;

  // Calls `visit` with each record of `image` that is in the scope there.
  using Visitor = std::function<void(const v1::MetadataRecord&)>;
  void VisitIn(const MetadataImage& image, const Visitor& visit) const;
  // The same as things.
  Things In(const MetadataImage& image) const;
  // Whether a topic, or one of its partitions, is in the scope.
  bool HasTopic(const MetadataImage& image, const Uuid& id) const;
  bool HasPartition(const MetadataImage& image, const Uuid& id, int32_t index) const;

  // Equal for equal scopes only.
  std::string ToText() const;

 private:
  bool WantsKind(std::string_view kind) const;
  bool IsIn(const MetadataImage& image, const v1::MetadataRecord& record) const;

  v1::SubscribeFilter filter_;
  std::optional<BrokerId> host_;
};

}  // namespace kvorum::sim
