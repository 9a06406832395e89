#pragma once

#include <memory>
#include <optional>

#include "tests/sim/checkers/stream_protocol.h"

namespace kvorum::sim {

// What a subscription to everything delivers, applied as a broker would: 29 StreamGapless, of 30
// StreamAtomic that a commit is a batch, and of 21 what brokers see. Owned by the broker.
class StreamChecker : public StreamProtocol {
 public:
  // Where the subscriber is: nothing, or a position with the image it has there.
  struct State {
    std::optional<v1::Position> position;
    std::shared_ptr<const MetadataImage> image = MetadataImage::Empty();
  };

  StreamChecker(World& world, int broker, NodeId server, State state);

  State state() const { return {position(), image_}; }
  const MetadataImage& image() const { return *image_; }

 protected:
  void OnReset(const v1::Reset& reset) override;
  void Replace(const Records& snapshot, const v1::Position& position) override;
  void Apply(const v1::Commit& commit) override;
  void CheckState() override;

 private:
  std::shared_ptr<const MetadataImage> image_;
};

}  // namespace kvorum::sim
