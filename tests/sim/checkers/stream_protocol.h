#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kvorum/v1/stream.pb.h"
#include "server/metadata/metadata_image.h"
#include "tests/sim/world.h"

namespace kvorum::sim {

// How many bookmarks came so far, on which stream.
struct BookmarkCount {
  uint64_t stream = 0;
  int64_t count = 0;
};

// What holds of every subscription, whatever it asked to see: the order of its updates, and where
// it says that it is. Invariants 28 StreamOrderedUnique, 30 StreamAtomic, 31 StreamBookmark,
// 32 StreamResume, and of 14 what subscribers see. Who derives from it applies what is delivered
// and compares that with the truth. One per stream; owned by the subscriber.
class StreamProtocol {
 public:
  virtual ~StreamProtocol() = default;

  void OnUpdate(const v1::MetadataUpdate& update);

  // Applied so far; parts of a commit or of a snapshot that is not complete are not in it.
  const std::optional<v1::Position>& position() const { return position_; }
  Offset end_offset() const { return Offset(position_.has_value() ? position_->offset() : 0); }
  bool is_over() const { return is_over_; }
  int64_t bookmarks() const { return bookmarks_; }

 protected:
  using Records = std::vector<v1::MetadataRecord>;

  // `who`: for messages. `position`: what the subscriber has already.
  StreamProtocol(World& world, std::string who, NodeId server, std::optional<v1::Position> position)
      : world_(world), who_(std::move(who)), server_(server), position_(std::move(position)) {}

  World& world() const { return world_; }
  const std::string& who() const { return who_; }
  NodeId server() const { return server_; }
  // The metadata of everything below `offset`. REQUIRES: a committed batch ends there.
  std::shared_ptr<const MetadataImage> TruthAt(int64_t offset) const {
    return world_.ghost.ImageAt(Offset(offset));
  }

  virtual void OnGreeted(const v1::Hello&) {}
  // What the subscriber has is to be replaced.
  virtual void OnReset(const v1::Reset& reset) = 0;
  // `snapshot` replaces all it has.
  virtual void Replace(const Records& snapshot, const v1::Position& position) = 0;
  // A commit with all its parts, on what it has at position().
  virtual void Apply(const v1::Commit& commit) = 0;
  // After each of these, with position() moved: what it has is to be the truth.
  virtual void CheckState() = 0;
  virtual void OnBookmarkSeen() {}

 private:
  void HandleHello(const v1::Hello& hello);
  void HandleSnapshotChunk(const v1::SnapshotChunk& chunk);
  void HandleSnapshotEnd(const v1::SnapshotEnd& end);
  void HandleCommit(const v1::Commit& commit);
  void HandleBookmark(const v1::Bookmark& bookmark);
  void HandleReset(const v1::Reset& reset);
  void BeginSnapshot();
  void HandleGoAway(const v1::GoAway& go_away);
  void CheckCommitted(const v1::Position& position, const char* what) const;

  World& world_;
  std::string who_;
  NodeId server_;
  std::optional<v1::Position> position_;
  bool greeted_ = false;
  bool is_over_ = false;
  int64_t bookmarks_ = 0;
  bool in_snapshot_ = false;
  bool expects_reset_ = false;  // Hello announced a snapshot that was not asked for
  Records snapshot_;
  v1::Commit commit_;  // the parts so far
  uint32_t next_part_ = 0;
};

}  // namespace kvorum::sim
