#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kvorum/v1/stream.pb.h"
#include "server/metadata/metadata_image.h"
#include "tests/sim/world.h"

namespace kvorum::sim {

// What one subscription delivers, applied as a broker would: invariants 28 StreamOrderedUnique,
// 29 StreamGapless, 30 StreamAtomic, 31 StreamBookmark, 32 StreamResume, and of 14, 21 what brokers
// see. Owned by the broker, one per stream.
class StreamChecker {
 public:
  // Where the subscriber is: nothing, or a position with the image it has there.
  struct State {
    std::optional<v1::Position> position;
    std::shared_ptr<const MetadataImage> image = MetadataImage::Empty();
  };

  StreamChecker(World& world, int broker, NodeId server, State state)
      : world_(world), broker_(broker), server_(server), state_(std::move(state)) {}

  void OnUpdate(const v1::MetadataUpdate& update);

  // Applied so far; parts of a commit or of a snapshot that is not complete are not in it.
  const State& state() const { return state_; }
  bool is_over() const { return is_over_; }

 private:
  void OnHello(const v1::Hello& hello);
  void OnSnapshotChunk(const v1::SnapshotChunk& chunk);
  void OnSnapshotEnd(const v1::SnapshotEnd& end);
  void OnCommit(const v1::Commit& commit);
  void OnBookmark(const v1::Bookmark& bookmark) const;
  void OnReset(const v1::Reset& reset);
  void CheckCommitted(const v1::Position& position, const char* what) const;
  void ApplyCommit(const v1::Position& to);
  void CheckState() const;

  World& world_;
  int broker_;
  NodeId server_;
  State state_;
  bool greeted_ = false;
  bool is_over_ = false;
  bool in_snapshot_ = false;
  bool expects_reset_ = false;  // Hello announced a snapshot that was not asked for
  std::vector<v1::MetadataRecord> snapshot_;
  std::vector<v1::MetadataRecord> parts_;
  uint32_t next_part_ = 0;
};

}  // namespace kvorum::sim
