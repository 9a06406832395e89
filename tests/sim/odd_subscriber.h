#pragma once

#include <memory>
#include <string>

#include "kvorum/v1/stream.pb.h"
#include "server/base/random.h"
#include "tests/sim/sim_stream.h"
#include "tests/sim/world.h"

namespace kvorum::sim {

// Asks once for a stream from where no stream can begin (beyond the log's end, below its beginning,
// another epoch, another generation) and sees that nothing is served as if it could: of 32
// StreamResume. Owned by the nemesis.
class OddSubscriber : public SimStream::Reader {
 public:
  OddSubscriber(World& world, Random random) : world_(world), random_(random) {}
  ~OddSubscriber() override;

  // Subscribes to `node`, if something runs there.
  void Subscribe(NodeId node);

  // SimStream::Reader.
  void OnStreamMessage(const std::string& bytes) override;
  void OnStreamEnd(const absl::Status& status) override;

 private:
  enum class Kind { kFuture, kNegative, kOtherEpoch, kOtherGeneration };

  v1::Position DrawPosition();
  // False: what follows is another, good subscription.
  bool CheckUpdate(const v1::MetadataUpdate& update) const;
  void End();

  World& world_;
  Random random_;
  Kind kind_ = Kind::kFuture;
  std::shared_ptr<SimStream> stream_;
};

}  // namespace kvorum::sim
