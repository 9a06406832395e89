#pragma once

#include <optional>
#include <string>

#include "tests/sim/checkers/scope.h"
#include "tests/sim/checkers/stream_protocol.h"
#include "tests/sim/checkers/things.h"

namespace kvorum::sim {

// What a subscription with a filter delivers: at each of its positions the subscriber has what its
// scope has of the committed metadata there, nothing missing and nothing else (29 StreamGapless);
// what it is told is in the log there, or has come into the scope, and was asked for; another
// filter begins with Reset (32 StreamResume). Owned by the subscriber.
class FilteredStreamChecker : public StreamProtocol {
 public:
  // What a subscriber has, and what it was made with.
  struct Held {
    std::optional<v1::Position> position;
    Things things;
    std::string scope;
    uint64_t filter_id = 0;
  };

  FilteredStreamChecker(World& world, std::string who, NodeId server, Held held, Scope scope);

  Held held() const;

 protected:
  void OnGreeted(const v1::Hello& hello) override;
  void OnReset(const v1::Reset& reset) override;
  void Replace(const Records& snapshot, const v1::Position& position) override;
  void Apply(const v1::Commit& commit) override;
  void CheckState() override;
  void OnBookmarkSeen() override { CheckAll(); }

 private:
  // Whether what it has was made with another filter than this stream's.
  bool HasOfAnother() const { return position().has_value() && held_.scope != scope_.ToText(); }
  void CheckOffsets(const v1::Commit& commit) const;
  void CheckTold(const v1::Commit& commit) const;
  void CheckIsOfLog(const v1::MetadataRecord& record, Offset offset, const GhostBatch& batch) const;
  void CheckLeft(const v1::Commit& commit) const;
  void CheckAll() const;

  Scope scope_;
  Held held_;  // its position is position()
  uint64_t filter_id_ = 0;
  uint64_t commits_ = 0;
};

}  // namespace kvorum::sim
